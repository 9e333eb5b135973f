/**
 * One live feed for all who listen: a single `follow` of the runtime, matched by a trie and by
 * root. Owns fan-out of live events. Replays (`since`) catch up by follows of their own, a few at
 * once, and then join here; history is the runtime's.
 */
import type { Feed, FeedEvent } from "../actors/client.ts";
import type { GatewayLogger } from "./config.ts";
import { type SharedEvent, sharedEvent } from "./shared-event.ts";
import { PatternTrie } from "./trie.ts";
import { Turnstile } from "./turnstile.ts";

type PatternListener = (event: SharedEvent) => void;
type RootListener = (event: FeedEvent) => void;

export interface ResumeOptions {
  readonly pattern: string;
  readonly since: string;
  /** Aborted before `onLive`: nothing more comes. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: FeedEvent) => void;
  readonly listener: PatternListener;
  readonly onLive: (end: () => void) => void;
}

/** Each reads the journal on its own; after a restart every client comes back at once. */
const replaysMax = 8;

export class Hub {
  private readonly replays = new Turnstile(replaysMax);
  private readonly patterns = new PatternTrie<PatternListener>();
  private readonly roots = new Map<string, Set<RootListener>>();
  private following: Promise<{ stop(): void }> | undefined;
  private readonly feed: Feed;
  private readonly logger: GatewayLogger;

  constructor(feed: Feed, logger: GatewayLogger) {
    this.feed = feed;
    this.logger = logger;
  }

  /** Resolves when live events flow; `listener` must be quick. The returned function ends it. */
  async subscribe(pattern: string, listener: PatternListener): Promise<() => void> {
    const remove = this.patterns.add(pattern, listener);
    return this.live(remove);
  }

  /**
   * Every event after the cursor to `onEvent`, then live ones to `listener`, without gap or double; `onLive` is
   * called in between, with the function that ends it. Throws `cursor_expired`, `invalid_input`.
   */
  async resume(options: ResumeOptions): Promise<void> {
    const { pattern, since, signal, onEvent, listener, onLive } = options;
    await this.live(() => undefined);
    const release = await this.replays.enter(signal);
    try {
      const onCaughtUp = (): void => onLive(this.patterns.add(pattern, listener));
      await this.feed.follow({ pattern, since, signal, onEvent, onCaughtUp });
    } finally {
      release();
    }
  }

  /** Live events of one root. */
  async followRoot(root: string, listener: RootListener): Promise<() => void> {
    const listeners = this.roots.get(root) ?? new Set();
    this.roots.set(root, listeners);
    listeners.add(listener);
    return this.live(() => {
      listeners.delete(listener);
      if (listeners.size === 0 && this.roots.get(root) === listeners) this.roots.delete(root);
    });
  }

  async stop(): Promise<void> {
    const following = this.following;
    this.following = undefined;
    if (following !== undefined) (await following.catch(() => undefined))?.stop();
  }

  private async live(remove: () => void): Promise<() => void> {
    this.following ??= this.feed.follow({ pattern: "event.>", onEvent: (event) => this.dispatch(event) });
    const mine = this.following;
    try {
      await mine;
    } catch (error) {
      remove();
      if (this.following === mine) this.following = undefined;
      throw error;
    }
    return remove;
  }

  private dispatch(event: FeedEvent): void {
    const shared = sharedEvent(event);
    this.patterns.match(event.subject, (listener) => this.guard(() => listener(shared)));
    const listeners = this.roots.get(event.root);
    if (listeners !== undefined) for (const listener of listeners) this.guard(() => listener(event));
  }

  /** One listener's fault must not take the event from the others. */
  private guard(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.logger.error({ err: error }, "a live listener failed");
    }
  }
}
