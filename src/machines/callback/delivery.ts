/**
 * Bringing one callback to an address outside: attempts with growing pauses until the receiver takes it, says that
 * it never will, or the attempts run out. The call itself is made by the executor of kind `callback`.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, execute, type Json, refuse, settle } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { jsonSchema } from "../schema.ts";
import { unit } from "../task/retry.ts";

export const deliveryType = "delivery";
export const deliveryAttemptsMax = 12;
/** Attempts lost with a dead process do not count; so many are survived. */
export const deliveryLostMax = 100;
/** Pause after the n-th failed attempt: 1 s, growing threefold, an hour at most. */
const pauseFirstMs = 1_000;
const pauseFactor = 3;
const pauseMaxMs = 3_600_000;

export const deliveryBeginSchema = z.strictObject({
  type: z.literal("delivery.begin"),
  url: z.string().min(1).max(2_048),
  payload: jsonSchema,
  /** The credential whose secret signs. */
  owner: z.string().min(1).max(200),
});
export const deliveryReportSchema = z.strictObject({
  type: z.literal("delivery.report"),
  attempt: z.int().min(1),
  ok: z.boolean(),
  /** HTTP status, when there was an answer. */
  status: z.int().optional(),
  error: z.string().max(1_024).optional(),
  /** The same again would fail again. */
  permanent: z.boolean().optional(),
  /** As the receiver asks. */
  retryAfterMs: z.int().min(0).optional(),
});
const deliveryLoseSchema = z.strictObject({
  type: z.literal("work.lose"),
  id: z.string().max(200),
  reason: z.string().max(1_024).optional(),
});
export const deliveryCommandSchema = z.discriminatedUnion("type", [
  deliveryBeginSchema,
  deliveryReportSchema,
  deliveryLoseSchema,
]);
export type DeliveryCommand = z.infer<typeof deliveryCommandSchema>;

export interface DeliveryContext {
  readonly url: string;
  readonly payload: Json;
  readonly owner: string;
  readonly attempt: number;
  readonly lost: number;
  readonly lastStatus: number | null;
  readonly lastError: string | null;
  readonly retryAfterMs: number;
  readonly createdAt: number;
  readonly endedAt: number | null;
}

type Event = WithMeta<DeliveryCommand>;

const workId = (context: DeliveryContext) => `attempt-${context.attempt}`;

/** Milliseconds until the next attempt; the jitter follows from what is tried, so that replays agree. */
export function deliveryPauseMs(charged: number, retryAfterMs: number, seed: string): number {
  const base = Math.min(pauseMaxMs, pauseFirstMs * pauseFactor ** Math.min(charged - 1, 20));
  return Math.round(Math.max(Math.min(retryAfterMs, pauseMaxMs), base * (0.8 + 0.4 * unit(seed))));
}

const machine = setup({
  types: { context: {} as DeliveryContext, events: {} as Event },
  guards: {
    isOld: ({ context, event }) =>
      (event.type === "delivery.report" && event.attempt !== context.attempt) ||
      (event.type === "work.lose" && event.id !== workId(context)),
    arrived: ({ event }) => event.type === "delivery.report" && event.ok,
    isHopeless: ({ context, event }) =>
      event.type === "delivery.report" &&
      (event.permanent === true || context.attempt - context.lost >= deliveryAttemptsMax),
    isLostTooOften: ({ context }) => context.lost >= deliveryLostMax,
  },
  delays: {
    pause: ({ context, event }) =>
      deliveryPauseMs(
        context.attempt - context.lost,
        context.retryAfterMs,
        `${event.meta.self.key}#${context.attempt}`,
      ),
  },
  actions: {
    begin: assign(({ event }) => {
      assertEvent(event, "delivery.begin");
      const { url, payload, owner, meta } = event;
      const none = { attempt: 0, lost: 0, lastStatus: null, lastError: null, retryAfterMs: 0, endedAt: null };
      return { url, payload, owner, ...none, createdAt: meta.now };
    }),
    nextAttempt: assign(({ context }) => ({ attempt: context.attempt + 1 })),
    call: effects<DeliveryContext, Event>(({ context }) => [
      execute(workId(context), "callback", { attempt: context.attempt }),
    ]),
    settle: effects<DeliveryContext, Event>(({ context }) => [settle(workId(context))]),
    refuseOld: effects<DeliveryContext, Event>(({ context }) => [
      refuse("conflict", `the current attempt is ${context.attempt}`),
    ]),
    note: assign(({ event }) => {
      assertEvent(event, "delivery.report");
      return {
        lastStatus: event.status ?? null,
        lastError: event.error ?? null,
        retryAfterMs: event.retryAfterMs ?? 0,
      };
    }),
    lose: assign(({ context }) => ({ lost: context.lost + 1, lastError: "the process that called is gone" })),
    end: assign(({ event }) => ({ endedAt: event.meta.now })),
    tellFailedAttempt: effects<DeliveryContext, Event>(({ context }) => [
      emit("attempt_failed", { attempt: context.attempt, status: context.lastStatus, error: context.lastError }),
    ]),
    tellDelivered: effects<DeliveryContext, Event>(({ context }) => [emit("delivered", { attempt: context.attempt })]),
    tellFailed: effects<DeliveryContext, Event>(({ context }) => [
      emit("failed", { attempts: context.attempt, status: context.lastStatus, error: context.lastError }),
    ]),
  },
}).createMachine({
  id: deliveryType,
  context: {} as DeliveryContext,
  initial: "absent",
  states: {
    absent: { on: { "delivery.begin": { target: "calling", actions: "begin" } } },
    calling: {
      entry: ["nextAttempt", "call"],
      exit: "settle",
      on: {
        "delivery.report": [
          { guard: "isOld", actions: "refuseOld" },
          { guard: "arrived", target: "delivered", actions: "note" },
          { guard: "isHopeless", target: "failed", actions: "note" },
          { target: "pausing", actions: ["note", "tellFailedAttempt"] },
        ],
        "work.lose": [
          { guard: "isOld", actions: "refuseOld" },
          { guard: "isLostTooOften", target: "failed", actions: "lose" },
          { target: "calling", reenter: true, actions: "lose" },
        ],
      },
    },
    pausing: { after: { pause: "calling" } },
    delivered: { entry: ["end", "tellDelivered"] },
    failed: { entry: ["end", "tellFailed"] },
  },
});

export const deliveryDefinition: ActorDefinition<DeliveryContext> = {
  type: deliveryType,
  version: 1,
  machine,
  kind: () => "callback",
  index: ({ value, context }) => ({ status: String(value), created: context.createdAt }),
  view: ({ value, context: { payload: _, ...shown } }) => ({ status: String(value), ...shown }) as unknown as Json,
  ended: ({ value }) => value === "delivered" || value === "failed",
};
