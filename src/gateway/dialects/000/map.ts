/**
 * Between the core's tasks and contract 000's words: status, result, what is told of a task. Pure.
 */
import type { LiveMessage, StoredEvent } from "../../../actors/client.ts";
import type { Json } from "../../../machines/effects.ts";
import { isObject } from "../../../machines/json.ts";

export const statusWords = ["accepted", "running", "completed", "failed", "cancelled"] as const;
export type StatusWord = (typeof statusWords)[number];

const words: Readonly<Record<string, StatusWord>> = {
  running: "running",
  completed: "completed",
  failed: "failed",
  timed_out: "failed",
  cancelled: "cancelled",
};

/** The contract's word for a task's status; what does not run yet is `accepted`. */
export function statusWord(status: string): StatusWord {
  return words[status] ?? "accepted";
}

/** What a task came to, as text; null until there is something. */
export function resultOf(status: string, output: Json, error: { readonly message: string } | null): string | null {
  if (statusWord(status) === "failed") return error?.message ?? null;
  if (status !== "completed") return null;
  if (typeof output === "string") return output;
  if (isObject(output)) {
    if (typeof output.text === "string") return output.text;
    if (typeof output.result === "string") return output.result;
  }
  return JSON.stringify(output);
}

/** What an event means for somebody who watches the task; null: nothing. */
export function tellOf(event: StoredEvent): { readonly status: StatusWord; readonly message: string } | null {
  const { data, name } = event;
  const failure = isObject(data.error) && typeof data.error.message === "string" ? `: ${data.error.message}` : "";
  switch (name) {
    case "created":
      return { status: "accepted", message: "Task created" };
    case "assigned":
      return { status: "accepted", message: `Task assigned to ${text(data.agent, "an agent")}` };
    case "started":
      return { status: "running", message: "Processing started" };
    case "progressed":
      return { status: "running", message: text(data.message, percent(data.fraction)) };
    case "attempt_failed":
      return { status: "accepted", message: `Attempt ${text(data.attempt, "")} failed${failure}; it is tried again` };
    case "lost":
      return { status: "accepted", message: "The task's agent was lost; another one is sought" };
    case "completed":
      return { status: "completed", message: "Task completed" };
    case "failed":
      return { status: "failed", message: `Task failed${failure}` };
    case "timed_out":
      return { status: "failed", message: `Task timed out${failure}` };
    case "cancelled":
      return { status: "cancelled", message: "Task cancelled" };
    default:
      return null;
  }
}

function text(value: Json | undefined, fallback: string): string {
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : fallback;
}

function percent(fraction: Json | undefined): string {
  return typeof fraction === "number" ? `${Math.round(fraction * 100)} % done` : "Processing";
}

/** The socket's message for a task's event. */
export function updateOf(event: StoredEvent): object | null {
  const told = event.type === "task" ? tellOf(event) : null;
  return told === null ? null : { type: "task_update", task_id: event.key, ...told, sender: "system" };
}

/** The name under which a client's word on a task is told live. */
export const clientUpdate = "told";

/** What a client has told of a task. */
export function clientUpdateOf({ name, key, data }: LiveMessage): object | null {
  if (name !== clientUpdate) return null;
  const { status, message, sender } = data;
  return { type: "task_update", task_id: key, status, message, sender };
}

/** A publication to `system.alert` or `system.alerts` goes to all. */
export function broadcastOf({ key, name, data }: StoredEvent): object | null {
  if (name !== "published" || (key !== "system.alert" && key !== "system.alerts")) return null;
  const { data: told, source } = data;
  const message = isObject(told) && typeof told.message === "string" ? told.message : told;
  return {
    type: "broadcast",
    message: typeof message === "string" ? message : JSON.stringify(message ?? null),
    sender: typeof source === "string" ? source : "system",
  };
}
