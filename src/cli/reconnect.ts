/**
 * Going on after a lost connection: how long to wait, when to give up, when to say so. Owns the
 * back-off; not owned: the connections (sse.ts, socket.ts).
 */
import type { Clock } from "../bus/clock.ts";
import { CliError } from "./exit.ts";
import { pause } from "./io.ts";

const waitMsFirst = 100;
const waitMsMax = 2_000;

/** How long a server may be away before a command that follows it gives up, unless --timeout says otherwise. */
export const awayMsDefault = 120_000;

export interface ReconnectOptions {
  readonly clock: Clock;
  readonly stop: AbortSignal;
  /** Give up when the server has been away for this long. */
  readonly awayMsMax: number;
  /** Told when a connection is lost (true) and when it is back (false). */
  readonly onAway: (away: boolean) => void;
}

export class Reconnect {
  private since: number | null = null;
  private attempt = 0;
  private told = false;

  constructor(private readonly options: ReconnectOptions) {}

  /** The connection stands. */
  up(): void {
    this.since = null;
    if (this.told) this.options.onAway(false);
    this.told = false;
  }

  /** Something useful came: the next loss begins with the shortest wait. */
  alive(): void {
    this.attempt = 0;
  }

  /** The connection is lost or could not be made: waits until it is time to try again, or throws. */
  async down(error: unknown): Promise<void> {
    const { clock, stop, awayMsMax } = this.options;
    if (stop.aborted) throw stop.reason;
    if (error !== null && !isTransient(error)) throw error;
    this.since ??= clock.monotonic();
    const away = clock.monotonic() - this.since;
    if (away >= awayMsMax) {
      throw new CliError("unreachable", `the server has been away for ${Math.round(away / 1000)} s`, {
        code: "unreachable",
        advice: "Start it again and follow again; the server keeps what was stored.",
      });
    }
    // A single cut that mends at once is not worth a word.
    if (this.attempt > 0 && !this.told) {
      this.told = true;
      this.options.onAway(true);
    }
    const wait = Math.min(waitMsFirst * 2 ** this.attempt, waitMsMax, awayMsMax - away);
    this.attempt++;
    await pause(clock, wait, stop);
  }
}

function isTransient(error: unknown): boolean {
  if (!(error instanceof CliError)) return false;
  return error.exit === "unreachable" || error.facts.retryable === true;
}
