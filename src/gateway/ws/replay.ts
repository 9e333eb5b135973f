/**
 * A subscription with `since`: catches up from a cursor on, paused while the client's socket is
 * full and taken up again from the last event that went out; then it is live in the hub like any
 * other. Owns no sending.
 */
import type { GatewayClock } from "../config.ts";
import type { Hub } from "../hub.ts";
import { type SharedEvent, sharedEvent } from "../shared-event.ts";

export interface ReplayOptions {
  readonly hub: Hub;
  readonly clock: GatewayClock;
  readonly pattern: string;
  readonly since: string;
  readonly stallMs: number;
  onEvent(event: SharedEvent): void;
  /** True while the client's socket should get nothing more of what can wait. */
  congested(): boolean;
  /** Paused for longer than `stallMs`. */
  onStall(): void;
  /** It failed after it had begun (the cursor fell out of the window meanwhile, the store is away). */
  onError(error: unknown): void;
}

export class Replay {
  private readonly options: ReplayOptions;
  private cursor: string;
  private reading = new AbortController();
  private paused = false;
  private stall: { cancel(): void } | undefined;
  private leave: (() => void) | undefined;

  constructor(options: ReplayOptions) {
    this.options = options;
    this.cursor = options.since;
  }

  /** Resolves when history is told, or the socket is full. Throws `cursor_expired`, `invalid_input`. */
  async start(): Promise<void> {
    const { hub, pattern, onEvent } = this.options;
    const reading = new AbortController();
    this.reading = reading;
    await hub.resume({
      pattern,
      since: this.cursor,
      signal: reading.signal,
      onEvent: (event) => {
        this.cursor = event.cursor;
        onEvent(sharedEvent(event));
        if (this.options.congested()) this.pause();
      },
      listener: onEvent,
      onLive: (leave) => {
        this.leave = leave;
      },
    });
  }

  private pause(): void {
    if (this.paused) return;
    this.paused = true;
    this.reading.abort();
    this.stall = this.options.clock.after(this.options.stallMs, () => this.options.onStall());
  }

  /** The socket has drained: go on where it stopped. */
  resume(): void {
    if (!this.paused || this.options.congested()) return;
    this.paused = false;
    this.stall?.cancel();
    this.start().catch((error) => this.options.onError(error));
  }

  stop(): void {
    this.paused = false;
    this.stall?.cancel();
    this.reading.abort();
    this.leave?.();
  }
}
