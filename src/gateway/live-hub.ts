/**
 * Live news for all who listen here: one subscription for each type of actor (and for each pattern that clients choose), however many clients there are. What
 * is told live is neither stored nor repeated; who must not miss anything reads.
 */
import type { LiveMessage, Runtime } from "../actors/client.ts";
import type { GatewayLogger } from "./config.ts";

export type LiveListener = (message: LiveMessage) => void;

interface Listeners {
  readonly all: Set<LiveListener>;
  readonly byKey: Map<string, Set<LiveListener>>;
  readonly live: { stop(): void };
}

export class LiveHub {
  private readonly runtime: Pick<Runtime, "live">;
  private readonly logger: GatewayLogger;
  private readonly types = new Map<string, Listeners>();
  private readonly patterns = new Map<string, { readonly all: Set<LiveListener>; readonly live: { stop(): void } }>();

  constructor(runtime: Pick<Runtime, "live">, logger: GatewayLogger) {
    this.runtime = runtime;
    this.logger = logger;
  }

  /** News of one actor, or (`key` null) of all of a type; `listener` must be quick. The returned function ends it. */
  listen(type: string, key: string | null, listener: LiveListener): () => void {
    const of = this.types.get(type) ?? this.begin(type);
    if (key === null) {
      of.all.add(listener);
      return () => {
        of.all.delete(listener);
        this.tidy(type, of);
      };
    }
    const mine = of.byKey.get(key) ?? new Set();
    mine.add(listener);
    of.byKey.set(key, mine);
    return () => {
      mine.delete(listener);
      if (mine.size === 0 && of.byKey.get(key) === mine) of.byKey.delete(key);
      this.tidy(type, of);
    };
  }

  /** News of every subject `live.<root>.<type>.<kind>.<key>.<name>` that the pattern matches. Throws `invalid_input`. */
  listenPattern(pattern: string, listener: LiveListener): () => void {
    const of = this.patterns.get(pattern) ?? this.beginPattern(pattern);
    of.all.add(listener);
    return () => {
      of.all.delete(listener);
      if (of.all.size > 0 || this.patterns.get(pattern) !== of) return;
      this.patterns.delete(pattern);
      of.live.stop();
    };
  }

  stop(): void {
    for (const { live } of [...this.types.values(), ...this.patterns.values()]) live.stop();
    this.types.clear();
    this.patterns.clear();
  }

  private begin(type: string): Listeners {
    const live = this.runtime.live(`live.*.${type}.>`, (message) => {
      for (const listener of [...of.all, ...(of.byKey.get(message.key) ?? [])]) this.guard(listener, message);
    });
    const of: Listeners = { all: new Set(), byKey: new Map(), live };
    this.types.set(type, of);
    return of;
  }

  private beginPattern(pattern: string) {
    const all = new Set<LiveListener>();
    const live = this.runtime.live(pattern, (message) => {
      for (const listener of all) this.guard(listener, message);
    });
    const of = { all, live };
    this.patterns.set(pattern, of);
    return of;
  }

  /** Nobody listens to the type any more. */
  private tidy(type: string, of: Listeners): void {
    if (of.all.size > 0 || of.byKey.size > 0 || this.types.get(type) !== of) return;
    this.types.delete(type);
    of.live.stop();
  }

  private guard(listener: LiveListener, message: LiveMessage): void {
    try {
      listener(message);
    } catch (error) {
      this.logger.error({ err: error }, "a live listener failed");
    }
  }
}
