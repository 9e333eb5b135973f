/** Owns a request's time-outs: aborts its signal when what is expected next does not come in time. */
import { ModelFailure } from "./failure.ts";

interface Timers {
  after(ms: number, fn: () => void): { cancel(): void };
}

export class Watchdog {
  readonly #timers: Timers;
  readonly #controller = new AbortController();
  readonly #outer: AbortSignal;
  readonly #onOuter: () => void;
  #expected: { cancel(): void } | undefined;
  #total: { cancel(): void } | undefined;

  /** `outer`: aborts this one too. */
  constructor(timers: Timers, outer: AbortSignal) {
    this.#timers = timers;
    this.#outer = outer;
    this.#onOuter = () => this.#controller.abort(outer.reason);
    if (outer.aborted) this.#onOuter();
    else outer.addEventListener("abort", this.#onOuter, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The whole request has to end within `ms`. */
  total(ms: number): void {
    this.#total = this.#timers.after(ms, () => this.#fire("the whole answer", ms));
  }

  /** This has to come within `ms`; replaces what was expected before. */
  expect(what: string, ms: number): void {
    this.#expected?.cancel();
    this.#expected = this.#timers.after(ms, () => this.#fire(what, ms));
  }

  stop(): void {
    this.#expected?.cancel();
    this.#total?.cancel();
    this.#outer.removeEventListener("abort", this.#onOuter);
    if (!this.#controller.signal.aborted) this.#controller.abort(new Error("the request is over"));
  }

  #fire(what: string, ms: number): void {
    const message = `the model's endpoint did not send ${what} within ${ms} ms`;
    this.#controller.abort(new ModelFailure("model_timed_out", message, { retryable: true }));
  }
}
