/**
 * An agent's work on contract 001's socket: its heartbeats and reports as the core's operations take them. Pure.
 */
import { invalid } from "../../errors.ts";
import { detailsOf } from "../api-v1/words.ts";
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
    details: part.details ?? (words[part.status] === "running" ? detailsOf(output) : null),
    error: typeof error === "string" ? { message: error } : error,
  });
}
