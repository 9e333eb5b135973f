/**
 * Operations on requests between agents: ask (and wait for the response, or be called back), see what waits for an
 * agent, respond, take back. A request may be seen by its two sides, by the credential that made it, and by operators.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isLarger } from "../../machines/json.ts";
import {
  type Callback,
  type RequestContext,
  requestStatuses,
  requestTimeoutMsMax,
  requestType,
} from "../../machines/request/machine.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { isOperator } from "../auth/credential.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { invalid } from "../errors.ts";
import { passToHosted } from "../hosted-request.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeJson, type OperationContext, pageFields } from "../operation.ts";
import { agentView, requireReachable } from "../reachable.ts";
import { pendingFor, requestSubjects } from "../request-inbox.ts";
import { waitFor } from "../wait.ts";
import { checkTemplateOf } from "./templates.ts";
import { absent, brief, madeId, named, requireId, whole } from "./values.ts";

const id = z.string().min(1).max(200);
const time = z.string().meta({ format: "date-time" });
/** A caller that waits holds its connection so long at most. */
const waitMsMax = 600_000;
const timeoutMsDefault = 30_000;
const errorsBytesMax = 32_768;

export const request = z
  .object({
    request_id: z.string(),
    status: z.enum(requestStatuses),
    source: z.string(),
    target: z.string(),
    request_type: z.string(),
    data: freeJson,
    correlation_id: z.string().nullable(),
    timeout_ms: z.int(),
    callback_url: z.string().nullable(),
    created_at: time,
    deadline: time,
    ended_at: time.nullable(),
    response: z
      .object({
        response_id: z.string(),
        status: z.string().describe("`success`, `error`, or another word of the responder's."),
        data: freeJson,
        errors: z.array(freeJson),
        responded_by: z.string(),
        responded_at: time,
      })
      .nullable(),
  })
  .meta({ id: "Request" });

export type RequestView = RequestContext & { readonly status: (typeof requestStatuses)[number] };

function toRequest(requestId: string, view: RequestView, data: Json, answer: Json): z.input<typeof request> {
  const { response, callback } = view;
  return {
    request_id: requestId,
    status: view.status,
    source: view.source,
    target: view.target,
    request_type: view.requestType,
    data,
    correlation_id: view.correlationId,
    timeout_ms: view.timeoutMs,
    callback_url:
      callback === null
        ? null
        : "url" in callback
          ? callback.url
          : `/v1/callbacks/${encodeURIComponent(callback.mailbox)}`,
    created_at: rfc3339(view.createdAt),
    deadline: rfc3339(view.deadlineAt),
    ended_at: view.endedAt === null ? null : rfc3339(view.endedAt),
    response:
      response === null
        ? null
        : {
            response_id: response.responseId,
            status: response.status,
            data: answer,
            errors: [...response.errors],
            responded_by: response.by,
            responded_at: rfc3339(response.at),
          },
  };
}

/** With its large values. */
async function shown(ctx: OperationContext, requestId: string, view: Json) {
  const v = view as unknown as RequestView;
  const [data, answer] = await Promise.all([whole(ctx.runtime, v.data), whole(ctx.runtime, v.response?.data)]);
  return toRequest(requestId, v, data, answer);
}

const createInput = z.strictObject({
  request_id: id.optional().describe("Default: one is made."),
  source: id.optional().describe("Default: the agent that asks, or the credential's name."),
  target: id.describe("The agent that is asked."),
  request_type: z.string().min(1).max(128),
  data: freeJson,
  correlation_id: z.string().max(200).optional(),
  timeout_ms: z.int().min(1).max(requestTimeoutMsMax).default(timeoutMsDefault),
  callback_url: z
    .string()
    .max(2_048)
    .optional()
    .describe("An http or https address, or a path of this API (`/v1/callbacks/{id}`), that gets the response."),
  wait: z.boolean().optional().describe("For the response. Default: unless there is a callback_url."),
});
type CreateInput = z.output<typeof createInput>;

/** A mailbox of this API, or an address outside. Throws `invalid_input`. */
function callbackOf(url: string): Callback {
  const bad = (message: string) => invalid("The request is not valid", [{ path: "callback_url", message }]);
  const path = /^\/(?:api\/)?v1\/callbacks\/([^/?#]+)$/.exec(url)?.[1];
  if (path !== undefined) {
    try {
      return { mailbox: requireId("callback", decodeURIComponent(path)) };
    } catch {
      throw bad("names no callback");
    }
  }
  if (!URL.canParse(url)) throw bad("must be an http or https address, or a path /v1/callbacks/{id}");
  const { protocol, username, password } = new URL(url);
  if (protocol !== "http:" && protocol !== "https:") throw bad("must be an http or https address");
  if (username !== "" || password !== "") throw bad("may hold no user and password");
  return { url };
}

async function create(ctx: OperationContext, input: CreateInput) {
  const { credential, limits } = ctx;
  const source = input.source ?? credential.agentId ?? credential.name;
  if (input.source !== undefined || credential.agentId !== undefined) {
    if (source !== credential.name || credential.agentId !== undefined) await requireOwnAgent(ctx, source);
  }
  const waits = input.wait ?? input.callback_url === undefined;
  if (waits && input.timeout_ms > waitMsMax)
    throw invalid("The request is not valid", [{ path: "timeout_ms", message: `at most ${waitMsMax} for who waits` }]);
  const callback = input.callback_url === undefined ? undefined : callbackOf(input.callback_url);
  await checkTemplateOf(ctx, input.data);
  const key = input.request_id === undefined ? madeId(ctx, "req", "requests.create") : newKey(input.request_id);
  const target =
    callback === undefined ? await requireReachable(ctx, input.target) : await agentView(ctx, input.target);
  const { wait: _, ...hashed } = input;
  const command = {
    type: "request.create",
    source,
    target: input.target,
    requestType: input.request_type,
    data: await ctx.runtime.values.offload(key, (input.data ?? null) as Json),
    timeoutMs: input.timeout_ms,
    owner: credential.id,
    requestHash: hashJson({ ...hashed, owner: credential.id } as Json),
    ...(input.correlation_id !== undefined && { correlationId: input.correlation_id }),
    ...(callback !== undefined && { callback }),
  };
  const made = await ctx.runtime.ask(address(requestType, key), command, { timeoutMs: limits.askTimeoutMs });
  if ((made.reply as { created?: boolean }).created === true) passToHosted(ctx, key, target, made.view);
  if (!waits) return shown(ctx, key, made.view);
  const { value } = await waitFor(ctx, {
    root: key,
    forMs: input.timeout_ms + limits.askTimeoutMs,
    read: async () => (await ctx.runtime.read(address(requestType, key))).view as unknown as RequestView,
    isDone: ({ status }) => status !== "pending",
  });
  if (value.status !== "responded")
    throw new TroupeError("timed_out", `${input.target} gave no response within ${input.timeout_ms} ms`, {
      request_id: key,
      request_status: value.status,
      agent_id: input.target,
    });
  return shown(ctx, key, value as unknown as Json);
}

function newKey(given: string): string {
  try {
    return requireId("request", given);
  } catch {
    throw invalid("The request is not valid", [
      { path: "request_id", message: "has characters that an id may not have" },
    ]);
  }
}

/** The view of one that the caller may see. A foreign one is not there. */
async function readMine(ctx: OperationContext, requestId: string): Promise<RequestView> {
  const at = address(requestType, requireId("request", requestId));
  const view = (await ctx.runtime.read(at).catch(named("request", requestId))).view as unknown as RequestView;
  if (view.owner === ctx.credential.id || isOperator(ctx.credential)) return view;
  for (const side of [view.target, view.source]) if (await isOwnAgent(ctx, side)) return view;
  throw absent("request", requestId);
}

/** Who is no operator lists what one of their agents is a side of. */
async function requireOneSide(
  ctx: OperationContext,
  sides: { source?: string | undefined; target?: string | undefined },
) {
  for (const side of [sides.source, sides.target]) if (side !== undefined && (await isOwnAgent(ctx, side))) return;
  throw new TroupeError("forbidden", "Name an agent of your own as source or target", { scope: "agents:operate" });
}

async function isOwnAgent(ctx: OperationContext, agentId: string): Promise<boolean> {
  try {
    await requireOwnAgent(ctx, agentId);
    return true;
  } catch (error) {
    if (error instanceof TroupeError && (error.code === "forbidden" || error.code === "not_found")) return false;
    throw error;
  }
}

const respondInput = z.strictObject({
  request_id: id,
  response_id: id.optional(),
  status: z.string().min(1).max(64).default("success"),
  data: freeJson.optional(),
  errors: z.array(freeJson).max(100).default([]),
});

async function respond(ctx: OperationContext, input: z.output<typeof respondInput>) {
  const view = await readMine(ctx, input.request_id);
  await requireOwnAgent(ctx, view.target);
  if (isLarger(input.errors as Json, errorsBytesMax))
    throw new TroupeError("too_large", `Errors have at most ${errorsBytesMax} bytes; what is larger belongs into data`);
  const command = {
    type: "request.respond",
    responseId: input.response_id ?? madeId(ctx, "resp", "requests.respond"),
    status: input.status,
    data: await ctx.runtime.values.offload(input.request_id, (input.data ?? null) as Json),
    errors: input.errors as Json,
    by: view.target,
  };
  const at = address(requestType, input.request_id);
  return shown(
    ctx,
    input.request_id,
    (await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs })).view,
  );
}

const common = { tags: ["requests"], scope: "requests:read" } as const;

export const requestOperations = [
  defineOperation({
    ...common,
    name: "requests.create",
    summary: "Ask an agent, and wait for its response or be called back",
    description:
      "Without callback_url the answer comes with the response (504 timed_out when there is none in time, 503 agent_unavailable when the target is not there). With callback_url it comes at once, with the status `pending`; the response is brought to the address, signed with Standard Webhooks headers, and again with growing pauses until it is taken.",
    method: "POST",
    path: "/v1/requests",
    scope: "requests:write",
    errors: [
      "invalid_input",
      "invalid_template",
      "already_exists",
      "idempotency_conflict",
      "agent_unavailable",
      "timed_out",
      "too_large",
    ],
    example: { target: "code-gen-001", request_type: "generate_code", data: { files: 3 }, timeout_ms: 30_000 },
    input: createInput,
    output: request,
    handle: create,
  }),
  defineOperation({
    ...common,
    name: "requests.list",
    summary: "List requests, newest first",
    description: "An agent sees those that it is one side of: it names itself as source or target.",
    method: "GET",
    path: "/v1/requests",
    errors: ["invalid_input"],
    input: z.strictObject({
      ...pageFields,
      status: z.enum(requestStatuses).optional(),
      source: id.optional(),
      target: id.optional(),
    }),
    output: pageOf(request),
    async handle(ctx, { limit, cursor, ...fields }) {
      if (!isOperator(ctx.credential)) await requireOneSide(ctx, fields);
      const where = Object.fromEntries(
        Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined),
      ) as Record<string, string>;
      const page = await ctx.runtime.list({
        type: requestType,
        where,
        limit,
        ...(cursor !== undefined && { cursor: String(decodeCursor("requests", cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => {
        const v = view as unknown as RequestView;
        return toRequest(at.key, v, brief(v.data), brief(v.response?.data));
      });
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("requests", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "requests.get",
    summary: "Read a request, with its response when there is one",
    method: "GET",
    path: "/v1/requests/{request_id}",
    errors: ["not_found"],
    input: z.strictObject({ request_id: id }),
    output: request,
    handle: async (ctx, input) =>
      shown(ctx, input.request_id, (await readMine(ctx, input.request_id)) as unknown as Json),
  }),
  defineOperation({
    ...common,
    name: "requests.pending",
    summary: "What waits for an agent's response, oldest first; waits for the first",
    method: "GET",
    path: "/v1/agents/{agent_id}/requests",
    errors: ["invalid_input", "forbidden"],
    input: z.strictObject({
      agent_id: id,
      wait_ms: z.int().min(0).max(60_000).default(0),
      limit: z.int().min(1).max(200).default(50),
    }),
    output: z.object({ data: z.array(request) }),
    async handle(ctx, input) {
      await requireOwnAgent(ctx, input.agent_id);
      const { value } = await waitFor(ctx, {
        subjects: requestSubjects(input.agent_id),
        forMs: input.wait_ms,
        lookMs: 2_000,
        read: () => pendingFor(ctx.runtime, input.agent_id, input.limit),
        isDone: (found) => found.length > 0,
      });
      return { data: await Promise.all(value.map((one) => shown(ctx, one.id, one.view))) };
    },
  }),
  defineOperation({
    ...common,
    name: "requests.respond",
    summary: "Respond to a request",
    method: "POST",
    path: "/v1/requests/{request_id}/response",
    scope: "requests:write",
    bodyRequired: true,
    errors: ["invalid_input", "not_found", "forbidden", "conflict", "too_large"],
    example: { status: "success", data: { generated_files: ["a.ts"] } },
    input: respondInput,
    output: request,
    handle: respond,
  }),
  defineOperation({
    ...common,
    name: "requests.cancel",
    summary: "Take a request back that has no response yet",
    method: "DELETE",
    path: "/v1/requests/{request_id}",
    scope: "requests:write",
    errors: ["not_found", "forbidden", "conflict"],
    input: z.strictObject({ request_id: id, reason: z.string().max(1_000).optional() }),
    output: request,
    async handle(ctx, input) {
      const view = await readMine(ctx, input.request_id);
      if (view.owner !== ctx.credential.id) await requireOwnAgent(ctx, view.source);
      const command = { type: "request.cancel", ...(input.reason !== undefined && { reason: input.reason }) };
      const at = address(requestType, input.request_id);
      const answer = await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
      return shown(ctx, input.request_id, answer.view);
    },
  }),
];
