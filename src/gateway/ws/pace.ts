/**
 * How many messages one client may send: a bucket that fills at a steady rate. Over it a message is refused; a
 * client that does not stop is to be closed. Owns the counting only.
 */
import type { GatewayClock } from "../config.ts";

const burstSeconds = 10;

export class Pace {
  private readonly clock: GatewayClock;
  private readonly perSecond: number;
  private left: number;
  private at: number;
  private refused = 0;

  constructor(clock: GatewayClock, perSecond: number) {
    this.clock = clock;
    this.perSecond = perSecond;
    this.left = perSecond * burstSeconds;
    this.at = clock.monotonic();
  }

  /** What to do with the next message. */
  next(): "take" | "refuse" | "close" {
    const now = this.clock.monotonic();
    const most = this.perSecond * burstSeconds;
    this.left = Math.min(most, this.left + ((now - this.at) / 1000) * this.perSecond);
    this.at = now;
    if (this.left >= 1) {
      this.left--;
      this.refused = 0;
      return "take";
    }
    this.refused++;
    return this.refused > most ? "close" : "refuse";
  }
}
