/**
 * The single-threaded loop of a partition: take what waits, step, commit one group, let the outcome out.
 * What a group is made of is the builder's; how it gets into the journal is the committer's.
 */
import type { Address } from "../machines/address.ts";
import type { Command } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import type { Activation } from "./activation.ts";
import { GroupBuilder, type Settled } from "./builder.ts";
import { commitGroup } from "./committer.ts";
import type { Entry } from "./entry.ts";
import { encodeGroup, type Group } from "./group.ts";
import type { Housekeeping } from "./housekeeping.ts";
import type { Inbox, Item } from "./inbox.ts";
import { limits } from "./limits.ts";
import { publishLive } from "./live.ts";
import type { Loader } from "./loader.ts";
import type { MailPump } from "./mail.ts";
import { moved, type PartitionEnvironment } from "./partition-environment.ts";
import { viewOf } from "./reads.ts";
import type { ReminderHeap } from "./reminders.ts";
import type { PartitionState } from "./state.ts";

export interface LoopParts {
  readonly env: PartitionEnvironment;
  readonly state: PartitionState;
  readonly inbox: Inbox;
  readonly loader: Loader;
  readonly activation: Activation;
  readonly reminders: ReminderHeap;
  readonly mail: MailPump;
  readonly keeping: Housekeeping;
  serving(): boolean;
  /** True when the journal ends with a message of this ownership. */
  ours(): Promise<boolean>;
  onLost(): void;
  onFault(error: Error): void;
}

/** Pause before the next try when the store has no room. */
const fullPauseMs = 500;

export class GroupLoop {
  /** Groups and steps committed, for status. */
  commits = 0;
  steps = 0;
  readonly #parts: LoopParts;
  #looping = false;
  #woken = false;
  #headsMax = limits.groupStepsMax;
  #oversize: Command | undefined;
  #idle: (() => void)[] = [];

  constructor(parts: LoopParts) {
    this.#parts = parts;
  }

  /** Something waits. */
  wake(): void {
    this.#woken = true;
    if (this.#looping || !this.#parts.serving()) return;
    this.#looping = true;
    queueMicrotask(() => void this.#run());
  }

  /** Resolves when no group is under way. */
  quiet(): Promise<void> {
    return this.#looping ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  async #run(): Promise<void> {
    try {
      while (this.#parts.serving() && this.#woken) {
        this.#woken = false;
        while (this.#parts.serving() && (await this.#round()));
      }
    } catch (error) {
      this.#parts.onFault(error as Error);
    }
    this.#looping = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** One group. False: nothing waits that could be done now. */
  async #round(): Promise<boolean> {
    const { env, state, keeping, inbox } = this.#parts;
    keeping.tidy();
    const bytesMax = env.bus.journal.payloadBytesMax >> 1;
    const builder = this.#builder(bytesMax);
    builder.fill(inbox);
    if (!builder.changed && !keeping.floorWanted) {
      this.#passOver(builder);
      this.#settleUncommitted(builder.settled);
      return builder.taken.length > 0 || builder.takenLetters.length > 0;
    }
    const { epoch, seq: prevSeq, checksum: prevChecksum, recordsSeq } = state;
    const position = { epoch, owner: null, prevSeq, prevChecksum, floor: keeping.floor, recordsSeq };
    const group = builder.finish(position, keeping.horizon());
    const sealed = encodeGroup(env.codec, group);
    if (sealed.bytes.length > bytesMax && !this.#accept(builder, sealed.bytes.length)) return true;
    const { bus, logger } = env;
    const commit = { journal: bus.journal, clock: bus.clock, logger, stopped: () => !this.#parts.serving() };
    const begun = bus.clock.monotonic();
    const outcome = await commitGroup(commit, state.partition, sealed.bytes, state.seq);
    const took = bus.clock.monotonic() - begun;
    if (outcome.kind === "stored") env.measures.committed(builder.steps, sealed.bytes.length, took);
    else if (outcome.kind === "full") env.measures.withoutRoom(bus.clock.monotonic());
    if (outcome.kind === "stored" && this.#parts.serving()) {
      this.#stored(builder, group, outcome.seq, sealed.checksum, sealed.bytes.length);
      return true;
    }
    // A store without room refuses anybody: only the journal's end tells whether it refused its owner.
    const ours = outcome.kind !== "full" || (await this.#parts.ours().catch(() => false));
    this.#notStored(builder, ours ? outcome.kind : "lost");
    if (outcome.kind !== "full" || !ours) return false;
    await bus.clock.sleep(fullPauseMs);
    return true;
  }

  #builder(bytesMax: number): GroupBuilder {
    const { env, state, loader, activation } = this.#parts;
    return new GroupBuilder({
      state,
      boot: env.boot,
      now: Math.max(state.time, env.bus.clock.now()),
      logger: env.logger,
      bytesMax,
      stepsMax: limits.groupStepsMax,
      headsMax: this.#headsMax,
      oversize: this.#oversize,
      partitionOf: env.partitionOf,
      resident: (address: Address) => loader.resident(address),
      park: (item) => activation.park(item),
      prefetch: (address) => void activation.load(address).then(() => this.wake()),
    });
  }

  /**
   * A group over its bound is made again of fewer commands; a single one may use the whole message. What is still
   * too much is refused, or, when nobody waits for an answer, made a dead letter.
   */
  #accept(builder: GroupBuilder, bytes: number): boolean {
    const { env, inbox } = this.#parts;
    const { heads, taken } = builder;
    if (heads.length <= 1 && bytes <= env.bus.journal.payloadBytesMax) return true;
    const [only] = heads;
    const ask = heads.length === 1 ? taken.find((item) => item.kind === "ask" && item === only) : undefined;
    inbox.unshift(taken.filter((item) => item !== ask));
    if (ask?.kind === "ask") {
      ask.fail(
        new TroupeError("too_large", `What the command changes is ${bytes} bytes, more than one commit can hold.`),
      );
    } else if (heads.length > 1) {
      this.#headsMax = heads.length >> 1;
    } else if (only === undefined || only === this.#oversize) {
      throw new Error(`a group of ${bytes} bytes is more than a message can hold`);
    } else {
      this.#oversize = only as Command;
    }
    return false;
  }

  #stored(builder: GroupBuilder, group: Group, seq: number, checksum: string, bytes: number): void {
    const { env, state, keeping, reminders, mail } = this.#parts;
    state.commit(group, seq, checksum, builder.drafts.values());
    this.commits++;
    this.steps += builder.steps;
    this.#headsMax = Math.min(limits.groupStepsMax, this.#headsMax * 2);
    this.#oversize = undefined;
    keeping.stored(seq, bytes, builder.changed);
    this.#passOver(builder);
    for (const { address, id, boot } of builder.aborted) env.abortWork(address, id, boot);
    for (const { entry, id } of builder.work) this.#startWork(entry, id);
    for (const draft of builder.drafts.values()) {
      for (const [name, reminder] of draft.reminders ?? []) {
        if (reminder === null) continue;
        reminders.add({ at: reminder.at, address: draft.entry.address, name, arming: reminder.arming });
      }
    }
    this.#settle(builder.settled);
    if (builder.events.length > 0) env.announce(builder.events);
    for (const news of builder.news) publishLive(env.bus.wire, news);
    mail.pump();
  }

  /** Letters that the cursor has passed leave the queue; their senders hear of it. */
  #passOver(builder: GroupBuilder): void {
    for (const [from, count] of builder.takenLetters) {
      const channel = this.#parts.inbox.channel(from);
      channel.letters.splice(0, count);
      for (const wake of channel.wake.splice(0)) wake();
    }
  }

  #notStored(builder: GroupBuilder, kind: "full" | "lost" | "stopped" | "stored"): void {
    const { state, inbox } = this.#parts;
    const full = new TroupeError("storage_full", "The store refused the commit for want of room; nothing was changed.");
    const rest: Item[] = [];
    // A repeated ask in a group without room: it took effect before, and is answered as it was then.
    const known = kind === "full" ? builder.settled.filter(({ item }) => state.askers.find(item.id) !== undefined) : [];
    this.#settle(known);
    const done = new Set<Item>(known.map(({ item }) => item));
    for (const item of builder.taken) {
      if (done.has(item)) continue;
      if (item.kind === "ask") item.fail(kind === "full" ? full : moved(state.partition));
      else rest.push(item);
    }
    if (kind === "full") inbox.unshift(rest);
    if (kind === "lost") this.#parts.onLost();
  }

  /** Without a commit nothing proves that the partition is still ours but the lease. */
  #settleUncommitted(settled: readonly Settled[]): void {
    const { env, state } = this.#parts;
    if (env.holdsLease()) this.#settle(settled);
    else for (const { item } of settled) item.fail(moved(state.partition));
  }

  #settle(settled: readonly Settled[]): void {
    for (const { item, entry, reply, error } of settled) {
      if (error !== undefined) item.fail(error);
      else item.answer({ reply, view: entry === undefined ? null : viewOf(entry), step: entry?.step ?? 0 });
    }
  }

  #startWork(entry: Entry, id: string): void {
    const work = entry.work?.get(id);
    if (work === undefined || entry.snapshot === null) return;
    const { kind, spec } = work;
    this.#parts.env.startWork({ address: entry.address, id, kind, spec, context: entry.snapshot.context });
  }
}
