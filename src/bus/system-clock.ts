/**
 * The real clock and the real randomness. Owns: every call of Date.now, performance.now, timers
 * and the random generator in the bus. Not owned: the NATS server's time, which the NATS driver
 * learns and hands in by `setOffset`.
 */
import { randomBytes } from "node:crypto";
import type { Clock, Random, TimerHandle } from "./clock.ts";
import { makeId } from "./id.ts";

/** The longest delay that Node's timers hold; a longer one would fire at once. */
const timerMsMax = 2_147_483_647;

export interface SystemClock extends Clock {
  /** What to add to this machine's wall clock to get the server's, in milliseconds. */
  setOffset(ms: number): void;
  /** As `Clock.after`; `unref` lets the process end while the timer waits. */
  after(ms: number, fn: () => void, options?: { readonly unref?: boolean }): TimerHandle;
}

/** A clock on this machine's time, corrected by an offset that may be set later. */
export function createSystemClock(): SystemClock {
  let offsetMs = 0;
  const after: SystemClock["after"] = (ms, fn, options) => {
    const timer = setTimeout(fn, clampDelay(ms));
    if (options?.unref) timer.unref();
    return { cancel: () => clearTimeout(timer) };
  };
  return {
    now: () => Math.round(Date.now() + offsetMs),
    monotonic: () => performance.now(),
    after,
    sleep: (ms) =>
      new Promise((resolve) => {
        after(ms, resolve);
      }),
    setOffset(ms) {
      offsetMs = ms;
    },
  };
}

/** Non-negative and at most what a timer can hold; NaN counts as 0. */
function clampDelay(ms: number): number {
  return ms > 0 ? Math.min(ms, timerMsMax) : 0;
}

/** This machine's clock without an offset, for what needs no server's time (start-up, supervision). */
export const systemClock: Clock = createSystemClock();

/** Randomness of the operating system; ids carry this machine's wall clock. */
export const systemRandom: Random = {
  id: () => makeId(Date.now(), randomBytes(16)),
  float: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};
