/**
 * Operations on sessions (conversations; AG-UI threads): create, read, list, end; state, tools, reset, cancel.
 * Runs in them are begun by ../ag-ui.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import type { SessionView } from "../../machines/session/machine.ts";
import { flattened } from "../../machines/session/messages.ts";
import { sessionKey } from "../ag-ui/begin.ts";
import { cancelRun } from "../ag-ui/control.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { defineOperation, freeJson, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { named } from "./values.ts";

const nullableTime = z.string().nullable().meta({ format: "date-time" });
const time = (ms: number | null | undefined): string | null => (ms === null || ms === undefined ? null : rfc3339(ms));

const sessionRun = z.object({
  run_id: z.string().describe("As the client named it."),
  run: z.string().describe("The run to read at /v1/runs/{run_id}."),
  agent: z.string(),
  status: z.enum(["queued", "running", "interrupted", "succeeded", "failed", "canceled", "timed_out"]),
  started_at: nullableTime,
  ended_at: nullableTime,
});

const session = z
  .object({
    session_id: z.string(),
    status: z.enum(["open", "ended", "expired"]),
    created_at: nullableTime,
    active_at: nullableTime,
    expires_at: nullableTime,
    state: freeJson,
    state_version: z.int(),
    state_at: nullableTime,
    message_count: z.int(),
    tools: z.array(freeObject),
    context: z.array(freeObject),
    runs: z.array(sessionRun),
    pending_tool_calls: z.array(z.object({ tool_call_id: z.string(), name: z.string(), task_id: z.string() })),
    usage: z.object({ runs: z.int(), prompt_tokens: z.int(), completion_tokens: z.int(), total_usd: z.number() }),
  })
  .meta({ id: "Session" });
export type SessionShape = z.input<typeof session>;

async function toSession(ctx: OperationContext, view: SessionView): Promise<SessionShape> {
  const { usage } = view;
  return {
    session_id: view.threadId,
    status: view.status,
    created_at: time(view.createdAt),
    active_at: time(view.activeAt),
    expires_at: time(view.options.expiresAt),
    state: await ctx.runtime.values.load(view.state),
    state_version: view.stateVersion,
    state_at: time(view.stateAt),
    message_count: view.messages.length,
    tools: [...view.tools] as Record<string, unknown>[],
    context: [...view.context] as Record<string, unknown>[],
    runs: view.runs.map(({ runId, run, agent, status, startedAt, endedAt }) => ({
      run_id: runId,
      run,
      agent,
      status,
      started_at: time(startedAt),
      ended_at: time(endedAt),
    })),
    pending_tool_calls: view.pending.map(({ toolCallId, name, task }) => ({
      tool_call_id: toolCallId,
      name,
      task_id: task,
    })),
    usage: {
      runs: usage.runs,
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      total_usd: usage.usd,
    },
  };
}

const id = z.string().min(1).max(4096);
const common = { tags: ["sessions"], scope: "runs:read" } as const;

async function ask(ctx: OperationContext, sessionId: string, command: { type: string; [field: string]: unknown }) {
  const asked = ctx.runtime.ask(address("session", sessionKey(sessionId)), command, {
    timeoutMs: ctx.limits.askTimeoutMs,
  });
  return asked.catch(named("session", sessionId));
}

export async function readSession(ctx: OperationContext, sessionId: string): Promise<SessionView> {
  const answer = await ctx.runtime.read(address("session", sessionKey(sessionId))).catch(named("session", sessionId));
  return answer.view as unknown as SessionView;
}

/** The messages with large values loaded and large lists in their places. */
export async function messagesOf(ctx: OperationContext, view: SessionView): Promise<JsonObject[]> {
  return flattened((await ctx.runtime.values.load(view.messages as Json)) as unknown as JsonObject[]);
}

export const sessionOperations = [
  defineOperation({
    ...common,
    name: "sessions.create",
    summary: "Create a session",
    method: "POST",
    path: "/v1/sessions",
    status: 201,
    scope: "runs:write",
    errors: ["invalid_input", "already_exists"],
    input: z.strictObject({
      session_id: id.optional().describe("Default: made."),
      state: freeJson.optional(),
      tools: z.array(freeObject).max(256).optional(),
      context: z.array(freeObject).max(256).optional(),
      expires_at: z.iso.datetime({ offset: true }).optional(),
      concurrency: z.enum(["serial", "refuse"]).optional().describe("What a second run at once meets. Default serial."),
      max_messages: z.int().min(1).max(10_000).optional(),
      auto_save_state: z.boolean().optional(),
      enable_logging: z.boolean().optional(),
    }),
    output: session,
    async handle(ctx, input) {
      const sessionId = input.session_id ?? `ses_${ctx.runtime.newId()}`;
      const options = {
        ...(input.expires_at === undefined ? {} : { expiresAt: Date.parse(input.expires_at) }),
        ...(input.concurrency === undefined ? {} : { concurrency: input.concurrency }),
        ...(input.max_messages === undefined ? {} : { messagesMax: input.max_messages }),
        ...(input.auto_save_state === undefined ? {} : { autoSaveState: input.auto_save_state }),
        ...(input.enable_logging === undefined ? {} : { enableLogging: input.enable_logging }),
      };
      const answer = await ask(ctx, sessionId, {
        type: "session.create",
        threadId: sessionId,
        createdBy: ctx.credential.name,
        options,
        ...(input.state === undefined
          ? {}
          : { state: await ctx.runtime.values.offload(sessionKey(sessionId), input.state as Json) }),
        ...(input.tools === undefined ? {} : { tools: input.tools }),
        ...(input.context === undefined ? {} : { context: input.context }),
      });
      return toSession(ctx, answer.view as unknown as SessionView);
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.list",
    summary: "List sessions, newest first",
    method: "GET",
    path: "/v1/sessions",
    errors: ["invalid_input"],
    input: z.strictObject({ ...pageFields, status: z.enum(["open", "ended", "expired"]).optional() }),
    output: pageOf(session),
    async handle(ctx, input) {
      const page = await ctx.runtime.list({
        type: "session",
        where: input.status === undefined ? {} : { status: input.status },
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("sessions", input.cursor)) }),
      });
      const data = await Promise.all(page.items.map(({ view }) => toSession(ctx, view as unknown as SessionView)));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("sessions", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.get",
    summary: "Read a session",
    method: "GET",
    path: "/v1/sessions/{session_id}",
    errors: ["not_found"],
    input: z.strictObject({ session_id: id }),
    output: session,
    handle: async (ctx, input) => toSession(ctx, await readSession(ctx, input.session_id)),
  }),
  defineOperation({
    ...common,
    name: "sessions.messages",
    summary: "A session's messages, in AG-UI's shapes",
    method: "GET",
    path: "/v1/sessions/{session_id}/messages",
    errors: ["not_found"],
    input: z.strictObject({ session_id: id }),
    output: z.object({ data: z.array(freeObject) }),
    async handle(ctx, input) {
      const messages = await messagesOf(ctx, await readSession(ctx, input.session_id));
      return { data: messages as Record<string, unknown>[] };
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.update_state",
    summary: "Replace or merge a session's shared state",
    method: "PATCH",
    path: "/v1/sessions/{session_id}/state",
    scope: "runs:write",
    errors: ["not_found", "conflict", "too_large"],
    input: z.strictObject({
      session_id: id,
      state: freeJson,
      merge: z.boolean().default(true).describe("True: top-level fields are merged, null removes one."),
    }),
    output: session,
    async handle(ctx, input) {
      const { merge } = input;
      const answer = await ask(ctx, input.session_id, {
        type: "session.update_state",
        state: input.state ?? null,
        merge,
      });
      return toSession(ctx, answer.view as unknown as SessionView);
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.register_tools",
    summary: "Add tools that the front end of a session offers",
    method: "POST",
    path: "/v1/sessions/{session_id}/tools",
    scope: "runs:write",
    errors: ["not_found", "conflict", "overloaded"],
    input: z.strictObject({
      session_id: id,
      tools: z.array(freeObject).max(256),
      replace: z.boolean().default(false).describe("Tools of the same name are replaced; otherwise left."),
    }),
    output: z.object({ registered: z.array(z.string()) }),
    async handle(ctx, input) {
      const { tools, replace } = input;
      const answer = await ask(ctx, input.session_id, { type: "session.register_tools", tools, replace });
      return { registered: [...((answer.reply as { registered?: string[] } | null)?.registered ?? [])] };
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.reset",
    summary: "Forget a session's messages and state",
    method: "POST",
    path: "/v1/sessions/{session_id}/reset",
    scope: "runs:write",
    errors: ["not_found"],
    input: z.strictObject({ session_id: id }),
    output: session,
    async handle(ctx, input) {
      const answer = await ask(ctx, input.session_id, { type: "session.reset" });
      return toSession(ctx, answer.view as unknown as SessionView);
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.cancel",
    summary: "Cancel what runs in a session",
    method: "POST",
    path: "/v1/sessions/{session_id}/cancel",
    scope: "runs:write",
    errors: ["not_found"],
    input: z.strictObject({ session_id: id, reason: z.string().max(1000).optional() }),
    output: session,
    async handle(ctx, input) {
      await cancelRun(ctx, sessionKey(input.session_id), undefined, input.reason ?? "cancelled by a client");
      return toSession(ctx, await readSession(ctx, input.session_id));
    },
  }),
  defineOperation({
    ...common,
    name: "sessions.end",
    summary: "End a session",
    method: "DELETE",
    path: "/v1/sessions/{session_id}",
    scope: "runs:write",
    errors: ["not_found"],
    input: z.strictObject({ session_id: id, save_state: z.stringbool().or(z.boolean()).optional() }),
    output: session,
    async handle(ctx, input) {
      const saveState = input.save_state === undefined ? {} : { saveState: input.save_state };
      const answer = await ask(ctx, input.session_id, { type: "session.end", ...saveState });
      return toSession(ctx, answer.view as unknown as SessionView);
    },
  }),
];
