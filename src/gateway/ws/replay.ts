/**
 * A subscription with `since`: a follow of its own from a cursor on, paused while the client's
 * socket is full and taken up again from the last event that went out. Owns no sending.
 */
import type { Feed, FeedEvent } from "../../actors/client.ts";
import type { GatewayClock } from "../config.ts";

export interface ReplayOptions {
  readonly feed: Feed;
  readonly clock: GatewayClock;
  readonly pattern: string;
  readonly since: string;
  readonly stallMs: number;
  onEvent(event: FeedEvent): void;
  /** True while the client's socket should get nothing more. */
  congested(): boolean;
  /** Paused for longer than `stallMs`. */
  onStall(): void;
  /** The follow failed after it had begun (the cursor fell out of the window meanwhile, the store is away). */
  onError(error: unknown): void;
}

/** Thrown out of a catch-up to stop it; nobody else sees it. */
class Paused extends Error {}

export class Replay {
  private readonly options: ReplayOptions;
  private cursor: string;
  private current: { live: boolean; paused: boolean; handle?: { stop(): void } } | undefined;
  private stall: { cancel(): void } | undefined;

  constructor(options: ReplayOptions) {
    this.options = options;
    this.cursor = options.since;
  }

  /** Resolves when history is told, or the socket is full. Throws `cursor_expired`, `invalid_input`. */
  async start(): Promise<void> {
    const { feed, pattern } = this.options;
    const mine: NonNullable<typeof this.current> = { live: false, paused: false };
    this.current = mine;
    const onEvent = (event: FeedEvent): void => {
      if (this.current !== mine || mine.paused) {
        // Only a catch-up may be broken off by throwing; among live listeners it would hurt others.
        if (!mine.live) throw new Paused();
        return;
      }
      this.cursor = event.cursor;
      this.options.onEvent(event);
      if (this.options.congested()) this.pause(mine);
    };
    try {
      const handle = await feed.follow({ pattern, since: this.cursor, onEvent });
      mine.live = true;
      if (this.current !== mine || mine.paused) handle.stop();
      else mine.handle = handle;
    } catch (error) {
      if (!(error instanceof Paused)) throw error;
    }
  }

  private pause(mine: NonNullable<typeof this.current>): void {
    mine.paused = true;
    mine.handle?.stop();
    this.stall = this.options.clock.after(this.options.stallMs, () => this.options.onStall());
  }

  /** The socket has drained: go on where it stopped. */
  resume(): void {
    if (this.current?.paused !== true || this.options.congested()) return;
    this.stall?.cancel();
    this.start().catch((error) => this.options.onError(error));
  }

  stop(): void {
    this.stall?.cancel();
    this.current?.handle?.stop();
    this.current = undefined;
  }
}
