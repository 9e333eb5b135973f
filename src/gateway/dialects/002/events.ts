/**
 * From the core's events of a run's root to contract 002's 14 event types, and the ids of
 * events. Pure; an event that the contract does not know maps to nothing.
 */
import { createHash } from "node:crypto";
import type { StoredEvent } from "../../../actors/client.ts";
import { localOf } from "../../../machines/address.ts";
import type { JsonObject } from "../../../machines/effects.ts";
import { rfc3339 } from "./map.ts";
import type { EventType, RunEvent } from "./schema.ts";

/** `evt_<base36 number>_<run id>`: stable across resumes, and a position. */
export function eventId(runId: string, no: number): string {
  return `evt_${no.toString(36)}_${runId}`;
}

/** The event's number, or null when the id is not one of this run's. */
export function eventNumber(runId: string, id: string): number | null {
  const match = /^evt_([0-9a-z]{1,10})_(.+)$/s.exec(id);
  if (match === null || match[2] !== runId) return null;
  const no = Number.parseInt(match[1] as string, 36);
  return Number.isSafeInteger(no) && eventId(runId, no) === id ? no : null;
}

const runEvents: Readonly<Record<string, EventType>> = {
  started: "run.started",
  completed: "run.completed",
  failed: "run.failed",
  canceled: "run.canceled",
  checkpoint_required: "hitl.required",
  checkpoint_resolved: "hitl.resolved",
  artifact_created: "artifact.created",
};

const taskEvents: Readonly<Record<string, EventType>> = {
  started: "step.started",
  completed: "step.completed",
  attempt_failed: "step.failed",
  failed: "step.failed",
  timed_out: "step.failed",
  cancelled: "step.failed",
  model_requested: "llm.request",
  model_responded: "llm.response",
  tool_called: "tool.called",
  tool_returned: "tool.result",
};

/** True for the three events after which a run's stream ends. */
export function isTerminal(type: EventType): boolean {
  return type === "run.completed" || type === "run.failed" || type === "run.canceled";
}

const spans = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);

/** The contract's event, or null. `traceId` is the run's. */
export function toRunEvent(event: StoredEvent, traceId: string): RunEvent | null {
  if (event.type === "run" && event.key === event.root) return ofRun(event, traceId);
  if (event.type === "task") return ofTask(event, traceId);
  return null;
}

function ofRun(event: StoredEvent, traceId: string): RunEvent | null {
  const type = runEvents[event.name];
  if (type === undefined) return null;
  return {
    event_id: eventId(event.root, event.no),
    ts: rfc3339(event.at),
    type,
    run_id: event.root,
    payload: snakeKeys(event.data),
    trace: { trace_id: traceId, span_id: spans(event.root), parent_span_id: null },
  };
}

function ofTask(event: StoredEvent, traceId: string): RunEvent | null {
  const type = taskEvents[event.name];
  if (type === undefined) return null;
  const willRetry = event.name === "attempt_failed" && typeof event.data.retryInMs === "number";
  // The last attempt's failure is told once, by the task's own end that follows it.
  if (event.name === "attempt_failed" && !willRetry) return null;
  const stepId = localOf(event.key);
  const tool = type === "tool.called" || type === "tool.result" ? toolOf(event.data) : undefined;
  const payload = snakeKeys(event.data);
  return {
    event_id: eventId(event.root, event.no),
    ts: rfc3339(event.at),
    type,
    run_id: event.root,
    step_id: stepId,
    ...(tool !== undefined && { tool_name: tool }),
    payload: type === "step.failed" ? { ...payload, reason: event.name, will_retry: willRetry } : payload,
    trace: { trace_id: traceId, span_id: spans(event.key), parent_span_id: spans(event.root) },
  };
}

function toolOf(data: JsonObject): string | undefined {
  const name = data.tool ?? data.toolName ?? data.name;
  return typeof name === "string" ? name : undefined;
}

/** Names of the first level (and of `checkpoint`, `error`) in the edge's spelling; free JSON inside stays as it is. */
function snakeKeys(data: JsonObject): Record<string, unknown> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [snake(key), value]));
}

export function snake(key: string): string {
  return key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
}
