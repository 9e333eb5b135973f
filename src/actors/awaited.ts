/**
 * The asks that this process still awaits: gives each its number, knows the lowest one, and ends those whose
 * deadline passed, with one timer for all.
 */
import type { Clock, TimerHandle } from "../bus/clock.ts";
import type { AskId } from "./askers.ts";

const sweepMs = 100;

export class Awaited {
  readonly #boot: string;
  readonly #clock: Clock;
  /** Number → deadline (monotonic) and what to do then; in ascending order of number. */
  readonly #open = new Map<number, { deadline: number; expire: () => void }>();
  #next = 1;
  #timer: TimerHandle | undefined;

  constructor(boot: string, clock: Clock) {
    this.#boot = boot;
    this.#clock = clock;
  }

  get size(): number {
    return this.#open.size;
  }

  begin(timeoutMs: number, expire: () => void): AskId {
    const number = this.#next++;
    this.#open.set(number, { deadline: this.#clock.monotonic() + timeoutMs, expire });
    this.#timer ??= this.#clock.after(sweepMs, () => this.#sweep());
    const low = this.#open.keys().next().value ?? number;
    return { boot: this.#boot, number, low };
  }

  end(id: AskId): void {
    this.#open.delete(id.number);
  }

  #sweep(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (const [number, one] of this.#open) {
      if (one.deadline > now) continue;
      this.#open.delete(number);
      one.expire();
    }
    if (this.#open.size > 0) this.#timer = this.#clock.after(sweepMs, () => this.#sweep());
  }
}
