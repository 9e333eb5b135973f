/**
 * A node: owns partitions by lease, opens and closes them, and is the door through which commands, reads and
 * mail reach them, from this process and over NATS. Leases keep two nodes from trying; what keeps
 * them from both succeeding is the journal's expected sequence.
 */
import type { Bus } from "../bus/bus.ts";
import { type Codec, FORMAT_VERSION, pack, unpack } from "../bus/codec.ts";
import type { RegistryEntry } from "../bus/registry.ts";
import type { WireSubscription } from "../bus/wire.ts";
import type { ActorDefinition } from "../machines/definition.ts";
import type { NumberedLetter } from "./channels.ts";
import type { StoredEvent } from "./client.ts";
import { answerDoor, deliverOverWire, serveMail } from "./doors.ts";
import type { Logger, RuntimeSettings } from "./limits.ts";
import { Membership } from "./membership.ts";
import { Partition } from "./partition.ts";
import { isOutage } from "./partition-environment.ts";
import { ownerOf, partitionOf } from "./placement.ts";
import { Stepper } from "./step.ts";
import type { Executor, Work } from "./work.ts";

export interface NodeOptions {
  readonly bus: Bus;
  readonly codec: Codec;
  readonly definitions: readonly ActorDefinition[];
  readonly settings: RuntimeSettings;
  readonly logger: Logger;
  readonly name: string;
  announce(events: readonly StoredEvent[]): void;
}

export class Node {
  readonly boot: string;
  readonly partitions = new Map<number, Partition>();
  readonly membership: Membership;
  /** Why a partition is not served, when it needs an operator. */
  readonly faults = new Map<number, Error>();
  readonly #options: NodeOptions;
  readonly #steppers: ReadonlyMap<string, Stepper>;
  readonly #executors = new Map<string, Executor>();
  readonly #leases = new Map<number, number>();
  readonly #subscriptions = new Map<number, WireSubscription[]>();
  #placing: Promise<void> | undefined;
  #stopping = false;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.boot = options.bus.random.id();
    this.#steppers = new Map(options.definitions.map((d) => [d.type, new Stepper(d)]));
    const own = { boot: this.boot, node: options.name, format: FORMAT_VERSION };
    this.membership = new Membership(options.bus, own, options.settings.leaseMs, options.logger);
  }

  get count(): number {
    return this.#options.bus.journal.partitions;
  }

  addExecutor(executor: Executor): void {
    this.#executors.set(executor.kind, executor);
  }

  executors(): Executor[] {
    return [...this.#executors.values()];
  }

  /** Joins and takes its partitions; resolves when those that were free are served. */
  async start(): Promise<void> {
    await this.membership.start(
      () => this.place(),
      () => this.#reclaim(),
    );
    await this.place();
  }

  /** True when every partition is served by somebody and ours by us. */
  get ready(): boolean {
    const { members } = this.membership;
    for (let p = 0; p < this.count; p++) {
      const mine =
        ownerOf(
          p,
          members.map((m) => m.boot),
        ) === this.boot;
      if (mine && this.partitions.get(p)?.phase !== "serving") return false;
    }
    return true;
  }

  /** Takes what is ours and free, gives back what is another's. One pass at a time. */
  place(): Promise<void> {
    this.#placing ??= this.#place().finally(() => {
      this.#placing = undefined;
    });
    return this.#placing;
  }

  async #place(): Promise<void> {
    if (this.#stopping) return;
    // Leases first, members after: whoever claims a lease again has entered itself before.
    const leases = new Map((await this.#options.bus.registry.list("lease")).map((e) => [e.key, e]));
    await this.membership.look();
    const boots = this.membership.members.map((m) => m.boot);
    const opening: Promise<void>[] = [];
    let released = false;
    for (let p = 0; p < this.count; p++) {
      const wanted = ownerOf(p, boots);
      if (this.partitions.get(p)?.phase === "serving" && holderOf(leases.get(leaseKey(p))) !== this.boot) {
        this.partitions.get(p)?.abandon();
        this.#forget(p);
      }
      const held = this.partitions.has(p);
      const lease = leases.get(leaseKey(p));
      if (wanted === this.boot && !held && !this.faults.has(p)) {
        const holder = holderOf(lease);
        if (holder !== undefined && holder !== this.boot && boots.includes(holder)) continue;
        opening.push(this.#acquire(p, lease?.revision));
      } else if (!held && wanted !== this.boot && lease !== undefined && holderOf(lease) === this.boot) {
        // Left over from a loss, or from a write whose answer was lost: the wanted owner waits for it.
        await this.#options.bus.registry.remove(lease.key, lease.revision);
      } else if (held && wanted !== this.boot && wanted !== undefined && !released) {
        // One at a time, so that a joining node never finds many partitions between owners.
        released = true;
        await this.#release(p);
      }
    }
    await Promise.all(opening);
  }

  async #acquire(p: number, revision: number | undefined): Promise<void> {
    const { registry } = this.#options.bus;
    const value = pack(this.boot);
    const written =
      revision === undefined
        ? await registry.create(leaseKey(p), value)
        : await registry.update(leaseKey(p), value, revision);
    if (written.kind !== "stored") return;
    this.#leases.set(p, written.revision);
    const partition = new Partition(p, {
      bus: this.#options.bus,
      codec: this.#options.codec,
      steppers: this.#steppers,
      boot: this.boot,
      settings: this.#options.settings,
      logger: this.#options.logger,
      partitionOf: (root) => partitionOf(root, this.count),
      startWork: (work) => this.#startWork(work),
      abortWork: (address, id, reason) => {
        for (const executor of this.#executors.values()) executor.abort(address, id, reason);
      },
      deliverMail: (to, from, letters) => this.deliverMail(to, from, letters),
      announce: this.#options.announce,
      confirmLease: async () => {
        const lease = await registry.get(leaseKey(p));
        return lease !== null && holderOf(lease) === this.boot;
      },
      holdsLease: () => this.membership.holds,
      isLive: (boot) => this.membership.isLive(boot),
      onStopped: (number, cause) => this.#stopped(number, cause),
    });
    this.partitions.set(p, partition);
    try {
      await partition.open();
    } catch (error) {
      partition.abandon();
      this.#stopped(p, isOutage(error) ? "lost" : (error as Error));
      return;
    }
    if (partition.phase === "serving") this.#listen(p, partition);
  }

  /** After this node was thought gone: a lease that cannot be renewed at its known revision is another's. */
  async #reclaim(): Promise<void> {
    for (const [p, revision] of [...this.#leases]) {
      const written = await this.#options.bus.registry.update(leaseKey(p), pack(this.boot), revision);
      if (written.kind === "stored") {
        this.#leases.set(p, written.revision);
        continue;
      }
      this.partitions.get(p)?.abandon();
      this.#forget(p);
    }
  }

  #listen(p: number, partition: Partition): void {
    const { wire } = this.#options.bus;
    this.#subscriptions.set(p, [
      wire.subscribe(`ask.${p}`, (m) => void answerDoor(partition, m)),
      wire.subscribe(`mail.${p}`, (m) => void serveMail(partition, m)),
    ]);
  }

  #startWork(work: Work): void {
    const executor = this.#executors.get(work.kind);
    if (executor === undefined) {
      this.#options.logger.error({ kind: work.kind, actor: work.address }, "no executor for this kind of work");
      return;
    }
    executor.start(work);
  }

  deliverMail(to: number, from: number, letters: readonly NumberedLetter[]): Promise<number> {
    const local = this.partitions.get(to);
    if (local?.phase === "serving") return local.receive(from, letters);
    return deliverOverWire(this.#options.bus.wire, to, from, letters);
  }

  #stopped(p: number, cause: "lost" | Error): void {
    this.#forget(p);
    if (cause === "lost") return;
    this.faults.set(p, cause);
    this.#options.logger.error(
      { partition: p, err: cause },
      "partition is not served until an operator has looked at it",
    );
  }

  #forget(p: number): void {
    for (const subscription of this.#subscriptions.get(p) ?? []) subscription.unsubscribe();
    this.#subscriptions.delete(p);
    this.partitions.delete(p);
    this.#leases.delete(p);
  }

  async #release(p: number): Promise<void> {
    const partition = this.partitions.get(p);
    const revision = this.#leases.get(p);
    await partition?.close();
    this.#forget(p);
    if (revision !== undefined) await this.#options.bus.registry.remove(leaseKey(p), revision).catch(() => {});
  }

  /** Hands everything over: work drained, partitions flushed and released. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    await this.#placing?.catch(() => {});
    await Promise.all(this.executors().map((e) => e.drain(drainMs)));
    await Promise.all([...this.partitions.keys()].map((p) => this.#release(p)));
    await this.membership.stop();
  }
}

function holderOf(lease: RegistryEntry | undefined): string | undefined {
  return lease === undefined ? undefined : (unpack(lease.value) as string);
}

function leaseKey(p: number): string {
  return `lease.${p}`;
}
