/**
 * Makes one group out of what waits: steps actors on drafts, follows sends within the partition,
 * gathers everything that one journal message must hold, and what may leave once it is stored. Changes no
 * committed state; a builder is used once and dropped if its group is not stored.
 */
import { type Address, formatAddress, rootOf } from "../machines/address.ts";
import type { Snapshot } from "../machines/definition.ts";
import type { Command, Effect, Json, JsonObject } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { AskerChanges } from "./askers.ts";
import type { BuilderEnvironment } from "./builder-environment.ts";
import type { LiveMessage, StoredEvent } from "./client.ts";
import { deadLetterAddress, deadLetterOf, tried } from "./dead-letters.ts";
import { type Draft, draftOf, draftReminder, draftWork, type Entry } from "./entry.ts";
import type { Group, Letter } from "./group.ts";
import type { AskItem, Inbox, Item } from "./inbox.ts";
import { type Limits, limits } from "./limits.ts";
import { changeOf, changes, deadLetterEvent, kindOf, newsOf, replyOf } from "./outcome.ts";
import { effectBytes, roughBytes } from "./size.ts";

/** An answer that waits for the commit. */
export interface Settled {
  readonly item: AskItem;
  readonly entry: Entry | undefined;
  readonly reply: Json;
  readonly error: TroupeError | undefined;
}

export class GroupBuilder {
  readonly drafts = new Map<Entry, Draft>();
  readonly settled: Settled[] = [];
  /** Items that went into this group, in order: they go back if it is not stored. */
  readonly taken: Item[] = [];
  readonly takenLetters: [from: number, count: number][] = [];
  readonly work: { readonly entry: Entry; readonly id: string }[] = [];
  readonly aborted: { readonly address: Address; readonly id: string; readonly boot: string }[] = [];
  readonly events: StoredEvent[] = [];
  readonly news: LiveMessage[] = [];
  /** What was stepped, without what that sent: an ask, or another's command. */
  readonly heads: (AskItem | Command)[] = [];
  readonly #env: BuilderEnvironment;
  readonly #limits: Limits = limits;
  readonly #askers = new AskerChanges();
  readonly #mail: [number, number, Letter][] = [];
  readonly #mailTo = new Map<number, number>();
  readonly #cursors = new Map<number, number>();
  readonly #lastEvent = new Map<string, number>();
  readonly #local: { readonly address: Address; readonly command: Command }[] = [];
  #localAt = 0;
  #steps = 0;
  #bytes = 512;
  #asked = false;
  #dead = 0;

  constructor(env: BuilderEnvironment) {
    this.#env = env;
  }

  /** Takes from the inbox until it is empty or the group is full. */
  fill(inbox: Inbox): void {
    this.#takeLetters(inbox);
    while (!this.full) {
      const item = inbox.shift();
      if (item === undefined) break;
      this.#take(item);
    }
  }

  get full(): boolean {
    return this.heads.length >= this.#env.headsMax || this.#crowded;
  }

  get #crowded(): boolean {
    return this.#steps >= this.#env.stepsMax || this.#bytes * 2 > this.#env.bytesMax;
  }

  get steps(): number {
    return this.#steps;
  }

  /** True when there is something to commit. */
  get changed(): boolean {
    return (
      this.drafts.size > 0 || this.events.length > 0 || this.#cursors.size > 0 || this.#mail.length > 0 || this.#asked
    );
  }

  /** The group; position and floor come from the caller. */
  finish(position: Omit<Group["body"], "actors" | "mail" | "cursors" | "acked" | "askers">, horizon: number): Group {
    const { state, now } = this.#env;
    return {
      partition: state.partition,
      number: state.number + 1,
      time: now,
      horizon,
      events: this.events,
      body: {
        ...position,
        actors: [...this.drafts.values()].map(changeOf),
        mail: this.#mail,
        cursors: [...this.#cursors],
        acked: state.channels.takeAcked(),
        askers: this.#askers.toChanges(),
      },
    };
  }

  #takeLetters(inbox: Inbox): void {
    for (const [from, channel] of inbox.incoming) {
      let count = 0;
      while (count < channel.letters.length && !this.full) {
        const { number, letter } = channel.letters[count] as { number: number; letter: Letter };
        const cursor = this.#cursors.get(from) ?? this.#env.state.channels.cursor(from);
        if (number <= cursor) {
          count++;
          continue;
        }
        if (number !== cursor + 1) {
          // A hole: what follows is sent again by the sender, who keeps all until it is acknowledged.
          channel.letters.length = count;
          break;
        }
        if (this.#env.state.stepper(letter.to.type) === undefined) {
          this.#cursors.set(from, number);
          this.#keepDead(letter.to, letter.command, `no actor type ${letter.to.type}`, `letter of partition ${from}`);
          this.#drainLocal();
          count++;
          continue;
        }
        if (this.#env.resident(letter.to) === undefined) {
          this.#env.prefetch(letter.to);
          break;
        }
        this.#bytes += roughBytes(letter.command);
        this.#cursors.set(from, number);
        this.heads.push(letter.command);
        this.#deliver(letter.to, letter.command, `letter ${number} of partition ${from}`);
        this.#drainLocal();
        count++;
      }
      if (count > 0) this.takenLetters.push([from, count]);
    }
  }

  #take(item: Item): void {
    const entry = this.#env.resident(item.address);
    if (entry === undefined) {
      this.#env.park(item);
      return;
    }
    this.taken.push(item);
    if (item.kind === "ask") this.#ask(item, entry);
    else if (item.kind === "own") {
      this.heads.push(item.command);
      this.#deliver(item.address, item.command, "the runtime");
    } else this.#remind(entry, item.due.name, item.due.arming);
    this.#drainLocal();
  }

  #ask(item: AskItem, entry: Entry): void {
    const { state, now } = this.#env;
    const known = state.askers.find(item.id) ?? this.#askers.find(item.id);
    if (known !== undefined) {
      this.settled.push({ item, entry, reply: known.reply, error: undefined });
      return;
    }
    try {
      if (now > item.until)
        throw new TroupeError("timed_out", "The ask came to its actor after its deadline; nothing was done.");
      if (state.askers.passed(item.id) || this.#askers.passed(item.id))
        throw new TroupeError("timed_out", "The ask came after its asker had given it up; nothing was done.");
      if (state.askers.full)
        throw new TroupeError("overloaded", "Too many recent commands are remembered in this partition.");
      const bytes = roughBytes(item.command);
      if (bytes * 2 > this.#env.bytesMax) {
        throw new TroupeError(
          "too_large",
          `The command is about ${bytes} bytes; at most ${this.#env.bytesMax >> 1} are taken.`,
        );
      }
      this.#bytes += bytes;
      this.heads.push(item);
      const outcome = this.#step(entry, item.command, true);
      const reply = outcome.reply ?? null;
      if (outcome.changed) {
        this.#askers.add(item.id, item.until, reply);
        this.#asked = true;
      }
      this.settled.push({ item, entry, reply, error: undefined });
    } catch (error) {
      this.settled.push({ item, entry, reply: null, error: this.#refusal(error, item.address, item.command) });
    }
  }

  /** A command without an asker: refusals are passed over, faults become dead letters. */
  #deliver(address: Address, command: Command, source: string): void {
    const entry = this.#env.resident(address);
    if (entry === undefined) throw new Error(`${formatAddress(address)} is not in memory`);
    try {
      if (command === this.#env.oversize) throw new Error("what it changes is more than one commit can hold");
      tried(() => this.#step(entry, command, false));
    } catch (error) {
      if (error instanceof TroupeError) {
        this.#env.logger.debug(
          { actor: formatAddress(address), command: command.type, source, code: error.code },
          "refused",
        );
        return;
      }
      this.#deadLetter(entry, command, error, source);
    }
  }

  #remind(entry: Entry, name: string, arming: number): void {
    const draft = this.drafts.get(entry) ?? draftOf(entry);
    const reminder = draftReminder(draft, name);
    if (reminder === undefined || reminder.arming !== arming || reminder.at > this.#env.now) return;
    this.heads.push(reminder.command);
    this.#deliver(entry.address, reminder.command, `reminder ${name}`);
    const after = this.#draft(entry);
    if (draftReminder(after, name)?.arming !== arming) return;
    if (after.step === draft.step) after.step++;
    after.reminders ??= new Map();
    after.reminders.set(name, null);
  }

  #drainLocal(): void {
    while (this.#localAt < this.#local.length) {
      const { address, command } = this.#local[this.#localAt++] as { address: Address; command: Command };
      this.#deliver(address, command, "a send");
    }
    this.#local.length = 0;
    this.#localAt = 0;
  }

  /** One step of one actor on its draft. Throws what refuses it, with nothing changed. */
  #step(entry: Entry, command: Command, asked: boolean): { changed: boolean; reply: Json | undefined } {
    const draft = this.drafts.get(entry);
    const before = draft !== undefined ? draft.snapshot : entry.snapshot;
    const meta = { self: entry.address, now: this.#env.now };
    this.#steps++;
    const { snapshot, effects } = entry.stepper.step(before, command, meta);
    if (effects.length > this.#limits.stepEffectsMax) {
      throw new Error(`${effects.length} effects in one step; at most ${this.#limits.stepEffectsMax}`);
    }
    // All that can be wrong with an effect shows here: from now on the step is taken whole.
    const sizes = effects.map((effect) => effectBytes(effect, (type) => this.#env.state.stepper(type) !== undefined));
    if (asked) this.#checkBacklog(effects);
    const changed = snapshot !== (before ?? entry.stepper.initial) || effects.some(changes);
    if (!changed) return { changed, reply: replyOf(effects) };
    if (
      before === null &&
      snapshot === entry.stepper.initial &&
      effects.every((e) => e.type === "send" || e.type === "reply")
    ) {
      // It only answered: it still does not exist, and leaves no record.
      effects.forEach((effect, i) => {
        if (effect.type === "send") this.#send(effect.to, effect.command, sizes[i] as number);
      });
      return { changed, reply: replyOf(effects) };
    }
    const next = this.#draft(entry);
    next.snapshot = snapshot;
    next.step++;
    effects.forEach((effect, i) => {
      this.#apply(next, effect, sizes[i] as number);
    });
    return { changed, reply: replyOf(effects) };
  }

  #draft(entry: Entry): Draft {
    let draft = this.drafts.get(entry);
    if (draft === undefined) {
      draft = draftOf(entry);
      this.drafts.set(entry, draft);
    }
    return draft;
  }

  #apply(draft: Draft, effect: Effect, bytes: number): void {
    const { address } = draft.entry;
    switch (effect.type) {
      case "send":
        this.#send(effect.to, effect.command, bytes);
        return;
      case "emit":
        this.#emit(draft.entry, draft.snapshot, effect.name, effect.data, bytes);
        return;
      case "announce":
        this.news.push(newsOf(draft, effect.name, effect.data, this.#env.now));
        return;
      case "remind":
        this.#bytes += bytes;
        draft.reminders ??= new Map();
        draft.reminders.set(effect.name, { at: effect.at, arming: draft.step, command: effect.command });
        return;
      case "forget":
        if (draftReminder(draft, effect.name) === undefined) return;
        draft.reminders ??= new Map();
        draft.reminders.set(effect.name, null);
        return;
      case "execute":
        this.#bytes += bytes;
        draft.work ??= new Map();
        draft.work.set(effect.id, { kind: effect.kind, spec: effect.spec, boot: this.#env.boot });
        this.work.push({ entry: draft.entry, id: effect.id });
        return;
      case "settle": {
        const work = draftWork(draft, effect.id);
        if (work === undefined) return;
        draft.work ??= new Map();
        draft.work.set(effect.id, null);
        this.aborted.push({ address, id: effect.id, boot: work.boot });
        return;
      }
      case "reply":
      case "refuse":
        return;
    }
  }

  /**
   * Within the partition a command joins this group, unless its actor is not in memory, the group is
   * full, or earlier mail to this partition itself still waits: then it follows that mail, so that order holds.
   */
  #send(to: Address, command: Command, bytes: number): void {
    const { state } = this.#env;
    const target = this.#env.partitionOf(rootOf(to.key));
    if (target === state.partition) {
      const direct =
        this.#mailTo.get(target) === undefined &&
        state.channels.backlog(target) === 0 &&
        !this.#crowded &&
        this.#env.resident(to) !== undefined;
      if (direct) {
        this.#bytes += 64;
        this.#local.push({ address: to, command });
        return;
      }
    }
    const drafted = this.#mailTo.get(target) ?? 0;
    this.#mail.push([target, state.channels.nextNumber(target, drafted), { to, command }]);
    this.#mailTo.set(target, drafted + 1);
    this.#bytes += bytes;
  }

  #emit(entry: Entry, snapshot: Snapshot, name: string, data: JsonObject, bytes: number): void {
    const { address } = entry;
    const root = rootOf(address.key);
    const no = (this.#lastEvent.get(root) ?? this.#env.state.history(root).last) + 1;
    this.#lastEvent.set(root, no);
    const kind = kindOf(entry, snapshot);
    this.events.push({ root, no, type: address.type, key: address.key, kind, name, at: this.#env.now, data });
    this.#bytes += bytes;
  }

  #checkBacklog(effects: readonly Effect[]): void {
    for (const effect of effects) {
      if (effect.type !== "send") continue;
      const target = this.#env.partitionOf(rootOf(effect.to.key));
      if (this.#env.state.channels.backlog(target) < this.#limits.channelBacklogMax) continue;
      throw new TroupeError("overloaded", `Too much mail waits for partition ${target}.`);
    }
  }

  #refusal(error: unknown, address: Address, command: Command): TroupeError {
    if (error instanceof TroupeError) return error;
    this.#env.logger.error({ actor: formatAddress(address), command: command.type, err: error }, "a step threw");
    return new TroupeError("internal", `The step of ${command.type} failed; nothing was changed.`);
  }

  /** An event of the root tells of it, in the commit that passes the letter over. */
  #deadLetter(entry: Entry, command: Command, error: unknown, source: string): void {
    // An actor that does not exist goes on not to exist.
    const draft = entry.snapshot === null ? this.drafts.get(entry) : this.#draft(entry);
    if (draft !== undefined) draft.step++;
    const { data, bytes } = deadLetterEvent(command, error);
    this.#emit(entry, draft?.snapshot ?? entry.stepper.initial, "dead_lettered", data, bytes);
    this.#keepDead(entry.address, command, error, source);
  }

  /** The command and its cause, as an actor of its own. */
  #keepDead(to: Address, command: Command, error: unknown, source: string): void {
    const { state, bytesMax, logger } = this.#env;
    logger.error({ actor: formatAddress(to), command: command.type, source, err: error }, "dead letter");
    const at = deadLetterAddress(state.partition, state.number + 1, this.#dead++);
    // One of its own would go round for ever.
    if (to.type === at.type || state.stepper(at.type) === undefined) return;
    const kept = deadLetterOf(to, command, error, source, bytesMax);
    this.#send(at, kept, roughBytes(kept) + 64);
  }
}
