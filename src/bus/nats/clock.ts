/**
 * The NATS server's time, estimated: this process's monotonic clock and an offset measured from
 * time stamps in the server's answers. Between measurements it neither steps nor follows the
 * wall clock of this machine.
 */
import type { Clock, TimerHandle } from "../clock.ts";
import { systemClock } from "../system-clock.ts";

const REFRESH_MS = 30_000;
const SAMPLES = 4;

/** Asks the server for its time (ms, with fraction); throws when there is no answer. */
export type AskServerTime = () => Promise<number>;

export class NatsClock implements Clock {
  /** Server time minus monotonic time. Until the first measurement: this machine's wall clock. */
  private offset = systemClock.now() - systemClock.monotonic();
  private refresh: TimerHandle | undefined;
  private stopped = false;

  now(): number {
    return Math.floor(this.offset + systemClock.monotonic());
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  after(ms: number, fn: () => void): TimerHandle {
    return systemClock.after(ms, fn);
  }

  sleep(ms: number): Promise<void> {
    return systemClock.sleep(ms);
  }

  /** Measures now (throws when the server does not answer) and then every 30 s until `stop`. */
  async follow(ask: AskServerTime): Promise<void> {
    await this.measure(ask);
    const again = () => {
      if (this.stopped) return;
      this.refresh = this.after(REFRESH_MS, () => {
        // A failed measurement keeps the former offset; the next one comes anyway.
        this.measure(ask)
          .catch(() => {})
          .finally(again);
      });
    };
    again();
  }

  stop(): void {
    this.stopped = true;
    this.refresh?.cancel();
  }

  /** Of several samples the one with the smallest round trip counts: its error is at most half of that. */
  private async measure(ask: AskServerTime): Promise<void> {
    let best = Number.POSITIVE_INFINITY;
    let offset = this.offset;
    for (let i = 0; i < SAMPLES; i++) {
      const sent = systemClock.monotonic();
      const serverTime = await ask();
      const received = systemClock.monotonic();
      if (received - sent >= best) continue;
      best = received - sent;
      offset = serverTime - (sent + received) / 2;
    }
    this.offset = offset;
  }
}
