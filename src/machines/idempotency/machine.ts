/**
 * One idempotency key of one credential and operation: what was asked under it, whether it is being done,
 * and the answer, kept for a day. Owns neither the operation nor what the answer means; it is sealed by the
 * gateway and opaque here.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, forget, type Json, refuse, remind, reply } from "../effects.ts";
import type { WithMeta } from "../planned.ts";

export const idempotencyType = "idempotency";

/** How long an answer is kept. */
export const answerMs = 25 * 3600_000;

export const idempotencyCommandSchema = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("idempotency.begin"),
    requestHash: z.string().min(1).max(128),
    /** Whoever is doing it now; new for each try. */
    owner: z.string().min(1).max(64),
    /** After this long without an end, the owner counts as dead and the next one may do it. */
    leaseMs: z.int().min(1),
  }),
  /** Still at it. */
  z.object({ type: z.literal("idempotency.renew"), owner: z.string(), leaseMs: z.int().min(1) }),
  z.object({ type: z.literal("idempotency.finish"), owner: z.string(), answer: z.unknown() }),
  /** Nothing was done, or nobody knows: a repeat does it again. */
  z.object({ type: z.literal("idempotency.abandon"), owner: z.string() }),
  z.object({ type: z.literal("idempotency.forget") }),
]);
export type IdempotencyCommand = z.output<typeof idempotencyCommandSchema>;

export interface IdempotencyContext {
  readonly requestHash: string;
  readonly owner: string;
  readonly until: number;
  readonly answer: Json;
}

/** What `begin` replies. */
export type IdempotencyReply =
  | { readonly state: "yours" }
  | { readonly state: "running" }
  | { readonly state: "done"; readonly answer: Json };

type Event = WithMeta<IdempotencyCommand>;
type Context = IdempotencyContext;

const nothing: Context = { requestHash: "", owner: "", until: 0, answer: null };
const say = (value: IdempotencyReply) => reply(value as unknown as Json);

const machine = setup({
  types: { context: {} as Context, events: {} as Event },
  guards: {
    isOther: ({ context, event }) => {
      assertEvent(event, "idempotency.begin");
      return event.requestHash !== context.requestHash;
    },
    isOverdue: ({ context, event }) => event.meta.now >= context.until,
    isOwner: ({ context, event }) => "owner" in event && event.owner === context.owner,
  },
  actions: {
    begin: assign(({ event }) => {
      assertEvent(event, "idempotency.begin");
      const { requestHash, owner, leaseMs, meta } = event;
      return { requestHash, owner, until: meta.now + leaseMs, answer: null };
    }),
    prolong: assign(({ event }) => {
      assertEvent(event, "idempotency.renew");
      return { until: event.meta.now + event.leaseMs };
    }),
    keep: assign(({ event }) => {
      assertEvent(event, "idempotency.finish");
      return { answer: event.answer as Json };
    }),
    clear: assign(() => nothing),
    tellYours: effects<Context, Event>(({ event }) => [
      say({ state: "yours" }),
      remind("forget", event.meta.now + answerMs, { type: "idempotency.forget" }),
    ]),
    tellRunning: effects(() => [say({ state: "running" })]),
    tellDone: effects<Context, Event>(({ context }) => [say({ state: "done", answer: context.answer })]),
    keepLonger: effects<Context, Event>(({ event }) => [
      reply(null),
      remind("forget", event.meta.now + answerMs, { type: "idempotency.forget" }),
    ]),
    acknowledge: effects(() => [reply(null)]),
    forgetReminder: effects(() => [forget("forget"), reply(null)]),
    refuseOther: effects(() => [
      refuse("idempotency_conflict", "The idempotency key was used before with another request"),
    ]),
  },
}).createMachine({
  id: idempotencyType,
  context: nothing,
  initial: "absent",
  states: {
    absent: { on: { "idempotency.begin": { target: "running", actions: ["begin", "tellYours"] } } },
    running: {
      on: {
        "idempotency.begin": [
          { guard: "isOther", actions: "refuseOther" },
          { guard: "isOverdue", actions: ["begin", "tellYours"] },
          { actions: "tellRunning" },
        ],
        "idempotency.renew": { guard: "isOwner", actions: ["prolong", "acknowledge"] },
        "idempotency.finish": { guard: "isOwner", target: "done", actions: ["keep", "keepLonger"] },
        "idempotency.abandon": { guard: "isOwner", target: "absent", actions: ["clear", "forgetReminder"] },
        "idempotency.forget": { target: "absent", actions: "clear" },
      },
    },
    done: {
      on: {
        "idempotency.begin": [{ guard: "isOther", actions: "refuseOther" }, { actions: "tellDone" }],
        "idempotency.finish": { guard: "isOwner", actions: "acknowledge" },
        "idempotency.forget": { target: "absent", actions: "clear" },
      },
    },
  },
});

export const idempotencyDefinition: ActorDefinition<Context> = {
  type: idempotencyType,
  version: 1,
  machine,
  kind: () => "key",
  index: () => null,
  ended: ({ value }) => value !== "running",
};
