/**
 * A node: owns partitions by lease, opens and closes them, and is the door through which commands, reads and
 * mail reach them, from this process and over NATS. Leases keep two nodes from trying; what keeps
 * them from both succeeding is the journal's expected sequence.
 */
import type { Bus } from "../bus/bus.ts";
import { type Codec, pack, unpack } from "../bus/codec.ts";
import type { RegistryEntry } from "../bus/registry.ts";
import type { WireSubscription } from "../bus/wire.ts";
import { type Address, rootOf } from "../machines/address.ts";
import type { ActorDefinition } from "../machines/definition.ts";
import type { NumberedLetter } from "./channels.ts";
import type { StoredEvent } from "./client.ts";
import { abortElsewhere, askCustody, holding, serveCustody } from "./custody.ts";
import { answerDoor, deliverOverWire, serveMail } from "./doors.ts";
import { Knocks } from "./knocks.ts";
import type { Logger, RuntimeSettings } from "./limits.ts";
import { Measures } from "./measures.ts";
import { Membership, type Role } from "./membership.ts";
import { Partition } from "./partition.ts";
import { isOutage } from "./partition-environment.ts";
import { ownerOf, partitionOf } from "./placement.ts";
import { Stepper } from "./step.ts";
import type { Executor, Work } from "./work.ts";

export interface NodeOptions {
  readonly bus: Bus;
  readonly codec: Codec;
  /** Newest format that the codec reads. */
  readonly format: number;
  readonly definitions: readonly ActorDefinition[];
  readonly settings: RuntimeSettings;
  readonly logger: Logger;
  readonly name: string;
  /** Default `all`. A gateway owns no partitions. */
  readonly role?: Role;
  announce(events: readonly StoredEvent[]): void;
}

export class Node {
  readonly boot: string;
  readonly partitions = new Map<number, Partition>();
  readonly membership: Membership;
  readonly measures = new Measures();
  readonly knocks: Knocks;
  /** Why a partition is not served, when it needs an operator. */
  readonly faults = new Map<number, Error>();
  readonly #options: NodeOptions;
  readonly #steppers: ReadonlyMap<string, Stepper>;
  readonly #executors = new Map<string, Executor>();
  readonly #leases = new Map<number, number>();
  readonly #subscriptions = new Map<number, WireSubscription[]>();
  #placing: Promise<void> | undefined;
  /** Take-overs under way; a pass does not wait for them: the next member's end may come meanwhile. */
  readonly #opening = new Map<number, Promise<void>>();
  /** Something changed during the pass under way. */
  #again = false;
  #stopping = false;
  #suspectedAt = 0;

  constructor(options: NodeOptions) {
    this.#options = options;
    this.boot = options.bus.random.id();
    this.knocks = new Knocks(options.bus.wire, options.bus.clock);
    this.#steppers = new Map(options.definitions.map((d) => [d.type, new Stepper(d)]));
    const own = { boot: this.boot, node: options.name, format: options.format, role: options.role ?? "all" };
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
    const { wire } = this.#options.bus;
    const owns = ({ key }: Address) => this.partitions.get(partitionOf(rootOf(key), this.count))?.phase === "serving";
    serveCustody(wire, { boot: this.boot, executors: () => this.executors(), owns });
    await this.membership.start(
      () => this.place(),
      () => this.#reclaim(),
    );
    wire.subscribe(placementSubject, (m) => {
      if (unpack(m.bytes) !== this.boot) this.#lookAgain();
    });
    this.knocks.listen();
    wire.subscribe(suspicionSubject, () => {
      this.membership.suspect();
      this.#lookAgain();
    });
    await wire.flush();
    this.#tellOthers();
    await this.place();
    await Promise.all(this.#opening.values());
  }

  /** The partitions that should be here are here and served; none needs to be on a gateway. */
  get ready(): boolean {
    const { placeable } = this.membership;
    for (let p = 0; p < this.count; p++) {
      const mine = ownerOf(p, placeable) === this.boot;
      if (mine && this.partitions.get(p)?.phase !== "serving") return false;
    }
    return !this.#stopping;
  }

  get role(): Role {
    return this.#options.role ?? "all";
  }

  /** Takes what is ours and free, gives back what is another's. One pass at a time. */
  place(): Promise<void> {
    this.#placing ??= this.#place().finally(() => {
      this.#placing = undefined;
      if (!this.#again) return;
      this.#again = false;
      this.#lookAgain();
    });
    return this.#placing;
  }

  /** Somebody joined, let go or took: no need to wait for the next beat. */
  #lookAgain(): void {
    if (this.#stopping) return;
    if (this.#placing === undefined) this.place().catch(() => {});
    else this.#again = true;
  }

  /** Tells the other nodes to look; who misses it sees the same at its next beat. */
  #tellOthers(): void {
    this.#options.bus.wire.publish(placementSubject, pack(this.boot));
  }

  /** An asker found nobody for a partition: all look at once whether a member is gone. */
  suspect(): void {
    const { wire, clock } = this.#options.bus;
    const now = clock.monotonic();
    if (now - this.#suspectedAt < suspicionPauseMs) return;
    this.#suspectedAt = now;
    wire.publish(suspicionSubject, pack(this.boot));
  }

  async #place(): Promise<void> {
    if (this.#stopping) return;
    // Leases first, members after: whoever claims a lease again has entered itself before.
    const leases = new Map((await this.#options.bus.registry.list("lease")).map((e) => [e.key, e]));
    await this.membership.look();
    for (const partition of this.partitions.values()) void partition.review().catch(() => {});
    const boots = this.membership.members.map((m) => m.boot);
    const { placeable } = this.membership;
    // One at a time, and only while all others have an owner: a wave never leaves many partitions between owners.
    let mayRelease = this.#opening.size === 0;
    for (let p = 0; p < this.count; p++) {
      const holder = holderOf(leases.get(leaseKey(p)));
      if (holder === undefined || !boots.includes(holder)) mayRelease = false;
    }
    for (let p = 0; p < this.count; p++) {
      const lease = leases.get(leaseKey(p));
      const wanted = ownerOf(p, placeable);
      const serving = this.partitions.get(p)?.phase === "serving";
      if (serving && holderOf(lease) !== this.boot && !(await this.#stillOurs(p))) {
        this.partitions.get(p)?.abandon();
        this.#forget(p);
      }
      const held = this.partitions.has(p);
      if (this.#opening.has(p)) continue;
      if (wanted === this.boot && !held && !this.faults.has(p)) {
        const holder = holderOf(lease);
        if (holder !== undefined && holder !== this.boot && boots.includes(holder)) continue;
        this.#open(p, lease?.revision);
      } else if (!held && wanted !== this.boot && lease !== undefined && holderOf(lease) === this.boot) {
        // Left over from a loss, or from a write whose answer was lost: the wanted owner waits for it.
        await this.#options.bus.registry.remove(lease.key, lease.revision);
      } else if (held && wanted !== this.boot && wanted !== undefined && mayRelease) {
        mayRelease = false;
        await this.#release(p);
        this.#tellOthers();
      }
    }
  }

  #open(p: number, revision: number | undefined): void {
    const opening = this.#acquire(p, revision)
      .catch((error: unknown) =>
        this.#options.logger.warn({ partition: p, err: error }, "take-over failed; trying again"),
      )
      .finally(() => {
        this.#opening.delete(p);
        if (this.partitions.has(p) && ownerOf(p, this.membership.placeable) !== this.boot) this.#lookAgain();
      });
    this.#opening.set(p, opening);
  }

  /** A list may miss a lease that was written over while it was read. */
  async #stillOurs(p: number): Promise<boolean> {
    return holderOf((await this.#options.bus.registry.get(leaseKey(p))) ?? undefined) === this.boot;
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
      measures: this.measures,
      partitionOf: (root) => partitionOf(root, this.count),
      startWork: (work) => this.#startWork(work),
      abortWork: (address, id, boot) => {
        if (boot !== this.boot) abortElsewhere(this.#options.bus.wire, boot, { address, id });
        for (const executor of this.#executors.values()) executor.abort(address, id, "settled");
      },
      holdsWork: (address, id) => holding(this.executors(), { address, id }) !== undefined,
      askCustody: (boot, names) => askCustody(this.#options.bus.wire, boot, names),
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
    const { clock } = this.#options.bus;
    const begun = clock.monotonic();
    try {
      await partition.open();
    } catch (error) {
      partition.abandon();
      this.#stopped(p, isOutage(error) ? "lost" : (error as Error));
      return;
    }
    if (partition.phase !== "serving") return;
    this.measures.takeoverSeconds.observe((clock.monotonic() - begun) / 1000);
    this.#listen(p, partition);
    this.knocks.announce(p);
    this.#tellOthers();
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
    return deliverOverWire(this.knocks, to, from, letters);
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

  /**
   * Hands everything over: first the partitions, one after the other, to those who can take them (running work
   * goes on and reports to them), then running work is given its time, then the rest goes at once.
   */
  async stop(drainMs: number): Promise<void> {
    const { clock } = this.#options.bus;
    const deadline = clock.monotonic() + drainMs;
    if (drainMs > 0 && this.partitions.size > 0) await this.#handOver(deadline);
    this.#stopping = true;
    await this.#placing?.catch(() => {});
    await Promise.all(this.#opening.values());
    await Promise.all(this.executors().map((e) => e.drain(Math.max(0, deadline - clock.monotonic()))));
    await Promise.all([...this.partitions.keys()].map((p) => this.#release(p)));
    await this.membership.stop();
    this.#tellOthers();
  }

  async #handOver(deadline: number): Promise<void> {
    const { clock } = this.#options.bus;
    await this.membership.leave();
    this.#tellOthers();
    while (this.partitions.size > 0 && this.membership.placeable.length > 0 && clock.monotonic() < deadline) {
      await this.place().catch(() => {});
      if (this.partitions.size > 0) await clock.sleep(handOverPauseMs);
    }
  }
}

/** Says that leases or members changed. */
const placementSubject = "cluster.placement";
const handOverPauseMs = 20;
/** Says that somebody found no owner of a partition. */
const suspicionSubject = "cluster.suspicion";
const suspicionPauseMs = 100;

function holderOf(lease: RegistryEntry | undefined): string | undefined {
  return lease === undefined ? undefined : (unpack(lease.value) as string);
}

function leaseKey(p: number): string {
  return `lease.${p}`;
}
