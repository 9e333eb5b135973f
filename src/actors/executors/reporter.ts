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
  #busy = false;
  #reporting = false;

  /** `onSettled`: the task has refused something as out of date; the attempt is nobody's any more. */
  constructor(port: ExecutorPort, to: Address, attempt: number, onSettled: () => void) {
    this.#port = port;
    this.#to = to;
    this.#attempt = attempt;
    this.#onSettled = onSettled;
  }

  start(agent: string): void {
    this.#push({ command: { type: "task.start", attempt: this.#attempt, agent, node: this.#port.node } });
  }

  /** Adds a stored event, at least once (again after an unknown outcome); false when too many wait. */
  note(name: string, data: JsonObject): boolean {
    if (this.#items.length >= notesWaitingMax) return false;
    this.#push({ command: { type: "task.note", attempt: this.#attempt, name, data } });
    return true;
  }

  /** Keeps the latest progress, and sends it when the last one is long enough ago. */
  progress(fraction: number, message?: string): void {
    if (this.#reporting || this.#closed.signal.aborted) return;
    this.#progress = message === undefined ? { fraction } : { fraction, message };
    void this.#pump();
  }

  /** The last word, sent until it is settled. Progress that has not left yet is dropped. */
  report(outcome: JsonObject): Promise<Delivery> {
    this.#reporting = true;
    this.#progress = undefined;
    this.#timer?.cancel();
    return new Promise((done) => {
      this.#push({ command: { type: "task.report", attempt: this.#attempt, outcome }, done });
    });
  }

  /** Nothing more leaves from now on, not even a repetition. */
  close(): void {
    this.#closed.abort();
    this.#timer?.cancel();
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
        const item = this.#items.shift();
        if (item !== undefined) await this.#send(item);
        else if (!(await this.#sendProgress())) return;
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

  /** Sends the waiting progress if its time has come; false when there is nothing to do now. Once only: a newer one follows. */
  async #sendProgress(): Promise<boolean> {
    if (this.#progress === undefined) return false;
    const { clock } = this.#port;
    const waitMs = this.#progressAt + progressIntervalMs - clock.monotonic();
    if (waitMs > 0) {
      this.#timer?.cancel();
      this.#timer = clock.after(waitMs, () => void this.#pump());
      return false;
    }
    const progress = this.#progress;
    this.#progress = undefined;
    this.#progressAt = clock.monotonic();
    try {
      await this.#port.ask(this.#to, { type: "task.progress", attempt: this.#attempt, ...progress });
    } catch (err) {
      this.#port.logger.debug({ task: this.#to.key, err }, "progress was not taken");
    }
    return true;
  }
}
