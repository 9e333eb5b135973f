/**
 * Who is there: this node's heartbeat in the registry and the observation of the others'. A member
 * is gone when its entry stayed unchanged for a lease on this process's own monotonic clock, or at once when
 * nobody answers on its subject while our connection stands. Silence alone is not death.
 */
import { type Bus, BusError } from "../bus/bus.ts";
import type { TimerHandle } from "../bus/clock.ts";
import { pack, unpack } from "../bus/codec.ts";
import type { Logger } from "./limits.ts";

export interface Member {
  readonly boot: string;
  readonly node: string;
  /** Newest format of journal and records that it can read. */
  readonly format: number;
  /** Format that it writes, or is about to. Absent (an older version): its newest. */
  readonly writes?: number;
  /** Absent (an older version): `all`. */
  readonly role?: Role;
  /** True once it hands over: no partition is placed on it any more. */
  readonly leaving?: boolean;
}

/** `node`: partitions and agents; `gateway`: protocols only; `all`: both. */
export type Role = "node" | "gateway" | "all";

/** True for members that partitions may be placed on. */
export function isPlaceable(member: Member): boolean {
  return member.role !== "gateway" && member.leaving !== true;
}

interface Observed {
  readonly member: Member;
  revision: number;
  /** Monotonic time since which this revision was seen unchanged, without a break. */
  since: number;
}

const probes = 3;
const probeMs = 250;
const probePauseMs = 15;
/** A newer format is written only when all have read it for this many leases: an older node may be just restarting. */
const riseLeases = 5;

export class Membership {
  readonly #bus: Bus;
  #own: Member;
  readonly #leaseMs: number;
  readonly #logger: Logger;
  readonly #others = new Map<string, Observed>();
  #revision = 0;
  #timer: TimerHandle | undefined;
  #stopped = false;
  #seen = false;
  #renewedAt = Number.NEGATIVE_INFINITY;
  /** When the connection last broke: others may have found nobody here, and need not have waited for the lease. */
  #brokenAt = Number.NEGATIVE_INFINITY;
  #suspicion = false;
  /** Monotonic time of the last look that succeeded. */
  #lookedAt = 0;
  /** Set while our entry was found removed and the partitions are not yet claimed again. */
  #doubtful = false;
  #onRemoved: () => Promise<void> = async () => {};
  #written: number;
  /** Format that our entry in the registry says we write. */
  #announced = 0;
  /** Monotonic time since which all members read a newer format than is written. */
  #newerSince: number | undefined;

  constructor(bus: Bus, own: Member, leaseMs: number, logger: Logger) {
    this.#bus = bus;
    this.#own = { ...own, writes: own.format };
    this.#written = own.format;
    this.#leaseMs = leaseMs;
    this.#logger = logger;
  }

  /**
   * Enters this node and looks at the others once. `onTick` is called after every look; `onRemoved` when
   * others had removed this node as gone: what it owned may be another's by now. Throws BusError when the
   * others write a format that this node does not read.
   */
  async start(onTick: () => Promise<void>, onRemoved: () => Promise<void>): Promise<void> {
    this.#onRemoved = onRemoved;
    this.#bus.wire.subscribe(subjectOf(this.#own.boot), (m) => m.respond(new Uint8Array(0)));
    this.#bus.wire.onConnection((connected) => {
      if (!connected) this.#brokenAt = this.#bus.clock.monotonic();
    });
    await this.#bus.wire.flush();
    await this.#adopt();
    await this.#beat();
    await this.look();
    await this.#requireReadable();
    const tick = async () => {
      if (this.#stopped) return;
      await this.#beat().catch(() => {});
      await this.look().catch(() => {});
      // Not awaited: taking over a large partition must not keep this node's own entry from being renewed.
      if (!this.#stopped)
        void onTick().catch((error: unknown) => this.#logger.warn({ err: error }, "placement failed; trying again"));
      if (!this.#stopped) this.#timer = this.#bus.clock.after(this.#leaseMs / 4, () => void tick());
    };
    this.#timer = this.#bus.clock.after(this.#leaseMs / 4, () => void tick());
  }

  /** All that are thought to be alive, this node included. */
  get members(): Member[] {
    return [this.#own, ...[...this.#others.values()].map((o) => o.member)];
  }

  /** Format of journal and records that this node writes now: one that every member reads. */
  get written(): number {
    return this.#written;
  }

  /** Boots that partitions may be placed on. */
  get placeable(): string[] {
    return this.members.filter(isPlaceable).map((m) => m.boot);
  }

  /** Somebody found a partition without an owner: the next look asks every member whether it is there. */
  suspect(): void {
    this.#suspicion = true;
  }

  /** From now on the others place nothing here; this node stays a member until `stop`. */
  async leave(): Promise<void> {
    this.#own = { ...this.#own, leaving: true };
    await this.#beat().catch(() => {});
  }

  /** True while this node's own lease stands by its own clock: it may answer from memory. */
  get holds(): boolean {
    const renewed = this.#renewedAt > this.#brokenAt && this.#bus.clock.monotonic() - this.#renewedAt < this.#leaseMs;
    return renewed && !this.#doubtful;
  }

  /** False only for a boot that is known to be gone. */
  isLive(boot: string): boolean {
    return boot === this.#own.boot || this.#others.has(boot) || !this.#seen;
  }

  /** Leaves: the others need not wait. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#bus.registry.remove(keyOf(this.#own.boot), this.#revision).catch(() => {});
  }

  /** Stops beating without a word (simulation of a crash). */
  abandon(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  async #beat(): Promise<void> {
    const { registry, clock } = this.#bus;
    const own = this.#own;
    const value = pack(own);
    const at = clock.monotonic();
    const key = keyOf(this.#own.boot);
    const written =
      this.#revision === 0 ? await registry.create(key, value) : await registry.update(key, value, this.#revision);
    if (written.kind === "stored") {
      this.#revision = written.revision;
      this.#announced = writesOf(own);
      if (this.#doubtful) await this.#onRemoved();
      this.#doubtful = false;
      this.#renewedAt = at;
      return;
    }
    // An earlier write of ours may have been stored without an answer, or others removed the entry.
    const found = await registry.get(key);
    if (found === null && this.#revision > 0) this.#doubtful = true;
    this.#revision = found?.revision ?? 0;
  }

  async look(): Promise<void> {
    const { registry, clock } = this.#bus;
    const entries = await registry.list("member");
    const now = clock.monotonic();
    // After a time without sight (NATS away, this process frozen) an unchanged entry says nothing yet.
    const blind = now - this.#lookedAt > this.#leaseMs / 2;
    const suspicion = this.#suspicion;
    this.#suspicion = false;
    this.#lookedAt = now;
    const present = new Set<string>();
    const doubtful: Observed[] = [];
    for (const entry of entries) {
      const member = unpack(entry.value) as Member;
      if (member.boot === this.#own.boot) continue;
      present.add(member.boot);
      const known = this.#others.get(member.boot);
      if (known === undefined || known.revision !== entry.revision) {
        const fresh = { member, revision: entry.revision, since: now };
        this.#others.set(member.boot, fresh);
        if (known === undefined) doubtful.push(fresh);
      } else if (blind) {
        known.since = now;
        doubtful.push(known);
      } else if (suspicion || now - known.since > this.#leaseMs / 2) {
        doubtful.push(known);
      }
    }
    for (const [boot, known] of this.#others) {
      if (present.has(boot)) continue;
      // A list may miss an entry that was written over while it was read.
      const found = await registry.get(keyOf(boot));
      if (found === null) this.#others.delete(boot);
      else if (found.revision !== known.revision) Object.assign(known, { revision: found.revision, since: now });
    }
    await Promise.all(doubtful.map((observed) => this.#examine(observed)));
    this.#seen = true;
    this.#chooseFormat();
  }

  /** Before it enters itself a node takes over what the others write. */
  async #adopt(): Promise<void> {
    const entries = await this.#bus.registry.list("member");
    const others = entries.map((entry) => writesOf(unpack(entry.value) as Member));
    this.#write(Math.min(this.#own.format, ...others));
  }

  /** After it has entered itself: from now on the others see it, and do not go over to a newer format. */
  async #requireReadable(): Promise<void> {
    const ahead = [...this.#others.values()].find(({ member }) => writesOf(member) > this.#own.format);
    if (ahead === undefined) return;
    await this.stop();
    const { node, boot } = ahead.member;
    const what = `writes format ${writesOf(ahead.member)}; this Troupe reads up to ${this.#own.format}`;
    throw new BusError("failed", `The member ${node} (${boot}) ${what}. Start a newer Troupe.`);
  }

  /**
   * Down at once, when a member reads less. Up in two steps, so that a node that joins meanwhile is either seen
   * or sees it: first the entry says so, and the next look that still finds only newer readers makes it true.
   */
  #chooseFormat(): void {
    const now = this.#bus.clock.monotonic();
    const readable = Math.min(...this.members.map((member) => member.format));
    const wish = writesOf(this.#own);
    if (readable <= wish) this.#newerSince = undefined;
    else this.#newerSince ??= now;
    if (readable < wish) this.#write(readable);
    else if (readable === wish && this.#announced === wish) this.#written = wish;
    else if (this.#newerSince !== undefined && now - this.#newerSince > riseLeases * this.#leaseMs)
      this.#own = { ...this.#own, writes: readable };
  }

  #write(format: number): void {
    this.#own = { ...this.#own, writes: format };
    this.#written = format;
  }

  async #examine(observed: Observed): Promise<void> {
    const { clock, registry } = this.#bus;
    const { boot } = observed.member;
    const expired = clock.monotonic() - observed.since > this.#leaseMs;
    if (!expired && !(await this.#deaf(boot))) return;
    const removed = await registry.remove(keyOf(boot), observed.revision);
    // Without a certain removal it might still believe in its leases.
    if (removed.kind !== "stored") return;
    this.#others.delete(boot);
    this.#logger.info({ node: observed.member.node, boot, expired }, "a node is gone");
  }

  /** True when nobody listens on its subject, several times over, while our own connection stands. */
  async #deaf(boot: string): Promise<boolean> {
    const { wire, clock } = this.#bus;
    for (let i = 0; i < probes; i++) {
      const reply = await wire.request(subjectOf(boot), new Uint8Array(0), probeMs);
      if (reply.kind !== "no_responders" || !wire.connected) return false;
      if (i < probes - 1) await clock.sleep(probePauseMs);
    }
    return true;
  }
}

function writesOf(member: Member): number {
  return member.writes ?? member.format;
}

function keyOf(boot: string): string {
  return `member.${boot}`;
}

function subjectOf(boot: string): string {
  return `node.${boot}`;
}
