/**
 * A client's subscriptions by id: live ones through the hub, those with a cursor by a replay first.
 * Each subscription is confirmed before its first event. Patterns of live news (`live.…`) go through the live hub:
 * such news is not stored, and pieces that a slow reader has no room for are dropped.
 */
import { TroupeError } from "../../machines/errors.ts";
import type { Services } from "../operation.ts";
import type { Format, SharedEvent } from "../shared-event.ts";
import { checkPattern } from "../trie.ts";
import { matches } from "./filter.ts";
import type { ClientMessage } from "./protocol.ts";
import { Replay } from "./replay.ts";

export interface SubscriptionsOptions {
  readonly services: Services;
  readonly format: Format;
  push(bytes: Uint8Array): void;
  tell(message: object): void;
  congested(): boolean;
  tooSlow(): void;
  fail(id: string, error: unknown): void;
}

type Subscribe = Extract<ClientMessage, { type: "subscribe" }>;

function isLive(pattern: string): boolean {
  return pattern.startsWith("live.");
}

function notOfLive(): TroupeError {
  return new TroupeError("invalid_input", "Live news is not stored: a pattern of it has no since and no filter");
}

/** Events that may come before the confirmation has gone out. */
const earlyMax = 10_000;

interface Subscription {
  stop(): void;
  resume(): void;
}

export class Subscriptions {
  private readonly options: SubscriptionsOptions;
  private readonly byId = new Map<string, Subscription>();

  constructor(options: SubscriptionsOptions) {
    this.options = options;
  }

  /** Throws `invalid_input`, `already_exists`, `overloaded`; later failures are told by id. */
  subscribe(message: Subscribe): void {
    const { limits } = this.options.services;
    const news = isLive(message.pattern);
    if (!news) checkPattern(message.pattern);
    else if (message.since !== undefined || message.filter !== undefined) throw notOfLive();
    if (this.byId.has(message.id)) {
      throw new TroupeError("already_exists", `This connection has a subscription '${message.id}' already`);
    }
    if (this.byId.size >= limits.wsSubscriptionsMax) {
      throw new TroupeError("overloaded", `This connection has ${limits.wsSubscriptionsMax} subscriptions already`);
    }
    if (news) this.news(message);
    else if (message.since === undefined) this.live(message);
    else this.replay(message, message.since);
  }

  unsubscribe(id: string): void {
    const found = this.byId.get(id);
    if (found === undefined) throw new TroupeError("not_found", `This connection has no subscription '${id}'`);
    this.byId.delete(id);
    found.stop();
  }

  resume(): void {
    for (const subscription of this.byId.values()) subscription.resume();
  }

  stop(): void {
    for (const subscription of this.byId.values()) subscription.stop();
    this.byId.clear();
  }

  private live({ id, pattern, filter }: Subscribe): void {
    const { services, format, push, tell } = this.options;
    let early: SharedEvent[] | undefined = [];
    let remove: (() => void) | undefined;
    const subscription = { stop: () => remove?.(), resume: () => undefined };
    const send = (event: SharedEvent): void => push(event.frame(format, id));
    const onEvent = (event: SharedEvent): void => {
      if (this.byId.get(id) !== subscription || !matches(filter, event.event)) return;
      if (early === undefined) send(event);
      else if (early.length < earlyMax) early.push(event);
      else this.options.tooSlow();
    };
    this.byId.set(id, subscription);
    services.hub.subscribe(pattern, onEvent).then(
      (end) => {
        if (this.byId.get(id) !== subscription) return end();
        remove = end;
        tell({ type: "subscribed", id, cursor: services.runtime.feed.cursor() });
        const waited = early ?? [];
        early = undefined;
        waited.forEach(send);
      },
      (error) => this.failed(id, subscription, error),
    );
  }

  private news({ id, pattern }: Subscribe): void {
    const { services, tell, congested } = this.options;
    const stop = services.liveHub.listenPattern(pattern, (message) => {
      if (!congested()) tell({ type: "live", id, live: { ...message, at: new Date(message.at).toISOString() } });
    });
    this.byId.set(id, { stop, resume: () => undefined });
    tell({ type: "subscribed", id });
  }

  private replay({ id, pattern, filter }: Subscribe, since: string): void {
    const { services, format, push, tell, congested, tooSlow } = this.options;
    let confirmed = false;
    const confirm = (): void => {
      if (!confirmed) tell({ type: "subscribed", id, cursor: since });
      confirmed = true;
    };
    const replay: Replay = new Replay({
      hub: services.hub,
      clock: services.clock,
      pattern,
      since,
      stallMs: services.limits.stallMs,
      congested,
      onStall: tooSlow,
      onError: (error) => this.failed(id, replay, error),
      onEvent: (event) => {
        if (!matches(filter, event.event)) return;
        confirm();
        push(event.frame(format, id));
      },
    });
    this.byId.set(id, replay);
    replay.start().then(
      () => this.byId.get(id) === replay && confirm(),
      (error) => this.failed(id, replay, error),
    );
  }

  private failed(id: string, subscription: Subscription, error: unknown): void {
    if (this.byId.get(id) !== subscription) return;
    this.byId.delete(id);
    subscription.stop();
    this.options.fail(id, error);
  }
}
