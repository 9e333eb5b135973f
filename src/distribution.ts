/**
 * Amounts counted by ranges: what a histogram is made of. Recording is two additions and a short
 * search; owns no names, labels or output format (gateway/monitoring has them).
 */

/** What can be read of one. `counts[i]`: amounts up to `bounds[i]` and above the bound before; the last: above all. */
export interface Distributed {
  readonly bounds: readonly number[];
  readonly counts: ArrayLike<number>;
  readonly count: number;
  readonly sum: number;
}

export class Distribution implements Distributed {
  readonly bounds: readonly number[];
  readonly counts: Float64Array;
  count = 0;
  sum = 0;

  /** `bounds`: ascending upper bounds, inclusive. */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(amount: number): void {
    const { bounds, counts } = this;
    let i = 0;
    while (i < bounds.length && amount > (bounds[i] as number)) i++;
    counts[i] = (counts[i] as number) + 1;
    this.count++;
    this.sum += amount;
  }
}

/** Several of the same bounds as one. */
export function merged(bounds: readonly number[], parts: Iterable<Distributed>): Distributed {
  const whole = new Distribution(bounds);
  for (const part of parts) {
    whole.count += part.count;
    whole.sum += part.sum;
    for (let i = 0; i <= bounds.length; i++) whole.counts[i] = (whole.counts[i] as number) + (part.counts[i] as number);
  }
  return whole;
}

/**
 * The amount that a share (0–1) of all does not exceed, straight within its range as Prometheus does it; the highest
 * bound when it is beyond. Null without amounts.
 */
export function quantile(of: Distributed, share: number): number | null {
  if (of.count === 0) return null;
  const rank = share * of.count;
  let below = 0;
  for (let i = 0; i < of.bounds.length; i++) {
    const inside = of.counts[i] as number;
    if (inside > 0 && below + inside >= rank) {
      const from = i === 0 ? 0 : (of.bounds[i - 1] as number);
      return from + ((of.bounds[i] as number) - from) * ((rank - below) / inside);
    }
    below += inside;
  }
  return of.bounds.at(-1) as number;
}
