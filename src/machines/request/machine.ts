/**
 * A request from one agent to another: pending until the target responds, its time runs out, or it is taken back.
 * Owns the one answer that there is, and hands it to the callback when one was named; delivering that is
 * callback/delivery.ts's.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import { address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import { type Effect, effects, emit, forget, type Json, refuse, remind, reply, send } from "../effects.ts";
import { sameJson } from "../json.ts";
import type { WithMeta } from "../planned.ts";
import { jsonSchema, keySchema } from "../schema.ts";

export const requestType = "request";
export const requestTimeoutMsMax = 7 * 86_400_000;

/** Where the response is brought: an address outside, or a mailbox of this system. */
export const callbackSchema = z.union([
  z.strictObject({ url: z.string().min(1).max(2_048) }),
  z.strictObject({ mailbox: keySchema }),
]);
export type Callback = z.infer<typeof callbackSchema>;

export const requestCreateSchema = z.strictObject({
  type: z.literal("request.create"),
  source: keySchema,
  target: keySchema,
  /** What is asked: a word between the two. */
  requestType: z.string().min(1).max(128),
  data: jsonSchema,
  correlationId: z.string().max(200).optional(),
  timeoutMs: z.int().min(1).max(requestTimeoutMsMax),
  callback: callbackSchema.optional(),
  /** The credential that asked: its secret signs the callback. */
  owner: z.string().min(1).max(200),
  requestHash: z.string().max(128).optional(),
});
export const requestRespondSchema = z.strictObject({
  type: z.literal("request.respond"),
  responseId: keySchema,
  /** `success`, `error`, or another word of the responder's. */
  status: z.string().min(1).max(64),
  data: jsonSchema,
  errors: z.array(jsonSchema).max(100),
  by: z.string().min(1).max(200),
});
export const requestCancelSchema = z.strictObject({
  type: z.literal("request.cancel"),
  reason: z.string().max(1_024).optional(),
});
/** From its own reminder. */
const requestTimeOutSchema = z.strictObject({ type: z.literal("request.time_out") });
export const requestCommandSchema = z.discriminatedUnion("type", [
  requestCreateSchema,
  requestRespondSchema,
  requestCancelSchema,
  requestTimeOutSchema,
]);
export type RequestCreate = z.infer<typeof requestCreateSchema>;
export type RequestCommand = z.infer<typeof requestCommandSchema>;

export interface RequestResponse {
  readonly responseId: string;
  readonly status: string;
  readonly data: Json;
  readonly errors: readonly Json[];
  readonly by: string;
  readonly at: number;
}

export interface RequestContext {
  readonly source: string;
  readonly target: string;
  readonly requestType: string;
  readonly data: Json;
  readonly correlationId: string | null;
  readonly timeoutMs: number;
  readonly callback: Callback | null;
  readonly owner: string;
  readonly requestHash: string | null;
  readonly createdAt: number;
  readonly deadlineAt: number;
  readonly response: RequestResponse | null;
  readonly endedAt: number | null;
}

type Event = WithMeta<RequestCommand>;

/** In the events: enough to route by; data is read from the request. */
const brief = (context: RequestContext) => ({
  source: context.source,
  target: context.target,
  requestType: context.requestType,
  correlationId: context.correlationId,
});

/** What a callback is told: the response of contract 001. */
export function callbackPayload(
  requestId: string,
  context: RequestContext,
  response: Omit<RequestResponse, "at">,
): Json {
  const { responseId, status, data, errors } = response;
  return { id: responseId, request_id: requestId, correlation_id: context.correlationId, status, data, errors };
}

function callBack(requestId: string, context: RequestContext, response: Omit<RequestResponse, "at">): Effect[] {
  const { callback, owner } = context;
  if (callback === null) return [];
  const payload = callbackPayload(requestId, context, response);
  if ("mailbox" in callback) {
    const command = { type: "callback.receive", id: response.responseId, data: payload, by: response.by };
    return [send(address("callback", callback.mailbox), command)];
  }
  return [
    send(address("delivery", `${requestId}~callback`), { type: "delivery.begin", url: callback.url, payload, owner }),
  ];
}

const machine = setup({
  types: { context: {} as RequestContext, events: {} as Event },
  guards: {
    isSameRequest: ({ context, event }) =>
      event.type === "request.create" && context.requestHash !== null && event.requestHash === context.requestHash,
    isSameResponse: ({ context, event }) =>
      event.type === "request.respond" &&
      context.response !== null &&
      context.response.by === event.by &&
      context.response.status === event.status &&
      sameJson(context.response.data, event.data) &&
      sameJson(context.response.errors, event.errors),
  },
  actions: {
    create: assign(({ event }) => {
      assertEvent(event, "request.create");
      return {
        source: event.source,
        target: event.target,
        requestType: event.requestType,
        data: event.data,
        correlationId: event.correlationId ?? null,
        timeoutMs: event.timeoutMs,
        callback: event.callback ?? null,
        owner: event.owner,
        requestHash: event.requestHash ?? null,
        createdAt: event.meta.now,
        deadlineAt: event.meta.now + event.timeoutMs,
        response: null,
        endedAt: null,
      };
    }),
    tellRequested: effects<RequestContext, Event>(({ context }) => [
      remind("time_out", context.deadlineAt, { type: "request.time_out" }),
      emit("requested", brief(context)),
      reply({ created: true }),
    ]),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseExisting: effects<RequestContext, Event>(({ context }) => [
      context.requestHash === null
        ? refuse("already_exists", "a request with this id exists already")
        : refuse("idempotency_conflict", "the request exists with another content"),
    ]),
    keepResponse: assign(({ event }) => {
      assertEvent(event, "request.respond");
      const { responseId, status, data, errors, by, meta } = event;
      return { response: { responseId, status, data, errors, by, at: meta.now }, endedAt: meta.now };
    }),
    tellResponded: effects<RequestContext, Event>(({ context, event }) => {
      assertEvent(event, "request.respond");
      return [
        forget("time_out"),
        emit("responded", { ...brief(context), status: event.status, by: event.by }),
        ...callBack(event.meta.self.key, context, event),
        reply({ responded: true }),
      ];
    }),
    end: assign(({ event }) => ({ endedAt: event.meta.now })),
    tellTimedOut: effects<RequestContext, Event>(({ context, event }) => {
      const message = `${context.target} gave no response within ${context.timeoutMs} ms`;
      return [
        emit("timed_out", brief(context)),
        ...callBack(event.meta.self.key, context, {
          responseId: `${event.meta.self.key}~timeout`,
          status: "timeout",
          data: null,
          errors: [{ code: "timed_out", message }],
          by: "runtime",
        }),
      ];
    }),
    tellCancelled: effects<RequestContext, Event>(({ context, event }) => {
      assertEvent(event, "request.cancel");
      return [forget("time_out"), emit("cancelled", { ...brief(context), reason: event.reason ?? null }), reply(null)];
    }),
    replyResponded: effects(() => [reply({ responded: true })]),
    acknowledge: effects(() => [reply(null)]),
  },
}).createMachine({
  id: requestType,
  context: {} as RequestContext,
  initial: "absent",
  on: { "request.create": [{ guard: "isSameRequest", actions: "replyExisting" }, { actions: "refuseExisting" }] },
  states: {
    absent: { on: { "request.create": { target: "pending", actions: ["create", "tellRequested"] } } },
    pending: {
      on: {
        "request.respond": { target: "responded", actions: ["keepResponse", "tellResponded"] },
        "request.time_out": { target: "timed_out", actions: ["end", "tellTimedOut"] },
        "request.cancel": { target: "cancelled", actions: ["end", "tellCancelled"] },
      },
    },
    responded: { on: { "request.respond": { guard: "isSameResponse", actions: "replyResponded" } } },
    timed_out: {},
    cancelled: { on: { "request.cancel": { actions: "acknowledge" } } },
  },
});

export const requestStatuses = ["pending", "responded", "timed_out", "cancelled"] as const;

export const requestDefinition: ActorDefinition<RequestContext> = {
  type: requestType,
  version: 1,
  machine,
  /** Subjects name the target, so that its gateway hears of it alone. */
  kind: (context) => context.target,
  index: ({ value, context }) => ({
    status: String(value),
    source: context.source,
    target: context.target,
    created: context.createdAt,
  }),
  view: ({ value, context: { requestHash: _, ...shown } }) => ({ status: String(value), ...shown }) as unknown as Json,
  ended: ({ value }) => value !== "pending",
};
