/**
 * A durable subscription being read by one session: what was missed since its stored position, then live, and the
 * position moved along. Acknowledged coalesced: after a crash the last second's messages may come again, with the
 * same ids. The subscription itself is an actor (machines/subscription).
 */
import type { Runtime } from "../actors/client.ts";
import { address } from "../machines/address.ts";
import { TroupeError } from "../machines/errors.ts";
import { type SubscriptionContext, subscriptionType } from "../machines/subscription/machine.ts";
import type { GatewayClock, GatewayLogger } from "./config.ts";
import type { SubscribeOptions, Subscriber, TopicSubscription } from "./subscriber.ts";

export interface DurableParts {
  readonly runtime: Runtime;
  readonly clock: GatewayClock;
  readonly logger: GatewayLogger;
  readonly subscriber: Subscriber;
}

export interface DurableOptions extends Pick<SubscribeOptions, "onMessage" | "onError" | "onGap"> {
  readonly id: string;
  /** Another session has taken the subscription over; this one gets nothing more. */
  onReplaced(): void;
}

const acknowledgeMs = 1_000;
/** Positions also move when nothing matches, so that they stay in the replay window. */
const idleMs = 30_000;

export class DurableSession {
  private readonly parts: DurableParts;
  private readonly options: DurableOptions;
  private readonly session: string;
  private subscription: TopicSubscription | undefined;
  private timer: { cancel(): void } | undefined;
  private acknowledged = "";
  private count = 0;
  private gap = false;
  private stopped = false;
  private sentAt = 0;
  private sending: Promise<void> = Promise.resolve();

  constructor(parts: DurableParts, options: DurableOptions) {
    this.parts = parts;
    this.options = options;
    this.session = parts.runtime.newId();
  }

  /** Takes the subscription over and begins. Throws `not_found` for one that is not open. */
  async start(): Promise<void> {
    const { runtime, subscriber, clock } = this.parts;
    const at = address(subscriptionType, this.options.id);
    const answer = await runtime.ask(at, { type: "subscription.attach", session: this.session });
    const { topics, filters, position } = answer.view as unknown as SubscriptionContext;
    this.acknowledged = position;
    this.sentAt = clock.monotonic();
    this.subscription = await subscriber.subscribe({
      topics,
      filters: filters as never,
      since: position,
      onMessage: async (message) => {
        await this.options.onMessage(message);
        this.count++;
      },
      onGap: (oldest) => {
        this.gap = true;
        this.options.onGap?.(oldest);
      },
      onError: (error) => {
        void this.stop();
        this.options.onError(error);
      },
    });
    if (this.stopped) this.subscription.stop();
    else this.tick();
  }

  /** Ends and tells how far it came. */
  async stop(): Promise<void> {
    if (this.stopped) return this.sending;
    this.stopped = true;
    this.timer?.cancel();
    const position = this.subscription?.position;
    this.subscription?.stop();
    if (position !== undefined) this.send(position);
    return this.sending;
  }

  private tick(): void {
    this.timer = this.parts.clock.after(acknowledgeMs, () => {
      const position = this.subscription?.position;
      const idle = this.parts.clock.monotonic() - this.sentAt >= idleMs;
      if (position !== undefined && (this.count > 0 || this.gap || idle)) this.send(position);
      this.sending.finally(() => {
        if (!this.stopped) this.tick();
      });
    });
  }

  private send(position: string): void {
    if (position === this.acknowledged && this.count === 0) return;
    const { runtime, clock, logger } = this.parts;
    const { count, gap, session } = this;
    this.count = 0;
    this.gap = false;
    this.sentAt = clock.monotonic();
    const command = { type: "subscription.acknowledge", session, position, count, ...(gap && { gap }) };
    this.sending = this.sending.then(async () => {
      try {
        await runtime.ask(address(subscriptionType, this.options.id), command);
        this.acknowledged = position;
      } catch (error) {
        const code = error instanceof TroupeError ? error.code : undefined;
        if (code === "conflict" || code === "not_found") return this.replaced();
        // The next one carries a later position.
        this.count += count;
        this.gap ||= gap;
        logger.warn({ subscription: this.options.id, err: error }, "a position could not be stored; trying again");
      }
    });
  }

  private replaced(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.timer?.cancel();
    this.subscription?.stop();
    this.options.onReplaced();
  }
}
