/**
 * A durable subscription: which topics, with which filters, for which agent, and how far it has read. Owns the
 * position, and that one session moves it at a time: a later one takes over, and what the earlier one still
 * acknowledges is refused. Matching and sending are the gateway's.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, type JsonObject, refuse, reply } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { jsonObjectSchema, keySchema } from "../schema.ts";

export const subscriptionType = "subscription";
export const subscriptionTopicsMax = 64;

/** An opaque cursor of the event feed. */
const positionSchema = z.string().min(1).max(2_000);
const sessionSchema = z.string().min(1).max(200);

export const subscriptionOpenSchema = z.strictObject({
  type: z.literal("subscription.open"),
  /** The credential that it belongs to. */
  owner: z.string().min(1).max(200),
  agentId: keySchema.optional(),
  topics: z.array(z.string().min(1).max(512)).min(1).max(subscriptionTopicsMax),
  filters: jsonObjectSchema,
  /** Where a new one begins; one that exists keeps its own. */
  position: positionSchema,
});
/** A session begins to read. */
export const subscriptionAttachSchema = z.strictObject({
  type: z.literal("subscription.attach"),
  session: sessionSchema,
});
/** Everything up to `position` has been given to the subscriber. */
export const subscriptionAcknowledgeSchema = z.strictObject({
  type: z.literal("subscription.acknowledge"),
  session: sessionSchema.optional(),
  position: positionSchema,
  /** Messages since the last one. */
  count: z.int().min(0),
  /** Events behind the old position are no longer kept: this is the oldest that there is. */
  gap: z.boolean().optional(),
});
export const subscriptionCloseSchema = z.strictObject({ type: z.literal("subscription.close") });
export const subscriptionCommandSchema = z.discriminatedUnion("type", [
  subscriptionOpenSchema,
  subscriptionAttachSchema,
  subscriptionAcknowledgeSchema,
  subscriptionCloseSchema,
]);
export type SubscriptionCommand = z.infer<typeof subscriptionCommandSchema>;
export type SubscriptionOpen = z.infer<typeof subscriptionOpenSchema>;

export interface SubscriptionContext {
  readonly owner: string;
  readonly agentId: string | null;
  readonly topics: readonly string[];
  readonly filters: JsonObject;
  readonly position: string;
  readonly session: string | null;
  readonly delivered: number;
  /** How often events were gone before they were read. */
  readonly gaps: number;
  readonly createdAt: number;
  readonly acknowledgedAt: number | null;
}

type Event = WithMeta<SubscriptionCommand>;

const machine = setup({
  types: { context: {} as SubscriptionContext, events: {} as Event },
  guards: {
    isForeign: ({ context, event }) => event.type === "subscription.open" && event.owner !== context.owner,
    isOldSession: ({ context, event }) =>
      event.type === "subscription.acknowledge" && (event.session ?? null) !== context.session,
  },
  actions: {
    open: assign(({ event }) => {
      assertEvent(event, "subscription.open");
      const { owner, agentId, topics, filters, position, meta } = event;
      return {
        ...{ owner, agentId: agentId ?? null, topics, filters, position },
        ...{ session: null, delivered: 0, gaps: 0, createdAt: meta.now, acknowledgedAt: null },
      };
    }),
    change: assign(({ event }) => {
      assertEvent(event, "subscription.open");
      return { topics: event.topics, filters: event.filters };
    }),
    tellOpened: effects(() => [emit("opened"), reply({ created: true })]),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseForeign: effects(() => [
      refuse("already_exists", "a subscription with this id belongs to another credential"),
    ]),
    attach: assign(({ event }) => {
      assertEvent(event, "subscription.attach");
      return { session: event.session };
    }),
    replyPosition: effects<SubscriptionContext, Event>(({ context }) => [reply({ position: context.position })]),
    acknowledge: assign(({ context, event }) => {
      assertEvent(event, "subscription.acknowledge");
      return {
        position: event.position,
        delivered: context.delivered + event.count,
        gaps: context.gaps + (event.gap === true ? 1 : 0),
        acknowledgedAt: event.meta.now,
      };
    }),
    tellGap: effects<SubscriptionContext, Event>(({ event }) => [
      ...(event.type === "subscription.acknowledge" && event.gap === true ? [emit("gap")] : []),
      reply(null),
    ]),
    refuseSession: effects(() => [refuse("conflict", "another session has taken the subscription over")]),
    tellClosed: effects(() => [emit("closed"), reply(null)]),
    done: effects(() => [reply(null)]),
  },
}).createMachine({
  id: subscriptionType,
  context: {} as SubscriptionContext,
  initial: "absent",
  states: {
    absent: { on: { "subscription.open": { target: "open", actions: ["open", "tellOpened"] } } },
    open: {
      on: {
        "subscription.open": [
          { guard: "isForeign", actions: "refuseForeign" },
          { actions: ["change", "replyExisting"] },
        ],
        "subscription.attach": { actions: ["attach", "replyPosition"] },
        "subscription.acknowledge": [
          { guard: "isOldSession", actions: "refuseSession" },
          { actions: ["acknowledge", "tellGap"] },
        ],
        "subscription.close": { target: "closed", actions: "tellClosed" },
      },
    },
    closed: {
      on: {
        "subscription.open": [
          { guard: "isForeign", actions: "refuseForeign" },
          { target: "open", actions: ["open", "tellOpened"] },
        ],
        "subscription.close": { actions: "done" },
      },
    },
  },
});

export const subscriptionDefinition: ActorDefinition<SubscriptionContext> = {
  type: subscriptionType,
  version: 1,
  machine,
  kind: () => "topics",
  index: ({ value, context }) =>
    value === "open"
      ? {
          owner: context.owner,
          created: context.createdAt,
          ...(context.agentId === null ? {} : { agentId: context.agentId }),
        }
      : null,
  view: ({ value, context }) => ({ status: String(value), ...context }) as unknown as Json,
  ended: ({ value }) => value === "closed",
};
