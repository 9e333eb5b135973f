/**
 * A subscription to topics, as every protocol uses it: what was missed first, then live, in order, each message once.
 * Owns following, choosing and the pace; a slow receiver falls back to reading stored events, so that nothing grows
 * and nothing is lost. What a message looks like on the wire is the protocol's; durable positions are durable.ts's.
 */
import type { FeedEvent } from "../actors/client.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { type Attributes, type Filters, passes } from "./attributes.ts";
import type { GatewayClock } from "./config.ts";
import type { Hub } from "./hub.ts";
import {
  matchesTopics,
  parseTopicPattern,
  subjectsOf,
  type TopicMessage,
  type TopicPattern,
  topicMessage,
} from "./topics.ts";

export interface SubscriberParts {
  readonly hub: Hub;
  readonly clock: GatewayClock;
  readonly attributes: Attributes;
  /** The feed's cursor of now. */
  cursor(): string;
  /** The whole value of what holds references. */
  load(value: Json): Promise<Json>;
}

export interface SubscribeOptions {
  /** NATS-style patterns: `task.*.completed`, `workflow.>`. */
  readonly topics: readonly string[];
  readonly filters?: Filters;
  /** Everything after this cursor first; absent: from now on. */
  readonly since?: string;
  /** Called with one message after the other; the next one waits for the promise. */
  onMessage(message: TopicMessage): void | Promise<void>;
  /** Everything up to now has been given. Comes again whenever that is so again. */
  onIdle?(): void;
  /** Events after `since` are no longer kept: it goes on from `oldest`. */
  onGap?(oldest: string): void;
  /** It has ended by a fault that trying again does not heal. */
  onError(error: unknown): void;
}

/** Messages that may wait for a slow receiver before it is put back to reading. */
const queueMax = 2_048;
const retryMs = 250;

export class Subscriber {
  private readonly parts: SubscriberParts;

  constructor(parts: SubscriberParts) {
    this.parts = parts;
  }

  /** Resolves when it is live, or reading what was missed. Throws `invalid_input` for a bad pattern or cursor. */
  async subscribe(options: SubscribeOptions): Promise<TopicSubscription> {
    const subscription = new TopicSubscription(this.parts, options);
    await subscription.start();
    return subscription;
  }
}

export class TopicSubscription {
  private readonly parts: SubscriberParts;
  private readonly options: SubscribeOptions;
  private readonly patterns: readonly TopicPattern[];
  private readonly filters: Filters;
  private readonly subjects: readonly string[];
  private queue: FeedEvent[] = [];
  private pumping = false;
  /** Where to read on from: after the last event that was handled, or after the last that waits. */
  private handled: string | undefined;
  private mode: "reading" | "live" | "behind" | "stopped" = "reading";
  private reading = new AbortController();
  private leave: (() => void)[] = [];
  private last: FeedEvent | undefined;
  private ready: (() => void) | undefined;

  constructor(parts: SubscriberParts, options: SubscribeOptions) {
    this.parts = parts;
    this.options = options;
    this.patterns = options.topics.map(parseTopicPattern);
    this.filters = options.filters ?? {};
    const subjects = [...new Set(this.patterns.flatMap(subjectsOf))];
    this.subjects = subjects.includes("event.>") ? ["event.>"] : subjects;
    this.handled = options.since;
  }

  async start(): Promise<void> {
    if (this.options.since === undefined) return this.goLive();
    await this.read(this.options.since, true);
  }

  /** A position after everything that `onMessage` has dealt with, and nothing behind it. */
  get position(): string {
    if (this.idle) return this.parts.cursor();
    return this.handled ?? this.parts.cursor();
  }

  /** True when everything up to now has been given. */
  get idle(): boolean {
    return this.mode === "live" && this.queue.length === 0 && !this.pumping;
  }

  private get stopped(): boolean {
    return this.mode === "stopped";
  }

  stop(): void {
    this.mode = "stopped";
    this.queue = [];
    this.unfollow();
    this.ready?.();
  }

  private unfollow(): void {
    this.reading.abort();
    for (const leave of this.leave.splice(0)) leave();
  }

  private async goLive(): Promise<void> {
    this.mode = "live";
    for (const subject of this.subjects) {
      const leave = await this.parts.hub.subscribe(subject, ({ event }) => this.take(event));
      if (this.stopped) return leave();
      this.leave.push(leave);
    }
    this.handled ??= this.parts.cursor();
    if (this.idle) this.options.onIdle?.();
  }

  /** Reads from the cursor on and then joins what is live. `first`: its refusals are the caller's. */
  private async read(since: string, first: boolean): Promise<void> {
    this.mode = "reading";
    const reading = new AbortController();
    this.reading = reading;
    // One pattern only can be resumed: several are told apart as they come.
    const [only] = this.subjects;
    const pattern = this.subjects.length === 1 && only !== undefined ? only : "event.>";
    const begun = new Promise<void>((resolve) => {
      this.ready = resolve;
    });
    const resumed = this.parts.hub.resume({
      pattern,
      since,
      signal: reading.signal,
      onEvent: (event) => {
        this.ready?.();
        this.take(event);
      },
      listener: ({ event }) => this.take(event),
      onLive: (leave) => {
        if (reading.signal.aborted) return leave();
        this.leave.push(leave);
        this.mode = "live";
        if (!this.pumping) this.options.onIdle?.();
      },
    });
    const done = resumed.catch((error: unknown) => this.broken(error, since, first, reading.signal));
    await Promise.race([begun, done]);
  }

  private async broken(error: unknown, since: string, first: boolean, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.mode === "stopped") return;
    const known = error instanceof TroupeError ? error : undefined;
    const oldest = known?.code === "cursor_expired" ? known.details?.oldest : undefined;
    if (typeof oldest === "string" && this.options.onGap !== undefined) {
      this.handled = oldest;
      this.options.onGap(oldest);
      return this.read(oldest, first);
    }
    if (first) {
      this.mode = "stopped";
      this.unfollow();
      throw error;
    }
    if (known !== undefined && !known.kind.retryable) {
      this.stop();
      return this.options.onError(error);
    }
    this.parts.clock.after(retryMs, () => {
      if (this.mode !== "stopped") void this.read(this.handled ?? since, false);
    });
  }

  /** An event as it comes; the same one may come by several patterns in a row. */
  private take(event: FeedEvent): void {
    if (this.mode === "stopped" || this.mode === "behind" || event === this.last) return;
    this.last = event;
    if (!matchesTopics(this.patterns, event)) return;
    this.queue.push(event);
    if (this.queue.length > queueMax) {
      // What waits is still given; the rest is read again when there is room.
      this.mode = "behind";
      this.unfollow();
    }
    if (!this.pumping) this.pump();
  }

  /** Gives what waits. Stays synchronous as long as nothing has to be waited for. */
  private pump(): void {
    this.pumping = true;
    while (this.queue.length > 0 && this.mode !== "stopped") {
      const event = this.queue[0] as FeedEvent;
      let waits: Promise<void> | undefined;
      try {
        waits = this.give(event);
      } catch (error) {
        this.failed(error);
        return;
      }
      if (waits !== undefined) {
        waits.then(
          () => this.given(event, true),
          (error: unknown) => this.failed(error),
        );
        return;
      }
      this.given(event, false);
    }
    this.pumping = false;
    if (this.mode === "live") this.options.onIdle?.();
    if (this.mode === "behind") void this.read(this.handled as string, false);
  }

  private given(event: FeedEvent, again: boolean): void {
    if (this.mode === "stopped") return;
    this.queue.shift();
    this.handled = event.cursor;
    if (again) this.pump();
  }

  /** The runtime could not be asked: the same event again, a little later. */
  private failed(error: unknown): void {
    if (this.mode === "stopped") return;
    if (error instanceof TroupeError && error.kind.retryable) {
      this.parts.clock.after(retryMs, () => this.pump());
      return;
    }
    this.stop();
    this.options.onError(error);
  }

  private give(event: FeedEvent): Promise<void> | undefined {
    const message = topicMessage(event);
    if (message === null) return undefined;
    const { attributes } = this.parts;
    if (attributes.covers(this.filters, message)) {
      if (!passes(this.filters, message.attributes)) return undefined;
      if (message.large)
        return this.parts.load(message.data ?? null).then((data) => this.options.onMessage({ ...message, data }));
      return this.options.onMessage(message) ?? undefined;
    }
    return attributes
      .of(message)
      .then((all) => (passes(this.filters, all) ? this.options.onMessage(message) : undefined));
  }
}
