/** Seeded choices of a chaos test. The seed is printed; TROUPE_SEED repeats it. */

export interface Random {
  readonly seed: number;
  /** Integer in [low, high]. */
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
}

/** mulberry32 */
export function random(seed: number): Random {
  let state = seed >>> 0;
  const unit = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const between = (low: number, high: number): number => low + Math.floor(unit() * (high - low + 1));
  return {
    seed,
    between,
    chance: (probability) => unit() < probability,
    pick: (from) => from[between(0, from.length - 1)] as (typeof from)[number],
  };
}

/** TROUPE_SEED, or a new one; printed, so that a failure can be tried again. */
export function seeded(what: string): Random {
  const seed = Number(process.env.TROUPE_SEED ?? Math.floor(Math.random() * 2 ** 31));
  console.log(`${what}: TROUPE_SEED=${seed}`);
  return random(seed);
}
