/**
 * What the journal's events say of the tallies: each command of a lane once and in order, each try stepped at most once,
 * letters between tallies once and in order, reminders once and in time. Then the same compared with what clients saw.
 */
import type { StoredEvent } from "../../src/actors/client.ts";
import type { Seen } from "./ledger.ts";
import { lateMsMax } from "./settings.ts";

interface LaneSeen {
  readonly tally: string;
  /** The totals that commands 1, 2, 3… made. */
  readonly totals: number[];
  /** Tries of the commands that were stepped more than once, by number. */
  readonly tries: Map<number, number[]>;
}

interface Reminder {
  readonly due: number;
  readonly firedAt: number[];
  forgotten: boolean;
}

export interface TallyFindings {
  readonly lost: string[];
  readonly doubled: string[];
  readonly reordered: string[];
  readonly lettersLost: string[];
  readonly lettersDoubled: string[];
  readonly early: string[];
  readonly late: string[];
  readonly firedTwice: string[];
  readonly neverFired: string[];
  readonly firedForgotten: string[];
}

export class TallyCheck {
  readonly findings: TallyFindings = {
    lost: [],
    doubled: [],
    reordered: [],
    lettersLost: [],
    lettersDoubled: [],
    early: [],
    late: [],
    firedTwice: [],
    neverFired: [],
    firedForgotten: [],
  };
  acknowledged = 0;
  /** Commands that took more than one try. */
  retried = 0;
  /** Tries that came to their actor although the command was there already. */
  repeated = 0;
  letters = 0;
  /** How late each reminder was, ms. */
  readonly lateness: number[] = [];
  readonly #lanes = new Map<string, LaneSeen>();
  readonly #totals = new Map<string, number>();
  /** Letters heard, by `from to`: the last number. */
  readonly #heard = new Map<string, number>();
  readonly #passed = new Map<string, number>();
  readonly #reminders = new Map<string, Reminder>();

  /** An event of a tally, in the order of its root. */
  take(event: StoredEvent): void {
    // biome-ignore lint/suspicious/noExplicitAny: the tally's own events; each reader names the fields
    const data = event.data as any;
    if (event.name === "added") this.#added(event.key, data);
    else if (event.name === "repeated") this.#repeated(data);
    else if (event.name === "passed") this.#passed.set(`${event.key} → ${data.to}`, data.n);
    else if (event.name === "heard") this.#heardLetter(event.key, data);
    else if (event.name === "armed") {
      const { lane, no, due } = data as { lane: string; no: number; due: number };
      this.#reminders.set(`${lane}/${no}`, { due, firedAt: [], forgotten: false });
    } else if (event.name === "fired") this.#fired(event.at, data);
    else if (event.name === "forgotten") {
      const { lane, no } = data as { lane: string; no: number };
      const reminder = this.#reminders.get(`${lane}/${no}`);
      if (reminder !== undefined && reminder.firedAt.length === 0) reminder.forgotten = true;
    }
  }

  #added(
    tally: string,
    { lane, no, attempt, total }: { lane: string; no: number; attempt: number; total: number },
  ): void {
    let known = this.#lanes.get(lane);
    if (known === undefined) {
      known = { tally, totals: [], tries: new Map() };
      this.#lanes.set(lane, known);
    }
    if (known.tally !== tally) this.findings.reordered.push(`${lane} came to ${tally}, not ${known.tally}`);
    const before = known.totals.length;
    if (no <= before) this.findings.doubled.push(`${lane}/${no} was counted again`);
    else if (no !== before + 1) this.findings.reordered.push(`${lane}/${no} came after ${before}`);
    known.totals[no - 1] = total;
    if (attempt > 1) known.tries.set(no, [attempt]);
    const totalBefore = this.#totals.get(tally) ?? 0;
    if (total !== totalBefore + 1) this.findings.doubled.push(`${tally} counts ${total} after ${totalBefore}`);
    this.#totals.set(tally, total);
  }

  #repeated({ lane, no, attempt }: { lane: string; no: number; attempt: number }): void {
    this.repeated++;
    const known = this.#lanes.get(lane);
    if (known === undefined || no > known.totals.length) {
      this.findings.lost.push(`${lane}/${no} counts as taken, and never was`);
      return;
    }
    const tries = known.tries.get(no) ?? [1];
    if (tries.includes(attempt)) this.findings.doubled.push(`${lane}/${no}, try ${attempt}, was stepped twice`);
    known.tries.set(no, [...tries, attempt]);
  }

  #heardLetter(to: string, { from, n }: { from: string; n: number }): void {
    this.letters++;
    const channel = `${from} → ${to}`;
    const before = this.#heard.get(channel) ?? 0;
    if (n <= before) this.findings.lettersDoubled.push(`${channel}: letter ${n} after ${before}`);
    else if (n !== before + 1) this.findings.lettersLost.push(`${channel}: letter ${n} after ${before}`);
    this.#heard.set(channel, n);
  }

  #fired(at: number, { lane, no, due, now }: { lane: string; no: number; due: number; now: number }): void {
    const name = `${lane}/${no}`;
    const reminder = this.#reminders.get(name);
    if (reminder === undefined) {
      this.findings.firedTwice.push(`${name} fired without being armed`);
      return;
    }
    if (reminder.firedAt.length > 0) this.findings.firedTwice.push(`${name} fired again`);
    if (reminder.forgotten) this.findings.firedForgotten.push(`${name} fired after it was forgotten`);
    if (now < due || at < due || due !== reminder.due) this.findings.early.push(`${name}: ${due - now} ms early`);
    if (now - due > lateMsMax) this.findings.late.push(`${name}: ${now - due} ms late`);
    this.lateness.push(now - due);
    reminder.firedAt.push(now);
  }

  /** A line of the ledger, all journal messages having been taken. */
  compare(seen: Seen): void {
    if (seen[0] === "ack") {
      const [, lane, no, attempt, total] = seen;
      this.acknowledged++;
      if (attempt > 1) this.retried++;
      const stored = this.#lanes.get(lane)?.totals[no - 1];
      if (stored === undefined) this.findings.lost.push(`${lane}/${no} was acknowledged and is not in the journal`);
      else if (stored !== total) this.findings.lost.push(`${lane}/${no} was answered ${total}, ${stored} is stored`);
    } else if (seen[0] === "lane") {
      const came = this.#lanes.get(seen[1])?.tally ?? seen[2];
      if (came !== seen[2]) this.findings.reordered.push(`${seen[1]} was sent to ${seen[2]} and came to ${came}`);
    }
  }

  /** Letters and reminders that are still to come. */
  get open(): number {
    let open = 0;
    for (const [channel, sent] of this.#passed) open += Math.max(0, sent - (this.#heard.get(channel) ?? 0));
    for (const { firedAt, forgotten } of this.#reminders.values()) if (firedAt.length === 0 && !forgotten) open++;
    return open;
  }

  /** When all lines were compared. */
  finish(): void {
    for (const [channel, sent] of this.#passed) {
      const heard = this.#heard.get(channel) ?? 0;
      if (heard < sent) this.findings.lettersLost.push(`${channel}: ${sent} were sent, ${heard} came`);
    }
    for (const [name, { firedAt, forgotten }] of this.#reminders) {
      if (firedAt.length === 0 && !forgotten) this.findings.neverFired.push(`${name} never fired`);
    }
  }
}
