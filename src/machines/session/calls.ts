/**
 * Tool calls that a session hands to its front end: a task waits for each, until the client's next run brings
 * the answer or somebody else does the task. Pure; owns no transition.
 */
import { address } from "../address.ts";
import { type Effect, emit, type Json, type JsonObject, reply, type StepMeta, send } from "../effects.ts";
import { isObject } from "../json.ts";
import type { Planned } from "../planned.ts";
import type { RunFinishTask } from "../run/schema.ts";
import { noCost } from "../schema.ts";
import { mergeMessages } from "./messages.ts";
import type { Message, PendingCall, SessionContext } from "./schema.ts";

/** Tool messages that answer waiting calls end those calls' tasks. */
export function answerCalls(context: SessionContext, messages: readonly Message[]) {
  const answers = new Map(messages.filter(({ role }) => role === "tool").map((m) => [m.toolCallId, m]));
  const effects: Effect[] = [];
  const pending = context.pending.filter((call) => {
    const answer = answers.get(call.toolCallId);
    if (answer === undefined) return true;
    const failed = typeof answer.error === "string";
    const made = { artifacts: [], cost: noCost };
    const outcome = failed
      ? {
          ok: false,
          error: { code: "tool_failed", message: String(answer.error).slice(0, 4_000), retryable: false },
          ...made,
        }
      : { ok: true, output: { content: answer.content ?? "" }, ...made };
    const start = { agent: "frontend" };
    effects.push(send(address("task", call.task), { type: "task.report", attempt: 1, outcome, start }));
    return false;
  });
  return { pending, effects };
}

export const listOf = <T>(value: Json | undefined): readonly T[] =>
  Array.isArray(value) ? (value as readonly T[]) : [];

/** One task for each call that the front end is to answer. */
export function newCalls(context: SessionContext, calls: readonly JsonObject[], meta: StepMeta) {
  const pending: PendingCall[] = [];
  const effects: Effect[] = [];
  for (const call of calls) {
    const task = `${meta.self.key}~call-${context.calls + pending.length + 1}`;
    pending.push({ toolCallId: String(call.toolCallId), name: String(call.name), task });
    effects.push(
      send(address("task", task), {
        type: "task.create",
        taskType: "frontend_tool",
        input: call,
        title: `Answer the tool call ${String(call.name)}`.slice(0, 512),
        parent: meta.self,
        retry: { max_attempts: 1, backoff: "fixed", initial_ms: 0, max_ms: 0, jitter: 0 },
      }),
    );
  }
  return { pending, effects };
}

/** A call's task was done by somebody else than the client (a human, another agent): its answer joins the messages. */
export function finishCall(context: SessionContext, command: RunFinishTask): Planned<SessionContext> {
  const call = context.pending.find(({ task }) => task === command.task);
  if (call === undefined) return { context, effects: [reply(null)] };
  const content = isObject(command.output) && typeof command.output.content === "string" ? command.output.content : "";
  const text = content === "" && command.output !== undefined ? JSON.stringify(command.output) : content;
  const message: Message = {
    id: `${call.task}-result`,
    role: "tool",
    toolCallId: call.toolCallId,
    content: text,
    ...(command.status === "completed" ? {} : { error: command.error?.message ?? command.status }),
  };
  const pending = context.pending.filter(({ task }) => task !== command.task);
  return {
    context: { ...context, ...mergeMessages(context, [message]), pending },
    effects: [emit("call_answered", { toolCallId: call.toolCallId, task: call.task })],
  };
}
