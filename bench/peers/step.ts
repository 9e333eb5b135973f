/**
 * The one step of every workflow here: its input and one. It stamps its begin and its end, so that the time between
 * two steps is taken inside the process that runs them, the same way for every system.
 */

export interface Passed {
  readonly value: number;
  /** Begin and end of each step so far, ms since the epoch, with fractions. */
  readonly stamps: readonly number[];
}

export const steps = 3;

export function increment({ value, stamps }: Passed): Passed {
  const begin = now();
  return { value: value + 1, stamps: [...stamps, begin, now()] };
}

/** From the end of each step to the begin of the next one, ms. */
export function betweenSteps({ stamps }: Passed): number[] {
  const gaps: number[] = [];
  for (let i = 2; i < stamps.length; i += 2) gaps.push((stamps[i] ?? 0) - (stamps[i - 1] ?? 0));
  return gaps;
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
