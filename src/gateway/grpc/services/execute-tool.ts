/**
 * Contract 003's ExecuteTool: a call is a task. A tool that the session's front end registered waits for it (or for
 * whoever does the task); any other is done by a node that has it. The call's deadline bounds the wait.
 */
import { address } from "../../../machines/address.ts";
import type { Json } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { isObject } from "../../../machines/json.ts";
import { readAfterEvent } from "../../after-event.ts";
import { readSession } from "../../operations/sessions.ts";
import { rootEvents } from "../../sse.ts";
import { type AnyMessage, unpackAny } from "../any.ts";
import type { CallContext } from "../calls.ts";

interface ExecuteTool {
  readonly session_id: string;
  readonly tool_call: {
    readonly id: string;
    readonly function: { readonly name: string; readonly arguments: string } | null;
  } | null;
  readonly context: AnyMessage | null;
}
interface Task {
  readonly task_id: string;
  readonly status: string;
  readonly output: Json;
  readonly error: { readonly message: string } | null;
}

const ended: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "timed_out"]);

export async function executeTool(ctx: CallContext, request: ExecuteTool) {
  const { id = "", function: called } = request.tool_call ?? {};
  const name = called?.name ?? "";
  if (name === "") throw new TroupeError("invalid_input", "tool_call.function.name is required");
  const toolCallId = id === "" ? `call_${ctx.runtime.newId()}` : id;
  const frontend = await isFrontendTool(ctx, request.session_id, name);
  if (!frontend) await requireToolAgent(ctx, name);
  const extra = unpackAny(request.context);
  const { task } = await ctx.run<{ task: Task }>(
    "tasks.create",
    {
      task_type: frontend ? "frontend_tool" : "tool",
      title: `Call of ${name}`.slice(0, 512),
      // Whoever calls hears of an error and decides; attempts lost with a node do not count.
      retry: { max_attempts: 1 },
      input: {
        toolCallId,
        name,
        arguments: called?.arguments === "" ? "{}" : (called?.arguments ?? "{}"),
        sessionId: request.session_id,
        ...(extra === undefined ? {} : { context: extra }),
      },
    },
    id === "" ? undefined : `tool:${request.session_id}:${id}`.slice(0, 255),
  );
  const done = await outcomeOf(ctx, task.task_id);
  if (done.status === "completed") {
    return { tool_call_id: toolCallId, result: textOf(done.output), success: true, error_message: "" };
  }
  const message = done.error?.message ?? `the call ended as ${done.status}`;
  return { tool_call_id: toolCallId, result: "", success: false, error_message: message };
}

async function isFrontendTool(ctx: CallContext, sessionId: string, name: string): Promise<boolean> {
  if (sessionId === "") return false;
  const { tools } = await readSession(ctx, sessionId);
  return tools.some((tool) => tool.name === name);
}

/** Nobody would ever take the call: refused at once. */
async function requireToolAgent(ctx: CallContext, name: string): Promise<void> {
  const { items } = await ctx.runtime.list({ type: "agent", where: { agentType: "tool" }, limit: 20 });
  if (items.some(({ view }) => (view as { status?: string }).status !== "gone")) return;
  throw new TroupeError(
    "not_found",
    `There is no tool ${name.slice(0, 200)}: the session has none, and no node has any`,
  );
}

/** The task when it is over. A client that gives up leaves it as it is. */
async function outcomeOf(ctx: CallContext, taskId: string): Promise<Task> {
  const read = () => ctx.run<Task>("tasks.get", { task_id: taskId });
  let task = await read();
  if (ended.has(task.status)) return task;
  for await (const event of rootEvents(ctx, { root: taskId, after: 0, ended: false, signal: ctx.signal })) {
    if (event === "silence" || event.key !== taskId || !ended.has(event.name)) continue;
    await readAfterEvent(ctx, address("task", taskId), (view) => ended.has((view as { status?: string }).status ?? ""));
    return read();
  }
  task = await read();
  if (ended.has(task.status)) return task;
  throw new TroupeError("timed_out", `The call goes on as task ${taskId}`, { task_id: taskId });
}

function textOf(output: Json): string {
  if (isObject(output) && typeof output.content === "string") return output.content;
  return typeof output === "string" ? output : JSON.stringify(output);
}
