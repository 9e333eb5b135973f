/** Port Random from a seed: the same seed gives the same ids and floats. Not for secrets. */
import type { Clock, Random } from "../clock.ts";
import { makeId } from "../id.ts";

export class SeededRandom implements Random {
  private state: number;

  constructor(
    seed: number | string,
    private readonly clock: Pick<Clock, "now">,
  ) {
    this.state = hashText(String(seed));
  }

  id(): string {
    return makeId(
      this.clock.now(),
      Uint8Array.from({ length: 16 }, () => this.float() * 256),
    );
  }

  /** mulberry32 */
  float(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }
}

/** FNV-1a */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}
