/**
 * Owns what one attempt tells its task, in order: start, then progress and notes, then the
 * report; one command under way at a time. Knows nothing of how the attempt runs.
 */
import type { TimerHandle } from "../../bus/clock.ts";
import type { Address } from "../../machines/address.ts";
import type { Command, JsonObject } from "../../machines/effects.ts";
import type { TroupeError } from "../../machines/errors.ts";
import type { ExecutorPort } from "./port.ts";
import { type Delivery, deliver } from "./retry.ts";

/** Progress of one attempt is told at most this often; the latest wins. */
export const progressIntervalMs = 250;
/** Notes that may wait for their delivery at once. */
export const notesWaitingMax = 1_000;

/** One for all: without a reason each abort makes an error with a stack of its own. */
const closed = new Error("the reporter is closed");

interface Item {
  readonly command: Command;
  readonly done?: (delivery: Delivery) => void;
}

export class Reporter {
  readonly #port: ExecutorPort;
  readonly #to: Address;
  readonly #attempt: number;
  readonly #onSettled: () => void;
  readonly #closed = new AbortController();
  readonly #items: Item[] = [];
  #progress: JsonObject | undefined;
  #progressAt = Number.NEGATIVE_INFINITY;
  #timer: TimerHandle | undefined;
  /** Not told yet. */
  #start: { readonly agent: string; readonly node: string } | undefined;
  #busy = false;
  #reporting = false;

  /** `onSettled`: the task has refused something as out of date; the attempt is nobody's any more. */
  constructor(port: ExecutorPort, to: Address, attempt: number, onSettled: () => void) {
    this.#port = port;
    this.#to = to;
    this.#attempt = attempt;
    this.#onSettled = onSettled;
  }

  /**
   * Tells the start, unless the attempt is over within a moment: then its report tells both, which
   * spares the task a step and the journal a commit.
   */
  start(agent: string): void {
    this.#start = { agent, node: this.#port.node };
    this.#port.clock.after(0, () => this.#tellStart());
  }

  #tellStart(): void {
    const start = this.#start;
    if (start === undefined) return;
    this.#start = undefined;
    this.#push({ command: { type: "task.start", attempt: this.#attempt, ...start } });
  }

  /** Adds a stored event, at least once (again after an unknown outcome); false when too many wait. */
  note(name: string, data: JsonObject): boolean {
    this.#tellStart();
    if (this.#items.length >= notesWaitingMax) return false;
    this.#push({ command: { type: "task.note", attempt: this.#attempt, name, data } });
    return true;
  }

  /** Keeps a value for the next attempt; resolves when it is settled. */
  save(command: JsonObject): Promise<Delivery> {
    this.#tellStart();
    return new Promise((done) => {
      this.#push({ command: { type: "task.save", attempt: this.#attempt, ...command }, done });
    });
  }

  /** Keeps the latest progress, and sends it when the last one is long enough ago. */
  progress(fraction: number, message?: string): void {
    if (this.#reporting || this.#closed.signal.aborted) return;
    this.#tellStart();
    this.#progress = message === undefined ? { fraction } : { fraction, message };
    void this.#pump();
  }

  /** The last word, sent until it is settled. Progress that has not left yet is dropped. */
  report(outcome: JsonObject): Promise<Delivery> {
    this.#reporting = true;
    this.#progress = undefined;
    this.#timer?.cancel();
    return new Promise((done) => {
      const start = this.#start === undefined ? {} : { start: this.#start };
      this.#start = undefined;
      this.#push({ command: { type: "task.report", attempt: this.#attempt, outcome, ...start }, done });
    });
  }

  /** Nothing more leaves from now on, not even a repetition. */
  close(): void {
    this.#closed.abort(closed);
    this.#timer?.cancel();
    this.#start = undefined;
    this.#progress = undefined;
    for (const item of this.#items.splice(0)) item.done?.({ kind: "aborted" });
  }

  #push(item: Item): void {
    if (this.#closed.signal.aborted) item.done?.({ kind: "aborted" });
    else this.#items.push(item);
    void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      while (!this.#closed.signal.aborted) {
        // Between finding nothing to send and being idle there must be no wait: what is pushed
        // in it would find the pump busy and stay.
        const item = this.#items.shift();
        const progress = item === undefined ? this.#takeProgress() : undefined;
        if (item !== undefined) await this.#send(item);
        else if (progress !== undefined) await this.#sendProgress(progress);
        else return;
      }
    } finally {
      this.#busy = false;
    }
  }

  async #send(item: Item): Promise<void> {
    const delivery = await deliver(this.#port, this.#to, item.command, this.#closed.signal);
    if (delivery.kind === "refused") {
      const fields = { task: this.#to.key, attempt: this.#attempt, command: item.command.type, err: delivery.error };
      this.#port.logger.warn(fields, "the task refused a command of its attempt");
    }
    item.done?.(delivery);
    if (delivery.kind === "settled" && item.done === undefined && this.#isOutOfDate(delivery.error)) this.#onSettled();
  }

  /**
   * True when the task has another attempt, or is gone. A plain `conflict` does not say so: a
   * start that was sent again because its outcome was unknown meets a task that runs already.
   */
  #isOutOfDate(error: TroupeError): boolean {
    const current = error.details?.attempt;
    return error.code === "not_found" || (current !== undefined && current !== this.#attempt);
  }

  /** The waiting progress if its time has come; else comes back when it has. */
  #takeProgress(): JsonObject | undefined {
    const progress = this.#progress;
    if (progress === undefined) return undefined;
    const { clock } = this.#port;
    const waitMs = this.#progressAt + progressIntervalMs - clock.monotonic();
    if (waitMs > 0) {
      this.#timer?.cancel();
      this.#timer = clock.after(waitMs, () => void this.#pump());
      return undefined;
    }
    this.#progress = undefined;
    this.#progressAt = clock.monotonic();
    return progress;
  }

  /** Once only: a newer one follows, or the report. */
  async #sendProgress(progress: JsonObject): Promise<void> {
    try {
      await this.#port.ask(this.#to, { type: "task.progress", attempt: this.#attempt, ...progress });
    } catch (err) {
      this.#port.logger.debug({ task: this.#to.key, err }, "progress was not taken");
    }
  }
}
