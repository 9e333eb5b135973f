/**
 * An agent's work on contract 001's socket: its heartbeats and reports as the core's operations take them, and a
 * task as the contract tells it. Pure.
 */
import type { JsonObject } from "../../../machines/effects.ts";
import { isObject } from "../../../machines/json.ts";
import { invalid } from "../../errors.ts";
import { taskWord } from "../api-v1/words.ts";
import type { Part } from "./socket-schema.ts";

/** Only what was given. */
function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** For `agents.heartbeat`. */
export function toHeartbeat(part: Part<"heartbeat">): Record<string, unknown> {
  const { agent_id, status, current_tasks: current, performance_metrics: metrics } = part;
  const tasks = Array.isArray(current) ? { tasks: current, current_tasks: current.length } : { current_tasks: current };
  return given({ agent_id, status, metrics, ...tasks });
}

const words: Readonly<Record<string, string>> = {
  in_progress: "running",
  running: "running",
  completed: "completed",
  failed: "failed",
  rejected: "rejected",
};

/** For `tasks.update`. Throws `invalid_input`. */
export function toUpdate(part: Part<"report">): Record<string, unknown> {
  const { task_id, agent_id, progress, message, output_data: output, error, estimated_completion } = part;
  const bad = (path: string, what: string) => invalid("The message is not valid", [{ path, message: what }]);
  if (!Object.hasOwn(words, part.status)) throw bad("report.status", `must be one of ${Object.keys(words).join(", ")}`);
  const percent = progress ?? undefined;
  if (percent !== undefined && !(typeof percent === "number" && percent >= 0 && percent <= 100)) {
    throw bad("report.progress", "must be a number from 0 to 100");
  }
  return given({
    task_id,
    agent_id,
    status: words[part.status],
    message,
    output,
    estimated_completion,
    progress: percent === undefined ? null : percent / 100,
    error: typeof error === "string" ? { message: error } : error,
  });
}

/** A core task with the contract's fields. */
export function toTask(core: JsonObject): JsonObject {
  const { form, progress } = core;
  const said = isObject(form) ? form : {};
  const fraction = isObject(progress) && typeof progress.fraction === "number" ? progress.fraction : null;
  return {
    id: core.task_id,
    task_id: core.task_id,
    type: said.type ?? core.task_type,
    title: core.title,
    description: core.description,
    status: taskWord(String(core.status)),
    priority: said.priority ?? core.priority,
    progress: fraction === null ? 0 : Math.round(fraction * 1e6) / 1e4,
    assigned_agent: core.agent ?? core.assigned_agent ?? null,
    parent_workflow_id: core.parent_workflow ?? core.run_id,
    input_data: core.input,
    dependencies: core.dependencies,
    timeout: typeof core.timeout_ms === "number" ? core.timeout_ms / 1000 : null,
    attempt: core.attempt,
    deadline: core.deadline,
    metadata: core.metadata,
    created_at: core.created_at,
  };
}
