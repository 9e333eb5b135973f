/**
 * The topic subscriptions of one 001 connection: live ones, and durable ones that go on where their agent stopped.
 * Owns which there are; choosing and following is the subscriber's.
 */
import { TroupeError } from "../../../machines/errors.ts";
import { checkFilters, type Filters } from "../../attributes.ts";
import { requireScope } from "../../auth/credential.ts";
import { DurableSession } from "../../durable.ts";
import { openSubscription } from "../../operations/subscriptions.ts";
import type { TopicMessage } from "../../topics.ts";
import type { Link } from "../../ws/dialect-session.ts";
import { rfc3339 } from "../002/map.ts";
import { toMessage } from "./socket-map.ts";
import type { Part } from "./socket-schema.ts";

interface Open {
  readonly agentId: string | null;
  readonly topics: readonly string[];
  stop(): void;
}

export class TopicSubscriptions {
  private readonly link: Link;
  private readonly open_: Open[] = [];

  constructor(link: Link) {
    this.link = link;
    link.onEnd(() => {
      for (const one of this.open_.splice(0)) one.stop();
    });
  }

  /** The id of a durable one, else null. The same topics and filters for the same agent again take its place. */
  async open(agentId: string | null, part: Part<"subscription">): Promise<string | null> {
    const { link } = this;
    requireScope(link.credential, "events:read");
    const filters = checkFilters(part.filters ?? {});
    const { wsSubscriptionsMax } = link.services.limits;
    if (this.open_.length >= wsSubscriptionsMax) {
      throw new TroupeError("overloaded", `This connection has ${wsSubscriptionsMax} subscriptions already`);
    }
    const { topics } = part;
    if (part.durable === true) return this.durable(agentId, topics, filters);
    const subscription = await link.services.subscriber.subscribe({
      topics,
      filters,
      onMessage: (message) => this.tell(message, agentId),
      onError: (error) => link.fail(error),
    });
    this.keep({ agentId, topics, stop: () => subscription.stop() });
    return null;
  }

  /** Ends those of the agent (null: any) that hold one of the topics (null: any); gives the topics that were heard. */
  async close(agentId: string | null, topics: readonly string[] | null): Promise<readonly string[]> {
    const ended = this.open_.filter(
      (one) =>
        (agentId === null || one.agentId === agentId) &&
        (topics === null || one.topics.some((topic) => topics.includes(topic))),
    );
    for (const one of ended) {
      this.open_.splice(this.open_.indexOf(one), 1);
      one.stop();
    }
    return [...new Set(ended.flatMap((one) => one.topics))];
  }

  private async durable(agentId: string | null, topics: readonly string[], filters: Filters): Promise<string> {
    const { link } = this;
    const ctx = link.context();
    const input = { topics: [...topics], filters, ...(agentId !== null && { agent_id: agentId }) };
    const { id } = await openSubscription(ctx, input as Parameters<typeof openSubscription>[1]);
    const session = new DurableSession(link.services, {
      id,
      onMessage: (message) => this.tell(message, agentId),
      onGap: () => this.gap(id, agentId),
      onError: (error) => link.fail(error),
      onReplaced: () =>
        link.fail(new TroupeError("conflict", `Another connection has taken subscription '${id}' over`)),
    });
    await session.start();
    this.keep({ agentId, topics, stop: () => void session.stop() });
    return id;
  }

  private keep(one: Open): void {
    if (this.link.signal.aborted) one.stop();
    else this.open_.push(one);
  }

  /** The next one waits while the client's socket is full. */
  private tell(message: TopicMessage, agentId: string | null): Promise<void> | undefined {
    this.link.tell(toMessage(message, agentId));
    return this.link.room();
  }

  /** Messages are gone that the subscriber has not seen. */
  private gap(id: string, agentId: string | null): void {
    const { runtime } = this.link.services;
    this.link.tell({
      id: `msg_${runtime.newId()}`,
      timestamp: rfc3339(runtime.now()),
      event_type: "subscription.gap",
      source_agent: null,
      target_agent: agentId,
      correlation_id: null,
      payload: { subscription_id: id },
    });
  }
}
