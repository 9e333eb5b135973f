/**
 * Operations on durable subscriptions: open one, look at it, fetch what it has not acknowledged, acknowledge, close.
 * Sockets read the same subscriptions through `../durable.ts`.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { canonicalJson } from "../../machines/json.ts";
import {
  type SubscriptionContext,
  subscriptionTopicsMax,
  subscriptionType,
} from "../../machines/subscription/machine.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { checkFilters, type Filters } from "../attributes.ts";
import { isOperator } from "../auth/credential.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { invalid } from "../errors.ts";
import { defineOperation, freeJson, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { parseTopicPattern, type TopicMessage } from "../topics.ts";
import { absent, named, requireId } from "./values.ts";

const id = z.string().min(1).max(200);
const time = z.string().meta({ format: "date-time" });
/** The session of those who fetch instead of being sent to. */
const fetching = "fetch";
const waitMsMax = 60_000;

export const subscription = z
  .object({
    subscription_id: z.string(),
    agent_id: z.string().nullable(),
    topics: z.array(z.string()),
    filters: freeObject,
    cursor: z.string().describe("Everything up to here is acknowledged."),
    acknowledged: z.int().describe("Messages so far."),
    gaps: z.int().describe("How often messages were gone before they were read."),
    created_at: time,
    acknowledged_at: time.nullable(),
  })
  .meta({ id: "Subscription" });

export const message = z
  .object({
    message_id: z.string().describe("The same when it comes again."),
    topic: z.string(),
    event: z.string().describe("The topic without the kind: `task.completed`."),
    at: time,
    source: z.string().nullable(),
    attributes: freeObject,
    data: freeJson,
  })
  .meta({ id: "TopicMessage" });

export function toMessage(one: TopicMessage): z.input<typeof message> {
  const { id: messageId, topic, event, at, source, attributes, data } = one;
  return {
    ...{ message_id: messageId, topic, event, at: rfc3339(at), source },
    attributes: attributes as Record<string, unknown>,
    data: data ?? null,
  };
}

type View = SubscriptionContext & { readonly status: string };

function toSubscription(key: string, view: Json): z.input<typeof subscription> {
  const v = view as unknown as View;
  return {
    subscription_id: key,
    agent_id: v.agentId,
    topics: [...v.topics],
    filters: v.filters as Record<string, unknown>,
    cursor: v.position,
    acknowledged: v.delivered,
    gaps: v.gaps,
    created_at: rfc3339(v.createdAt),
    acknowledged_at: v.acknowledgedAt === null ? null : rfc3339(v.acknowledgedAt),
  };
}

const createInput = z.strictObject({
  subscription_id: id
    .optional()
    .describe("Default: follows from owner, agent, topics and filters; the same again is the same."),
  agent_id: id.optional().describe("Whose it is. Default: the agent that asks."),
  topics: z
    .array(z.string().min(1).max(512))
    .min(1)
    .max(subscriptionTopicsMax)
    .describe("NATS-style patterns: `*` is one word, `>` the rest."),
  filters: freeObject.optional().describe("Attribute → the value, or a list of which any will do."),
  since: z.string().min(1).max(2_000).optional().describe("Where a new one begins. Default: now."),
});
type CreateInput = z.output<typeof createInput>;

/** Opens it, or gives the one that is there, at its own position. Used by every protocol. Throws TroupeError. */
export async function openSubscription(ctx: OperationContext, input: CreateInput): Promise<{ id: string; view: Json }> {
  const { credential, runtime } = ctx;
  const agentId = input.agent_id ?? credential.agentId;
  if (agentId !== undefined) await requireOwnAgent(ctx, agentId);
  for (const topic of input.topics) parseTopicPattern(topic);
  const filters = checkFilters(input.filters ?? {});
  const owner = agentId === undefined ? credential.id : `agent:${agentId}`;
  const key = input.subscription_id ?? subscriptionId(owner, input.topics, filters);
  const command = {
    type: "subscription.open",
    ...{ owner, topics: input.topics, filters: filters as JsonObject },
    position: input.since ?? runtime.feed.cursor(),
    ...(agentId !== undefined && { agentId }),
  };
  if (input.since !== undefined) await checkCursor(ctx, input.since);
  const at = address(subscriptionType, newKey(key));
  return { id: key, view: (await runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs })).view };
}

/** Throws what a subscription from there would: `cursor_expired`, `invalid_input`. Reads nothing. */
async function checkCursor(ctx: OperationContext, since: string): Promise<void> {
  const abort = new AbortController();
  const known = ctx.runtime.feed.follow({
    pattern: "event.none",
    since,
    signal: abort.signal,
    onEvent: () => undefined,
  });
  // The cursor is judged first; what lies behind it need not be read for that.
  abort.abort();
  await known;
}

function newKey(given: string): string {
  try {
    return requireId("subscription", given);
  } catch {
    throw invalid("The request is not valid", [
      { path: "subscription_id", message: "has characters that an id may not have" },
    ]);
  }
}

/** The id of the subscription that an owner has to these topics with these filters. */
export function subscriptionId(owner: string, topics: readonly string[], filters: Filters): string {
  const text = canonicalJson([owner, [...topics].sort(), filters]);
  return `sub_${createHash("sha256").update(text).digest("hex").slice(0, 32)}`;
}

/** Its view, for its owner and for operators; a foreign or closed one is not there. */
async function readMine(ctx: OperationContext, key: string): Promise<View> {
  const at = address(subscriptionType, requireId("subscription", key));
  const view = (await ctx.runtime.read(at).catch(named("subscription", key))).view as unknown as View;
  const gone = absent("subscription", key);
  if (view.status !== "open") throw gone;
  if (view.agentId !== null) await requireOwnAgent(ctx, view.agentId).catch(() => Promise.reject(gone));
  else if (view.owner !== ctx.credential.id && !isOperator(ctx.credential)) throw gone;
  return view;
}

const fetchInput = z.strictObject({
  subscription_id: id,
  limit: z.int().min(1).max(500).default(100),
  wait_ms: z.int().min(0).max(waitMsMax).default(0).describe("For the first message."),
});

/** Beyond `wait_ms`: reading what was missed may take so long before it is cut off. */
const readMsMax = 10_000;

/** What comes after the stored position: all that is there, up to the limit; else the first that comes in time. */
async function fetch(ctx: OperationContext, input: z.output<typeof fetchInput>) {
  const view = await readMine(ctx, input.subscription_id);
  const at = address(subscriptionType, input.subscription_id);
  if (view.session !== fetching) await ctx.runtime.ask(at, { type: "subscription.attach", session: fetching });
  const found: TopicMessage[] = [];
  let gap = false;
  let waited = false;
  let end: () => void = () => undefined;
  let fail: (error: unknown) => void = () => undefined;
  const over = new Promise<void>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  const subscribed = await ctx.subscriber.subscribe({
    topics: view.topics,
    filters: view.filters as Filters,
    since: view.position,
    onMessage(one) {
      if (found.length < input.limit) found.push(one);
      if (found.length < input.limit) return undefined;
      end();
      // Full: the next one waits for ever, and is not passed.
      return new Promise<void>(() => undefined);
    },
    onIdle: () => {
      if (waited || found.length > 0) end();
    },
    onGap: () => {
      gap = true;
    },
    onError: (error) => fail(error),
  });
  const timers = [
    ctx.clock.after(input.wait_ms, () => {
      waited = true;
      if (subscribed.idle) end();
    }),
    ctx.clock.after(input.wait_ms + readMsMax, () => end()),
  ];
  const abort = (): void => end();
  ctx.signal?.addEventListener("abort", abort, { once: true });
  try {
    await over;
    const last = found.length >= input.limit ? found.at(-1)?.stored.cursor : undefined;
    return { data: found.map(toMessage), cursor: last ?? subscribed.position, gap };
  } finally {
    for (const timer of timers) timer.cancel();
    ctx.signal?.removeEventListener("abort", abort);
    subscribed.stop();
  }
}

const common = { tags: ["subscriptions"], scope: "subscriptions:read" } as const;

export const subscriptionOperations = [
  defineOperation({
    ...common,
    name: "subscriptions.create",
    summary: "Open a durable subscription to topics",
    description: "What happens while its owner is away is given when it is back, as long as the replay window reaches.",
    method: "POST",
    path: "/v1/subscriptions",
    scope: "subscriptions:write",
    errors: ["invalid_input", "forbidden", "already_exists", "cursor_expired"],
    example: { topics: ["task.*.completed"], filters: { priority: ["high", "critical"] } },
    input: createInput,
    output: subscription,
    async handle(ctx, input) {
      const opened = await openSubscription(ctx, input);
      return toSubscription(opened.id, opened.view);
    },
  }),
  defineOperation({
    ...common,
    name: "subscriptions.list",
    summary: "List one's durable subscriptions, newest first",
    method: "GET",
    path: "/v1/subscriptions",
    errors: ["invalid_input", "forbidden"],
    input: z.strictObject({ ...pageFields, agent_id: id.optional() }),
    output: pageOf(subscription),
    async handle(ctx, input) {
      const agentId = input.agent_id ?? ctx.credential.agentId;
      if (agentId !== undefined) await requireOwnAgent(ctx, agentId);
      const where =
        agentId !== undefined ? { agentId } : isOperator(ctx.credential) ? {} : { owner: ctx.credential.id };
      const page = await ctx.runtime.list({
        type: subscriptionType,
        where: where as Record<string, string>,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("subscriptions", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => toSubscription(at.key, view));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("subscriptions", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "subscriptions.get",
    summary: "Read a durable subscription",
    method: "GET",
    path: "/v1/subscriptions/{subscription_id}",
    errors: ["not_found"],
    input: z.strictObject({ subscription_id: id }),
    output: subscription,
    async handle(ctx, input) {
      return toSubscription(input.subscription_id, (await readMine(ctx, input.subscription_id)) as unknown as Json);
    },
  }),
  defineOperation({
    ...common,
    name: "subscriptions.messages",
    summary: "What a subscription has not acknowledged, in order; waits for the first",
    description:
      "The same again until `cursor` is acknowledged. A connection that is sent the subscription's messages loses it to who fetches.",
    method: "GET",
    path: "/v1/subscriptions/{subscription_id}/messages",
    errors: ["invalid_input", "not_found"],
    input: fetchInput,
    output: z.object({
      data: z.array(message),
      cursor: z.string().describe("Acknowledge this when the messages are dealt with."),
      gap: z.boolean().describe("Older messages are no longer kept; these are the oldest that are."),
    }),
    handle: fetch,
  }),
  defineOperation({
    ...common,
    name: "subscriptions.acknowledge",
    summary: "Acknowledge what was fetched",
    method: "POST",
    path: "/v1/subscriptions/{subscription_id}/acknowledge",
    scope: "subscriptions:write",
    errors: ["invalid_input", "not_found", "conflict"],
    input: z.strictObject({
      subscription_id: id,
      cursor: z.string().min(1).max(2_000),
      count: z.int().min(0).default(0),
      gap: z.boolean().default(false),
    }),
    output: subscription,
    async handle(ctx, input) {
      const view = await readMine(ctx, input.subscription_id);
      if (view.session !== fetching) throw new TroupeError("conflict", "A connection has taken the subscription over");
      await checkCursor(ctx, input.cursor);
      const { cursor: position, count, gap } = input;
      const command = { type: "subscription.acknowledge", session: fetching, position, count, ...(gap && { gap }) };
      const at = address(subscriptionType, input.subscription_id);
      const answer = await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
      return toSubscription(input.subscription_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "subscriptions.close",
    summary: "Close a durable subscription",
    method: "DELETE",
    path: "/v1/subscriptions/{subscription_id}",
    scope: "subscriptions:write",
    errors: ["not_found"],
    input: z.strictObject({ subscription_id: id }),
    output: subscription,
    async handle(ctx, input) {
      await readMine(ctx, input.subscription_id);
      const at = address(subscriptionType, input.subscription_id);
      const answer = await ctx.runtime.ask(at, { type: "subscription.close" }, { timeoutMs: ctx.limits.askTimeoutMs });
      return toSubscription(input.subscription_id, answer.view);
    },
  }),
];
