/**
 * A partition as its owner holds it: taking over, the doors to it (ask, mail, read, list, history), and
 * letting go. The work itself is the loop's (loop.ts).
 */
import type { Address } from "../machines/address.ts";
import { TroupeError } from "../machines/errors.ts";
import { Activation } from "./activation.ts";
import type { NumberedLetter } from "./channels.ts";
import type { Answer, HistoryPage, PartitionStatus } from "./client.ts";
import { Flusher } from "./flusher.ts";
import { Housekeeping } from "./housekeeping.ts";
import { type AskItem, Inbox } from "./inbox.ts";
import { limits } from "./limits.ts";
import type { Place, Row } from "./listing.ts";
import { Loader, StoreFault } from "./loader.ts";
import { GroupLoop } from "./loop.ts";
import { MailPump } from "./mail.ts";
import { isOutage, moved, type PartitionEnvironment } from "./partition-environment.ts";
import { readActor, readHistory } from "./reads.ts";
import { ReminderHeap } from "./reminders.ts";
import { PartitionState } from "./state.ts";
import { completeIndex, ownerAtEnd, takeOver } from "./takeover.ts";
import type { PartitionTally } from "./tallies.ts";

/** How long letters may wait here before their sender hears how far it got. */
const receiveMs = 2000;

export type PartitionPhase = "recovering" | "serving" | "stopped";

export class Partition {
  readonly number: number;
  readonly state: PartitionState;
  phase: PartitionPhase = "recovering";
  readonly #env: PartitionEnvironment;
  readonly #inbox = new Inbox();
  readonly #loader: Loader;
  readonly #flusher: Flusher;
  readonly #reminders: ReminderHeap;
  readonly #mail: MailPump;
  readonly #keeping: Housekeeping;
  readonly #activation: Activation;
  readonly #loop: GroupLoop;
  #completed: Promise<void> = Promise.resolve();

  constructor(number: number, env: PartitionEnvironment) {
    this.number = number;
    this.#env = env;
    const { bus, codec, logger, settings, boot } = env;
    const state = new PartitionState(number, env.steppers);
    const inbox = this.#inbox;
    const shared = {
      state,
      stopped: () => this.phase === "stopped",
      wake: () => this.#loop.wake(),
      onFault: (error: Error) => this.#fault(error),
    };
    this.state = state;
    // A quarter: the group in the making may add as much again, and estimates are rough.
    state.askers.bytesMax = bus.journal.payloadBytesMax >> 2;
    this.#loader = new Loader(state, bus.records, codec);
    const recall: Loader["recall"] = (history) => this.#loader.recall(history);
    const oldestTail = () => this.#loader.oldestTail();
    this.#flusher = new Flusher({
      ...shared,
      records: bus.records,
      codec,
      clock: bus.clock,
      logger,
      recall,
      oldestTail,
    });
    this.#reminders = new ReminderHeap(bus.clock, (due) => {
      const now = bus.clock.now();
      for (const one of due) env.measures.reminderSeconds.observe(Math.max(0, now - one.at) / 1000);
      for (const one of due) inbox.push({ kind: "reminder", address: one.address, due: one });
      this.#loop.wake();
    });
    this.#mail = new MailPump({
      state,
      clock: bus.clock,
      deliver: env.deliverMail,
      stopped: shared.stopped,
      payloadBytesMax: bus.journal.payloadBytesMax,
      measures: env.measures,
    });
    this.#keeping = new Housekeeping({ ...shared, flusher: this.#flusher, bus, settings });
    const parts = { state, inbox, loader: this.#loader, reminders: this.#reminders };
    this.#activation = new Activation({
      ...shared,
      ...parts,
      boot,
      measures: env.measures,
      isLive: env.isLive,
      holdsWork: env.holdsWork,
      askCustody: env.askCustody,
    });
    this.#loop = new GroupLoop({
      ...parts,
      env,
      activation: this.#activation,
      mail: this.#mail,
      keeping: this.#keeping,
      serving: () => this.phase === "serving",
      ours: () => this.#ours(),
      onLost: () => this.#lose(),
      onFault: shared.onFault,
    });
  }

  /** Sums over the index, when it is whole. */
  async tally(since: number | null): Promise<PartitionTally> {
    await this.#completed;
    if (this.phase === "stopped") throw moved(this.number);
    return this.state.listing.tallies.read(since);
  }

  /** Groups committed by this owner, for status. */
  get commits(): number {
    return this.#loop.commits;
  }

  /** Steps committed by this owner, for status. */
  get steps(): number {
    return this.#loop.steps;
  }

  /** Takes the partition over; afterwards it serves. Rejects when the store cannot be trusted. */
  async open(): Promise<void> {
    const env = { ...this.#env, state: this.state, loader: this.#loader, stopped: () => this.phase === "stopped" };
    const taken = await takeOver(env).catch(async (error: unknown) => {
      if (!(error instanceof StoreFault) || (await this.#ours())) throw error;
      this.#lose();
      return "stopped" as const;
    });
    if (taken === "stopped" || this.phase === "stopped") return;
    // The epoch entry may have come late, after the lease went to another: that owner must be left in peace.
    if (!(await this.#env.confirmLease())) {
      this.#lose();
      return;
    }
    if (this.#stopped()) return;
    this.phase = "serving";
    this.#keeping.begin(taken.tailBytes);
    this.#mail.pump();
    this.#loop.wake();
    const working: Address[] = [];
    this.#completed = completeIndex(
      env,
      (address) => this.#activation.load(address),
      ({ address, reminders, hasWork }) => {
        for (const [name, at, arming] of reminders) this.#reminders.add({ at, address, name, arming });
        if (hasWork) working.push(address);
      },
    ).then(
      () => {
        this.#loop.wake();
        void this.#activation.loadAll(working);
      },
      (error: Error) => this.#fault(error),
    );
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
    this.#loop.wake();
  }

  /** Letters of another partition (or of this one to itself); resolves with the cursor when they are applied, or after a while. */
  async receive(from: number, letters: readonly NumberedLetter[]): Promise<number> {
    const channel = this.#inbox.channel(from);
    const { channels } = this.state;
    const target = letters.at(-1)?.number ?? 0;
    let queued = channel.letters.at(-1)?.number ?? channels.cursor(from);
    for (const letter of letters) {
      if (letter.number !== queued + 1) continue;
      channel.letters.push(letter);
      queued = letter.number;
    }
    const { clock } = this.#env.bus;
    const deadline = clock.monotonic() + receiveMs;
    while (channels.cursor(from) < target && this.phase !== "stopped" && clock.monotonic() < deadline) {
      await new Promise<void>((resolve) => {
        const timer = clock.after(deadline - clock.monotonic(), resolve);
        channel.wake.push(() => {
          timer.cancel();
          resolve();
        });
        this.#loop.wake();
      });
    }
    if (this.phase === "stopped") throw moved(this.number);
    return channels.cursor(from);
  }

  /** The actor's committed view. Throws `not_found`. */
  read(address: Address): Promise<Answer> {
    return this.#guard(readActor(this.#reads(), address));
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

  history(root: string, after: number, limit: number): Promise<HistoryPage> {
    return this.#guard(readHistory(this.#reads(), root, after, limit));
  }

  #reads(): Parameters<typeof readActor>[0] {
    return {
      state: this.state,
      loader: this.#loader,
      activate: (address) => this.#activation.activate(address),
      holdsLease: this.#env.holdsLease,
    };
  }

  /** What reading the store brought to light is the partition's affair; who asked only tries again. */
  #guard<T>(reading: Promise<T>): Promise<T> {
    return reading.catch((error: Error) => {
      if (error instanceof TroupeError) throw error;
      this.#fault(error);
      throw moved(this.number);
    });
  }

  /** Looks after work that other processes run for this partition's actors. */
  async review(): Promise<void> {
    if (this.phase === "serving") await this.#activation.review();
  }

  /** For the cluster's status. */
  status(): PartitionStatus {
    const { state } = this;
    return {
      partition: this.number,
      state: this.phase,
      node: this.#env.boot,
      epoch: state.epoch,
      lastSeq: state.seq,
      actors: state.listing.size,
      dirty: state.dirtyEntries.size,
      lag: Math.max(0, state.seq - state.floor),
      waiting: this.#inbox.size,
      mail: state.channels.backlogTotal,
    };
  }

  /** Finishes the group under way, writes what is dirty, and lets go. */
  async close(): Promise<void> {
    if (this.phase === "serving") {
      await this.#loop.quiet();
      await this.#flusher.flush().catch(() => {});
      this.#keeping.wantFloor();
      this.#loop.wake();
      await this.#loop.quiet();
    }
    this.#stop();
  }

  /** Drops everything at once: another owner has it, or the process is made to look dead (simulation). */
  abandon(): void {
    this.#stop();
  }

  /** Work that was given out goes on: it reports to the next owner, which asks after it (custody.ts). */
  #stop(): void {
    if (this.phase === "stopped") return;
    this.phase = "stopped";
    this.#reminders.stop();
    this.#keeping.stop();
    for (const item of [...this.#inbox.clear(), ...this.#activation.clear()]) {
      if (item.kind === "ask") item.fail(moved(this.number));
    }
  }

  /** A record that contradicts the journal may only mean that another owner is at work: the journal's end tells. */
  #fault(error: Error): void {
    if (isOutage(error)) {
      this.#lose("the store does not answer; the partition is taken over again");
      return;
    }
    if (!(error instanceof StoreFault)) {
      this.#fail(error);
      return;
    }
    void this.#ours().then(
      (ours) => (ours ? this.#fail(error) : this.#lose()),
      () => this.#fail(error),
    );
  }

  /** Asked again after an await. */
  #stopped(): boolean {
    return this.phase === "stopped";
  }

  #ours(): Promise<boolean> {
    return ownerAtEnd(this.#env.bus, this.#env.codec, this.state, this.#env.boot);
  }

  #fail(error: Error): void {
    if (this.phase === "stopped") return;
    const what = "the partition stops: its store cannot be trusted or written";
    this.#env.logger.error({ partition: this.number, err: error }, what);
    this.#stop();
    this.#env.onStopped(this.number, error);
  }

  #lose(why = "another node owns the partition now"): void {
    if (this.phase === "stopped") return;
    this.#env.logger.warn({ partition: this.number }, why);
    this.#stop();
    this.#env.onStopped(this.number, "lost");
  }
}
