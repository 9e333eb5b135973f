/**
 * A client that sends one tally its commands, one after the other, each again until it is acknowledged. What it is
 * told goes to the ledger.
 */
import { pause } from "../chaos/harness.ts";
import type { Random } from "../chaos/random.ts";
import type { Caller, Outcome, Sent } from "./caller.ts";
import type { Ledger } from "./ledger.ts";
import type { Pace } from "./pace.ts";
import { patienceMs, stubbornMs, tallies } from "./settings.ts";

export interface LaneParts {
  readonly caller: Caller;
  readonly ledger: Ledger;
  readonly random: Random;
  readonly pace: Pace;
  /** How long each command took, from the first try to the answer. */
  onAnswer(sent: number, took: number): void;
}

export class Lane {
  readonly #name: string;
  readonly #tally: string;
  readonly #parts: LaneParts;
  #armed: number[] = [];
  #stopped = false;

  constructor(name: string, tally: string, parts: LaneParts) {
    this.#name = name;
    this.#tally = tally;
    this.#parts = parts;
    parts.ledger.write(["lane", name, tally]);
  }

  stop(): void {
    this.#stopped = true;
  }

  /** `open`: the last command never got an answer, or a wrong one. */
  async run(): Promise<"done" | "open"> {
    const { pace } = this.#parts;
    for (let no = 1; !this.#stopped; no++) {
      await pace.turn();
      if (this.#stopped) break;
      if (!(await this.#one(this.#choose(no)))) return "open";
    }
    return "done";
  }

  /** False: the lane cannot go on, its last command's outcome is not known. */
  async #one(command: Omit<Sent, "attempt">): Promise<boolean> {
    const { caller, ledger, onAnswer } = this.#parts;
    const { lane, no, act } = command;
    const what = `${act} ${lane}/${no}`;
    const sent = ledger.now();
    let patient = true;
    for (let attempt = 1; ; attempt++) {
      const outcome: Outcome = await caller.send({ ...command, attempt });
      const now = ledger.now();
      if (outcome.kind === "done") {
        ledger.write(["ack", lane, no, attempt, outcome.total, sent, now - sent]);
        this.#note(command);
        onAnswer(sent, now - sent);
        return true;
      }
      if (outcome.kind === "error" && !outcome.retryable) {
        ledger.write(["wrong", `${what}, try ${attempt}: ${outcome.code}`]);
        ledger.write(["open", lane, no]);
        return false;
      }
      if (patient && now - sent > patienceMs) {
        patient = false;
        const last = outcome.kind === "error" ? outcome.code : outcome.kind;
        ledger.write(["gave_up", `${what} after ${attempt} tries, the last: ${last}`, sent, now]);
      }
      if (now - sent > stubbornMs) {
        ledger.write(["open", lane, no]);
        return false;
      }
      await pause(20 + this.#parts.random.between(0, 80));
    }
  }

  /** Mostly plain ones; now and then a letter to another tally, a reminder, or the end of one. */
  #choose(no: number): Omit<Sent, "attempt"> {
    const { random } = this.#parts;
    const plain = { tally: this.#tally, lane: this.#name, no };
    const dice = random.between(1, 1000);
    if (dice <= 60) return { ...plain, act: "pass", to: random.pick(tallies) };
    if (dice <= 70) return { ...plain, act: "remind", in_ms: random.between(200, 6_000) };
    const [of] = this.#armed;
    if (dice <= 73 && of !== undefined) return { ...plain, act: "forget", of };
    return { ...plain, act: "add" };
  }

  #note({ no, act, of }: Omit<Sent, "attempt">): void {
    if (act === "remind") this.#armed = [...this.#armed.slice(-3), no];
    else if (act === "forget") this.#armed = this.#armed.filter((one) => one !== of);
  }
}
