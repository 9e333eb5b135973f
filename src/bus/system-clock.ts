/**
 * The real clock and the real randomness. Owns: every call of Date.now, performance.now, timers
 * and the random generator in the bus. Not owned: the NATS server's time, which the NATS driver
 * learns and hands in by `setOffset`.
 */
import { randomBytes } from "node:crypto";
import type { Clock, Random, TimerHandle } from "./clock.ts";

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

const idTimeChars = 10;
const idRandomBytes = 16;
/** 32 digits in ASCII order, so that ids sort by time of creation. */
const digits = "0123456789abcdefghjkmnpqrstvwxyz";

/** `floor(ms)` in base 32 over ten digits: enough until the year 37,000. */
function timePart(ms: number): string {
  let rest = Math.floor(ms);
  let text = "";
  for (let i = 0; i < idTimeChars; i++) {
    text = digits[rest % 32] + text;
    rest = Math.floor(rest / 32);
  }
  return text;
}

/** Randomness of the operating system; ids carry this machine's wall clock. */
export const systemRandom: Random = {
  id() {
    let text = timePart(Date.now());
    for (const byte of randomBytes(idRandomBytes)) text += digits[byte % 32];
    return text;
  },
  float: () => randomBytes(6).readUIntBE(0, 6) / 2 ** 48,
};
