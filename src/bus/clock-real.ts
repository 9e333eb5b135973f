/**
 * This process's own time, timers and randomness, for drivers and tests that need no server's
 * clock. With `nats/clock.ts` the only place in the bus that touches the real ones.
 */
import { randomFillSync } from "node:crypto";
import type { Clock, Random, TimerHandle } from "./clock.ts";
import { makeId } from "./id.ts";

/** setTimeout holds 31 bits; a longer wait is split. */
const TIMER_MS_MAX = 2_147_483_647;

export class RealClock implements Clock {
  now(): number {
    return Date.now();
  }

  monotonic(): number {
    return performance.now();
  }

  /** Waits longer than 2^31 ms are clamped to it: the caller looks at the time again anyway. */
  after(ms: number, fn: () => void): TimerHandle {
    const timer = setTimeout(fn, Math.min(Math.max(0, ms), TIMER_MS_MAX));
    return { cancel: () => clearTimeout(timer) };
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, resolve);
    });
  }
}

const POOL_BYTES = 4096;
const ID_RANDOM_BYTES = 16;

/** Randomness from the operating system; ids begin with the given clock's time. */
export class RealRandom implements Random {
  private readonly pool = new Uint8Array(POOL_BYTES);
  private used = POOL_BYTES;

  constructor(private readonly clock: Pick<Clock, "now">) {}

  id(): string {
    return makeId(this.clock.now(), this.take(ID_RANDOM_BYTES));
  }

  float(): number {
    const b = this.take(4);
    return (((b[0] ?? 0) << 24) | ((b[1] ?? 0) << 16) | ((b[2] ?? 0) << 8) | (b[3] ?? 0)) / 2 ** 32 + 0.5;
  }

  private take(count: number): Uint8Array {
    if (this.used + count > POOL_BYTES) {
      randomFillSync(this.pool);
      this.used = 0;
    }
    this.used += count;
    return this.pool.subarray(this.used - count, this.used);
  }
}
