/**
 * A topic to which agents publish: each publication is one stored event. Owns what a topic's name may be, and that
 * a publication repeated under its idempotency key is not told twice; who subscribes is not known here.
 */
import { assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, type JsonObject, reply } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { jsonObjectSchema, jsonSchema, keySchema } from "../schema.ts";

export const topicType = "topic";
/** Publications with an idempotency key that are remembered. */
export const keyedMax = 128;

/** `task.code_generation.completed`: NATS-style tokens, no wildcards. `~` would split the address. */
export const topicSchema = z
  .string()
  .min(1)
  .max(200)
  .regex(
    /^[^\s.*>~\p{Cc}\p{Cs}]+(\.[^\s.*>~\p{Cc}\p{Cs}]+){0,15}$/u,
    "must be words joined by dots, without wildcards",
  );

export const topicPublishSchema = z.strictObject({
  type: z.literal("topic.publish"),
  id: keySchema,
  /** The id follows from an idempotency key: it may come again. */
  keyed: z.boolean(),
  data: jsonSchema,
  /** Parts of the data are references to blobs. */
  large: z.literal(true).optional(),
  /** What subscribers filter by. */
  attributes: jsonObjectSchema,
  /** The agent that publishes, or the credential's name. */
  source: z.string().min(1).max(200),
});
export type TopicPublish = z.infer<typeof topicPublishSchema>;

export interface TopicContext {
  readonly topic: string;
  readonly count: number;
  readonly keyed: readonly string[];
  readonly createdAt: number;
  readonly lastAt: number;
}

/** Data of the event `published`. */
export interface Published extends JsonObject {
  readonly id: string;
  readonly topic: string;
  readonly data: Json;
  readonly large?: true;
  readonly attributes: JsonObject;
  readonly source: string;
}

type Event = WithMeta<TopicPublish>;

const machine = setup({
  types: { context: {} as TopicContext, events: {} as Event },
  guards: { isKnown: ({ context, event }) => event.keyed && context.keyed.includes(event.id) },
  actions: {
    count: assign(({ context, event }) => ({
      topic: event.meta.self.key,
      count: (context.count ?? 0) + 1,
      keyed: event.keyed ? [...(context.keyed ?? []), event.id].slice(-keyedMax) : (context.keyed ?? []),
      createdAt: context.createdAt ?? event.meta.now,
      lastAt: event.meta.now,
    })),
    tell: effects<TopicContext, Event>(({ event }) => {
      const { id, data, large, attributes, source, meta } = event;
      const published: Published = { id, topic: meta.self.key, data, attributes, source, ...(large && { large }) };
      return [emit("published", published), reply({ published: true })];
    }),
    replyKnown: effects(() => [reply({ published: false })]),
  },
}).createMachine({
  id: topicType,
  context: {} as TopicContext,
  initial: "absent",
  states: {
    absent: { on: { "topic.publish": { target: "used", actions: ["count", "tell"] } } },
    used: { on: { "topic.publish": [{ guard: "isKnown", actions: "replyKnown" }, { actions: ["count", "tell"] }] } },
  },
});

export const topicDefinition: ActorDefinition<TopicContext> = {
  type: topicType,
  version: 1,
  machine,
  /** The first token, so that a subject narrows publications down. */
  kind: (context) => context.topic.split(".")[0] ?? context.topic,
  index: ({ context }) => ({ created: context.createdAt }),
  view: ({ context: { keyed: _, ...shown } }) => shown as unknown as Json,
};
