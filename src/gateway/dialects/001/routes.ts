/**
 * Routes of contract 001 alone: requests and responses between agents, publications, callbacks, templates, tokens,
 * metrics. A message may stand bare or in its wrapper (`{request: {…}}`), as the contract's text writes it.
 */
import { z } from "zod";
import { TroupeError } from "../../../machines/errors.ts";
import { isObject } from "../../../machines/json.ts";
import { answer, call, defineRoute, hasOperation } from "../../dialect.ts";
import { invalid, zodProblems } from "../../errors.ts";
import { freeJson, type Operation, type OperationContext } from "../../operation.ts";
import { anyId } from "../api-v1/schema.ts";
import {
  type CoreRequest,
  requestRefusal,
  toPublicationInput,
  toRequestInput,
  toResponse,
  toResponseInput,
} from "./map.ts";
import { publicationMessage, type RequestMessage, requestMessage, responseMessage } from "./schema.ts";

/** The message itself, out of its wrapper when it has one. Throws `invalid_input`. */
function message<T extends z.ZodType>(body: unknown, wrapper: string, schema: T): z.output<T> {
  const inner = isObject(body) && isObject(body[wrapper]) ? body[wrapper] : body;
  const parsed = schema.safeParse(inner);
  if (!parsed.success) throw invalid(`The ${wrapper} is not valid`, zodProblems(parsed.error));
  return parsed.data;
}

async function ask(ctx: OperationContext, asked: RequestMessage) {
  try {
    const made = await call<CoreRequest>(ctx, "requests.create", toRequestInput(asked));
    const response = toResponse(made);
    if (response !== null) return { ...response, response };
    ctx.setStatus?.(202);
    const { request_id: id, correlation_id } = made;
    return { id, request_id: id, status: "pending", correlation_id, callback_url: asked.callback_url ?? null };
  } catch (error) {
    throw error instanceof TroupeError ? requestRefusal(error, asked) : error;
  }
}

/** The JSON Schema that a template's body is, or holds. */
function schemaOf(body: unknown): { parameters_schema: unknown; description?: unknown } {
  if (!isObject(body)) throw invalid("The template is not valid", [{ path: "", message: "must be a JSON Schema" }]);
  const { parameters_schema: named, schema, description } = body;
  const inner = named ?? schema;
  const isWrapper = isObject(inner) && !("type" in body) && !("properties" in body) && !("$schema" in body);
  if (!isWrapper) return { parameters_schema: body };
  return { parameters_schema: inner, ...(typeof description === "string" && { description }) };
}

interface Template {
  readonly template_id: string;
  readonly parameters_schema: unknown;
  readonly description: string | null;
  readonly created_at: string;
  readonly updated_at: string;
}

const toTemplate = (one: Template) => ({ id: one.template_id, ...one, schema: one.parameters_schema });

interface Metrics {
  readonly active_agents: number;
  readonly waiting_tasks: number;
  readonly completed_runs: number;
  readonly answers: { readonly average_ms: number | null; readonly error_rate: number };
  readonly agent_figures: Readonly<
    Record<string, { tasks_completed: number; average_execution_ms: number | null; success_rate: number | null }>
  >;
}

/** As a registration gives them, whole or their two fields. */
const clientCredentials = z.object({
  client_id: z.string().min(1).max(200),
  client_secret: z.string().min(1).max(512),
});

const common = { dialects: ["001"] } as const;
const body = freeJson.describe("The message, bare or in its wrapper.");
const requestErrors = [
  "invalid_template",
  "forbidden",
  "already_exists",
  "idempotency_conflict",
  "agent_unavailable",
  "task_timed_out",
  "too_large",
] as const;

const all: readonly Operation[] = [
  defineRoute({
    ...common,
    name: "api.requests.create",
    summary: "Ask an agent: waits for its response up to the time-out, or is called back",
    description: "With a `callback_url` the answer comes at once (202) and the response is brought there, signed.",
    method: "POST",
    path: "/api/v1/requests",
    scope: "requests:write",
    errors: requestErrors,
    body: "message",
    bodyRequired: true,
    statuses: { 202: "Accepted: the response goes to the callback_url." },
    example: { id: "req-001", type: "generate_code", source: "orchestrator-001", target: "code-gen-001", timeout: 300 },
    input: z.object({ message: body }),
    output: answer,
    handle: (ctx, input) => ask(ctx, message(input.message, "request", requestMessage)),
  }),
  defineRoute({
    ...common,
    name: "api.requests.respond",
    summary: "Respond to a request",
    method: "POST",
    path: "/api/v1/requests/{request_id}/response",
    scope: "requests:write",
    errors: ["not_found", "forbidden", "conflict"],
    body: "message",
    bodyRequired: true,
    example: { id: "resp-001", status: "success", data: { execution_time: 45.2 }, errors: [] },
    input: z.object({ request_id: anyId, message: body }),
    output: answer,
    async handle(ctx, input) {
      const responded = message(input.message, "response", responseMessage);
      const one = await call<CoreRequest>(ctx, "requests.respond", toResponseInput(input.request_id, responded));
      return { ...toResponse(one) };
    },
  }),
  defineRoute({
    ...common,
    name: "api.publications.create",
    summary: "Publish to a topic",
    method: "POST",
    path: "/api/v1/publications",
    scope: "publications:write",
    errors: ["forbidden", "too_large"],
    body: "message",
    bodyRequired: true,
    example: { topic: "task.code_generation.completed", data: { task_id: "task-001", result: "success" } },
    input: z.object({ message: body }),
    output: answer,
    async handle(ctx, input) {
      const published = message(input.message, "publication", publicationMessage);
      const made = await call<{ publication_id: string; topic: string }>(
        ctx,
        "publications.publish",
        toPublicationInput(published),
      );
      return { id: made.publication_id, topic: made.topic, status: "published" };
    },
  }),
  defineRoute({
    ...common,
    name: "api.callbacks.receive",
    summary: "Call back: what comes is kept to be read",
    method: "POST",
    path: "/api/v1/callbacks/{callback_id}",
    scope: "callbacks:write",
    errors: ["not_found", "too_large"],
    body: "data",
    bodyRequired: true,
    input: z.object({ callback_id: anyId, data: freeJson }),
    output: answer,
    async handle(ctx, { callback_id, data }) {
      return toCallback(await call<Callback>(ctx, "callbacks.receive", { callback_id, data }));
    },
  }),
  defineRoute({
    ...common,
    name: "api.callbacks.get",
    summary: "What was called back",
    method: "GET",
    path: "/api/v1/callbacks/{callback_id}",
    scope: "callbacks:read",
    errors: ["not_found"],
    input: z.object({ callback_id: anyId }),
    output: answer,
    handle: async (ctx, { callback_id }) => toCallback(await call<Callback>(ctx, "callbacks.get", { callback_id })),
  }),
  defineRoute({
    ...common,
    name: "api.templates.put",
    summary: "Register a template: the JSON Schema of its parameters",
    method: "PUT",
    path: "/api/v1/templates/{template_id}",
    scope: "templates:write",
    errors: ["too_large"],
    body: "schema",
    bodyRequired: true,
    example: { type: "object", required: ["entities"], properties: { entities: { type: "array" } } },
    input: z.object({ template_id: anyId, schema: freeJson }),
    output: answer,
    async handle(ctx, { template_id, schema }) {
      return toTemplate(await call<Template>(ctx, "templates.put", { template_id, ...schemaOf(schema) }));
    },
  }),
  defineRoute({
    ...common,
    name: "api.templates.get",
    summary: "Read a template",
    method: "GET",
    path: "/api/v1/templates/{template_id}",
    scope: "templates:read",
    errors: ["not_found"],
    input: z.object({ template_id: anyId }),
    output: answer,
    handle: async (ctx, { template_id }) => toTemplate(await call<Template>(ctx, "templates.get", { template_id })),
  }),
  defineRoute({
    ...common,
    name: "api.auth.token",
    summary: "Trade an agent's credentials for a token",
    method: "POST",
    path: "/api/v1/auth/token",
    readOnly: true,
    scope: null,
    errors: ["unauthenticated"],
    example: { client_id: "agent-001", client_secret: "secret-key" },
    input: z.object({ ...clientCredentials.partial().shape, agent_credentials: clientCredentials.optional() }),
    output: answer,
    handle: (ctx, { client_id, client_secret, agent_credentials: whole }) =>
      call(ctx, "auth.token", whole ?? { client_id, client_secret }),
  }),
  defineRoute({
    ...common,
    name: "api.metrics",
    summary: "How the system and its agents do",
    description: "`average_response_time` in milliseconds, `average_execution_time` in seconds.",
    method: "GET",
    path: "/api/v1/metrics",
    scope: "system:read",
    errors: [],
    input: z.object({}),
    output: z.object({
      system_metrics: z.record(z.string(), z.number()),
      agent_metrics: z.record(z.string(), z.record(z.string(), z.number().nullable())),
    }),
    async handle(ctx) {
      const told = await call<Metrics>(ctx, "metrics.system", {});
      return {
        system_metrics: {
          active_agents: told.active_agents,
          pending_tasks: told.waiting_tasks,
          completed_workflows: told.completed_runs,
          average_response_time: told.answers.average_ms ?? 0,
          error_rate: told.answers.error_rate,
        },
        agent_metrics: Object.fromEntries(
          Object.entries(told.agent_figures).map(([agent, figures]) => [
            agent,
            {
              tasks_completed: figures.tasks_completed,
              average_execution_time: (figures.average_execution_ms ?? 0) / 1000,
              success_rate: figures.success_rate,
            },
          ]),
        ),
      };
    },
  }),
];

interface Callback {
  readonly callback_id: string;
  readonly count: number;
  readonly data: unknown;
  readonly calls: readonly unknown[];
}

/** `response`: what was called back last. */
const toCallback = (one: Callback) => ({
  id: one.callback_id,
  count: one.count,
  response: one.data,
  calls: [...one.calls],
});

/** Until the operation behind it is there. */
export const routes001: readonly Operation[] = all.filter(
  ({ name }) => name !== "api.auth.token" || hasOperation("auth.token"),
);
