/**
 * A partition as its owner runs it: the single-threaded loop (take what waits, step, commit one
 * group, let the outcome out), and the doors to it (ask, mail, read, list, history). What a group is
 * made of is the builder's; how it is put into the journal is the committer's.
 */
import type { Bus } from "../bus/bus.ts";
import type { Codec } from "../bus/codec.ts";
import { type Address, formatAddress } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { GroupBuilder, type Settled } from "./builder.ts";
import type { NumberedLetter } from "./channels.ts";
import type { Answer, HistoryPage, StoredEvent } from "./client.ts";
import { commitGroup } from "./committer.ts";
import type { Entry } from "./entry.ts";
import { Flusher } from "./flusher.ts";
import { encodeGroup, type Group } from "./group.ts";
import { pageEvents } from "./histories.ts";
import { Housekeeping } from "./housekeeping.ts";
import { type AskItem, Inbox, type Item } from "./inbox.ts";
import { type Logger, limits, type RuntimeSettings } from "./limits.ts";
import type { Place, Row } from "./listing.ts";
import { Loader, StoreFault } from "./loader.ts";
import { MailPump } from "./mail.ts";
import { ReminderHeap } from "./reminders.ts";
import { PartitionState } from "./state.ts";
import type { Stepper } from "./step.ts";
import { completeIndex, ownerAtEnd, takeOver } from "./takeover.ts";
import type { Work } from "./work.ts";

export interface PartitionEnvironment {
  readonly bus: Bus;
  readonly codec: Codec;
  readonly steppers: ReadonlyMap<string, Stepper>;
  readonly boot: string;
  readonly settings: RuntimeSettings;
  readonly logger: Logger;
  partitionOf(root: string): number;
  startWork(work: Work): void;
  abortWork(address: Address, id: string, reason: string): void;
  /** Hands letters to the owner of a partition; resolves with the number up to which it has applied them. */
  deliverMail(to: number, from: number, letters: readonly NumberedLetter[]): Promise<number>;
  /** Events of a stored group, for live listeners. */
  announce(events: readonly StoredEvent[]): void;
  /** False when the process of that boot is known to be gone. */
  isLive(boot: string): boolean;
  /** False when this node's lease ran out by its own clock: nothing may be read from memory then. */
  holdsLease(): boolean;
  /** The partition stopped by itself: lost to another owner, or by a fault that needs an operator. */
  onStopped(partition: number, cause: "lost" | Error): void;
}

/** How long letters may wait here before their sender hears how far it got. */
const receiveMs = 2000;

export type PartitionPhase = "recovering" | "serving" | "stopped";

export class Partition {
  readonly number: number;
  readonly state: PartitionState;
  phase: PartitionPhase = "recovering";
  /** Groups and steps committed, for status. */
  commits = 0;
  steps = 0;
  readonly #env: PartitionEnvironment;
  readonly #inbox = new Inbox();
  readonly #loader: Loader;
  readonly #flusher: Flusher;
  readonly #reminders: ReminderHeap;
  readonly #mail: MailPump;
  readonly #keeping: Housekeeping;
  readonly #parked = new Map<string, Item[]>();
  #looping = false;
  #stepsMax = limits.groupStepsMax;
  #completed: Promise<void> = Promise.resolve();
  #idle: (() => void)[] = [];

  constructor(number: number, env: PartitionEnvironment) {
    this.number = number;
    this.#env = env;
    const { bus, codec, logger } = env;
    const stopped = () => this.phase === "stopped";
    this.state = new PartitionState(number, env.steppers);
    this.#loader = new Loader(this.state, bus.records, codec);
    this.#flusher = new Flusher({
      state: this.state,
      records: bus.records,
      codec,
      clock: bus.clock,
      logger,
      recall: (history) => this.#loader.recall(history),
      stopped,
    });
    this.#reminders = new ReminderHeap(bus.clock, (due) => {
      for (const one of due) this.#inbox.push({ kind: "reminder", address: one.address, due: one });
      this.#wake();
    });
    this.#mail = new MailPump(this.state, bus.clock, env.deliverMail, stopped);
    this.#keeping = new Housekeeping({
      state: this.state,
      flusher: this.#flusher,
      bus,
      settings: env.settings,
      stopped,
      wake: () => this.#wake(),
      onFault: (error) => this.#fault(error),
    });
  }

  /** Takes the partition over; afterwards it serves. Rejects when the store cannot be trusted. */
  async open(): Promise<void> {
    const env = { ...this.#env, state: this.state, loader: this.#loader, stopped: () => this.phase === "stopped" };
    const taken = await takeOver(env);
    if (taken === "stopped" || this.phase === "stopped") return;
    this.phase = "serving";
    this.#keeping.begin(taken.tailBytes);
    this.#mail.pump();
    this.#wake();
    this.#completed = completeIndex(
      env,
      (address) => this.#load(address),
      (passive) => {
        for (const [name, at, arming] of passive.reminders)
          this.#reminders.add({ at, address: passive.address, name, arming });
        if (passive.lostWork) void this.#load(passive.address);
      },
    ).then(
      () => this.#wake(),
      (error: Error) => this.#fault(error),
    );
  }

  /** Resolves when lists can be answered. */
  get completed(): Promise<void> {
    return this.#completed;
  }

  ask(item: AskItem): void {
    if (this.phase === "stopped") {
      item.fail(moved(this.number));
      return;
    }
    if (this.#inbox.size >= limits.inboxAsksMax) {
      item.fail(new TroupeError("overloaded", `Partition ${this.number} has ${limits.inboxAsksMax} commands waiting.`));
      return;
    }
    this.#inbox.push(item);
    this.#wake();
  }

  /** Letters of another partition (or of this one to itself); resolves with the cursor when they are applied, or after a while. */
  async receive(from: number, letters: readonly NumberedLetter[]): Promise<number> {
    const channel = this.#inbox.channel(from);
    const target = letters.at(-1)?.number ?? 0;
    let queued = channel.letters.at(-1)?.number ?? this.state.channels.cursor(from);
    for (const letter of letters) {
      if (letter.number !== queued + 1) continue;
      channel.letters.push(letter);
      queued = letter.number;
    }
    const { clock } = this.#env.bus;
    const deadline = clock.monotonic() + receiveMs;
    while (this.state.channels.cursor(from) < target && this.phase !== "stopped" && clock.monotonic() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = clock.after(deadline - clock.monotonic(), resolve);
        channel.wake.push(() => {
          timer.cancel();
          resolve();
        });
        this.#wake();
      });
    }
    if (this.phase === "stopped") throw moved(this.number);
    return this.state.channels.cursor(from);
  }

  /** The actor's committed view. Throws `not_found`. */
  async read(address: Address): Promise<Answer> {
    if (!this.#env.holdsLease())
      throw new TroupeError("unavailable", "This node's lease has run out; another may own the partition.");
    const entry = this.#loader.resident(address) ?? (await this.#guard(this.#loadEntry(address)));
    if (entry?.snapshot === undefined || entry.snapshot === null) {
      throw new TroupeError("not_found", `There is no ${address.type} ${address.key}.`);
    }
    entry.usedAt = this.state.number;
    return { reply: null, view: viewOf(entry), step: entry.step };
  }

  async list(
    type: string,
    where: Readonly<Record<string, string | number>>,
    after: Place | null,
    limit: number,
  ): Promise<Row[]> {
    await this.#completed;
    if (this.phase === "stopped") throw moved(this.number);
    return this.state.listing.query(type, where, after, limit);
  }

  async history(root: string, after: number, limit: number): Promise<HistoryPage> {
    return this.#guard(this.#history(root, after, limit));
  }

  /** What reading the store brought to light is the partition's affair; who asked only tries again. */
  #guard<T>(reading: Promise<T>): Promise<T> {
    return reading.catch((error: Error) => {
      if (error instanceof TroupeError) throw error;
      this.#fault(error);
      throw moved(this.number);
    });
  }

  async #history(root: string, after: number, limit: number): Promise<HistoryPage> {
    const history = await this.#loader.loadHistory(root);
    const { last } = history;
    const events: StoredEvent[] = [];
    for (let no = after + 1; no <= last && events.length < limit; ) {
      const first = history.recent[0]?.no ?? last + 1;
      const from =
        no >= first
          ? history.recent.slice(no - first)
          : (await this.#loader.page(root, Math.floor((no - 1) / pageEvents))).slice((no - 1) % pageEvents);
      if (from.length === 0) break;
      for (const event of from) if (events.length < limit) events.push(event);
      no = (events.at(-1)?.no ?? last) + 1;
    }
    return { events, last };
  }

  /** Finishes the group under way, writes what is dirty, and lets go. */
  async close(): Promise<void> {
    if (this.phase === "serving") {
      await this.#quiet();
      await this.#flusher.flush().catch(() => {});
      this.#keeping.wantFloor();
      this.#wake();
      await this.#quiet();
    }
    this.#stop();
  }

  /** Drops everything at once: another owner has it, or the process is made to look dead (simulation). */
  abandon(): void {
    this.#stop();
  }

  #quiet(): Promise<void> {
    return this.#looping ? new Promise((resolve) => this.#idle.push(resolve)) : Promise.resolve();
  }

  #stop(): void {
    if (this.phase === "stopped") return;
    this.phase = "stopped";
    this.#reminders.stop();
    this.#keeping.stop();
    const waiting = [...this.#inbox.clear(), ...[...this.#parked.values()].flat()];
    this.#parked.clear();
    for (const item of waiting) if (item.kind === "ask") item.fail(moved(this.number));
    for (const entry of this.state.entries.values()) {
      for (const id of entry.work?.keys() ?? [])
        this.#env.abortWork(entry.address, id, "the partition moved to another node");
    }
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** A record that contradicts the journal may only mean that another owner is at work: the journal's end tells. */
  #fault(error: Error): void {
    if (!(error instanceof StoreFault)) {
      this.#fail(error);
      return;
    }
    void ownerAtEnd(this.#env.bus, this.#env.codec, this.state, this.#env.boot).then(
      (ours) => (ours ? this.#fail(error) : this.#lose()),
      () => this.#fail(error),
    );
  }

  #fail(error: Error): void {
    if (this.phase === "stopped") return;
    this.#env.logger.error(
      { partition: this.number, err: error },
      "the partition stops: its store cannot be trusted or written",
    );
    this.#stop();
    this.#env.onStopped(this.number, error);
  }

  #wake(): void {
    if (this.#looping || this.phase !== "serving") return;
    this.#looping = true;
    queueMicrotask(() => void this.#loop());
  }

  async #loop(): Promise<void> {
    try {
      while (this.phase === "serving" && (await this.#round()));
    } catch (error) {
      this.#fault(error as Error);
    }
    this.#looping = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  /** One group. False: nothing waits that could be done now. */
  async #round(): Promise<boolean> {
    this.#keeping.tidy();
    const { state, number } = this;
    const bytesMax = this.#env.bus.journal.payloadBytesMax >> 1;
    const builder = this.#builder(bytesMax);
    builder.fill(this.#inbox);
    if (!builder.changed && !this.#keeping.floorWanted) {
      this.#passOver(builder);
      this.#settle(builder.settled);
      return builder.taken.length > 0 || builder.takenLetters.length > 0;
    }
    const { epoch, seq: prevSeq, checksum: prevChecksum, recordsSeq } = state;
    const position = { epoch, owner: null, prevSeq, prevChecksum, floor: this.#keeping.floor, recordsSeq };
    const group = builder.finish(position, this.#keeping.horizon());
    const sealed = encodeGroup(this.#env.codec, group);
    if (sealed.bytes.length > bytesMax && !this.#accept(builder, sealed.bytes.length)) return true;
    const { bus, logger } = this.#env;
    const commit = { journal: bus.journal, clock: bus.clock, logger, stopped: () => this.phase === "stopped" };
    const outcome = await commitGroup(commit, number, sealed.bytes, state.seq);
    if (outcome.kind === "stored" && this.phase === "serving") {
      this.#stored(builder, group, outcome.seq, sealed.checksum, sealed.bytes.length);
      return true;
    }
    this.#notStored(builder, outcome.kind);
    if (outcome.kind !== "full") return false;
    await bus.clock.sleep(500);
    return true;
  }

  #builder(bytesMax: number): GroupBuilder {
    const { boot, logger, bus } = this.#env;
    return new GroupBuilder({
      state: this.state,
      boot,
      now: Math.max(this.state.time, bus.clock.now()),
      logger,
      bytesMax,
      stepsMax: this.#stepsMax,
      partitionOf: this.#env.partitionOf,
      resident: (address) => this.#loader.resident(address),
      park: (item) => this.#park(item),
      prefetch: (address) => void this.#load(address).then(() => this.#wake()),
    });
  }

  /** A group over its bound is made again with fewer steps; a single item may use the whole message. */
  #accept(builder: GroupBuilder, bytes: number): boolean {
    const items = builder.taken.length + builder.takenLetters.reduce((sum, [, count]) => sum + count, 0);
    if (items <= 1 && bytes <= this.#env.bus.journal.payloadBytesMax) return true;
    const [only] = builder.taken;
    if (items === 1 && only?.kind === "ask") {
      only.fail(
        new TroupeError("too_large", `What the command changes is ${bytes} bytes, more than one commit can hold.`),
      );
      return false;
    }
    if (items <= 1) throw new Error(`a single command changes ${bytes} bytes, more than a message can hold`);
    this.#inbox.unshift(builder.taken);
    this.#stepsMax = Math.max(1, builder.steps >> 1);
    return false;
  }

  #stored(builder: GroupBuilder, group: Group, seq: number, checksum: string, bytes: number): void {
    this.state.commit(group, seq, checksum, builder.drafts.values());
    this.commits++;
    this.steps += builder.steps;
    this.#stepsMax = Math.min(limits.groupStepsMax, this.#stepsMax * 2);
    this.#keeping.stored(seq, bytes, builder.changed);
    this.#passOver(builder);
    for (const { address, id } of builder.aborted) this.#env.abortWork(address, id, "settled");
    for (const { entry, id } of builder.work) this.#startWork(entry, id);
    for (const { entry, reminders } of builder.drafts.values()) {
      for (const [name, reminder] of reminders ?? []) {
        if (reminder !== null)
          this.#reminders.add({ at: reminder.at, address: entry.address, name, arming: reminder.arming });
      }
    }
    this.#settle(builder.settled);
    if (builder.events.length > 0) this.#env.announce(builder.events);
    this.#mail.pump();
  }

  /** Letters that the cursor has passed leave the queue; their senders hear of it. */
  #passOver(builder: GroupBuilder): void {
    for (const [from, count] of builder.takenLetters) {
      const channel = this.#inbox.channel(from);
      channel.letters.splice(0, count);
      for (const wake of channel.wake.splice(0)) wake();
    }
  }

  #notStored(builder: GroupBuilder, kind: "full" | "lost" | "stopped" | "stored"): void {
    const full = new TroupeError("storage_full", "The store refused the commit for want of room; nothing was changed.");
    const rest: Item[] = [];
    for (const item of builder.taken) {
      if (item.kind === "ask") item.fail(kind === "full" ? full : moved(this.number));
      else rest.push(item);
    }
    if (kind === "full") this.#inbox.unshift(rest);
    if (kind === "lost") this.#lose();
  }

  #lose(): void {
    if (this.phase === "stopped") return;
    this.#env.logger.warn({ partition: this.number }, "another node owns the partition now");
    this.#stop();
    this.#env.onStopped(this.number, "lost");
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
    this.#env.startWork({
      address: entry.address,
      id,
      kind: work.kind,
      spec: work.spec,
      context: entry.snapshot.context,
    });
  }

  #park(item: Item): void {
    const name = formatAddress(item.address);
    const parked = this.#parked.get(name);
    if (parked !== undefined) {
      parked.push(item);
      return;
    }
    this.#parked.set(name, [item]);
    void this.#load(item.address).then(() => {
      const items = this.#parked.get(name) ?? [];
      this.#parked.delete(name);
      if (this.phase === "stopped") return;
      if (this.state.stepper(item.address.type) === undefined) this.#refuseUnknown(items);
      else this.#inbox.unshift(items);
      this.#wake();
    });
  }

  #refuseUnknown(items: readonly Item[]): void {
    for (const item of items) {
      if (item.kind === "ask") item.fail(new TroupeError("not_found", `There is no actor type ${item.address.type}.`));
    }
  }

  /** Brings the actor into memory with its reminders; a failure stops the partition. */
  async #load(address: Address): Promise<void> {
    try {
      await this.#loadEntry(address);
    } catch (error) {
      this.#fault(error as Error);
    }
  }

  async #loadEntry(address: Address): Promise<Entry | undefined> {
    const stepper = this.state.stepper(address.type);
    if (stepper === undefined) return undefined;
    const name = formatAddress(address);
    const before = this.state.entries.get(name);
    const entry = await this.#loader.load(address, stepper);
    if (before === undefined && !this.#armed.has(entry)) this.#arm(entry);
    return entry;
  }

  readonly #armed = new WeakSet<Entry>();

  /** Once per activation: its reminders into the heap, and the work of dead processes back to it. */
  #arm(entry: Entry): void {
    this.#armed.add(entry);
    for (const [name, r] of entry.reminders ?? [])
      this.#reminders.add({ at: r.at, address: entry.address, name, arming: r.arming });
    for (const [id, work] of entry.work ?? []) {
      if (work.boot === this.#env.boot || this.#env.isLive(work.boot)) continue;
      const command = { type: "work.lose", id, reason: "the process that ran it is gone" };
      this.#inbox.push({ kind: "own", address: entry.address, command });
    }
    this.#wake();
  }
}

function viewOf(entry: Entry): Json {
  const { snapshot, stepper } = entry;
  if (snapshot === null) return null;
  const { view } = stepper.definition;
  return view === undefined ? (snapshot.context as Json) : view(snapshot as never);
}

function moved(partition: number): TroupeError {
  return new TroupeError(
    "moved",
    `Partition ${partition} changed its owner; whether the command took effect is unknown.`,
  );
}
