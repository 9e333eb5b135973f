/**
 * Between topics, requests and contract 001's socket messages. Pure.
 */
import type { Json, JsonObject } from "../../../machines/effects.ts";
import { isObject } from "../../../machines/json.ts";
import type { TopicMessage } from "../../topics.ts";
import { rfc3339 } from "../002/map.ts";
import { taskWord } from "../api-v1/words.ts";
import type { CoreRequest } from "./map.ts";

/** The contract's message format. */
export interface Message {
  readonly id: string;
  readonly timestamp: string;
  readonly event_type: string;
  readonly topic: string;
  readonly source_agent: string | null;
  readonly target_agent: string | null;
  readonly correlation_id: string | null;
  readonly payload: Json;
}

/** Statuses of a task after its events; others leave it open. */
const taskStatuses: Readonly<Record<string, string>> = {
  created: "pending",
  ready: "ready",
  assigned: "assigned",
  started: "running",
  progressed: "running",
  completed: "completed",
  failed: "failed",
  timed_out: "timed_out",
  cancelled: "cancelled",
};
const agentStatuses: Readonly<Record<string, string>> = {
  registered: "active",
  available: "active",
  unavailable: "unavailable",
  deregistered: "gone",
};
const runStatuses: Readonly<Record<string, string>> = {
  started: "in_progress",
  completed: "completed",
  failed: "failed",
  canceled: "cancelled",
};

/** A topic's message to a subscriber. */
export function toMessage(message: TopicMessage, subscriber: string | null): Message {
  const { id, topic, event, at, source } = message;
  return {
    id,
    timestamp: rfc3339(at),
    event_type: event,
    topic,
    source_agent: source,
    target_agent: subscriber,
    correlation_id: correlationOf(message),
    payload: payloadOf(message),
  };
}

/** The workflow that it belongs to, or what a publisher gave as one. */
function correlationOf({ stored, data, attributes }: TopicMessage): string | null {
  if (stored.type === "run") return stored.kind;
  const own = isObject(data) ? (data.correlation_id ?? data.parentWorkflow) : undefined;
  const known = own ?? attributes.correlation_id ?? attributes.parent_workflow_id ?? attributes.workflow_id;
  if (typeof known === "string") return known;
  return stored.type === "task" && stored.root !== stored.key ? stored.root : null;
}

function payloadOf({ stored, data }: TopicMessage): Json {
  if (stored.type === "topic") return data ?? null;
  const { key, kind, name } = stored;
  const own = isObject(data) ? snakeKeys(data) : {};
  if (stored.type === "agent") {
    const { from, to, ...rest } = own;
    const changed = to === undefined ? statusIn(agentStatuses, name) : { status: to, previous_status: from };
    return { agent_id: key, type: kind, ...changed, ...rest };
  }
  if (stored.type === "run") return { workflow_id: kind, execution_id: key, ...statusIn(runStatuses, name), ...own };
  if (stored.type === "conflict") return { conflict_id: key, conflict_type: kind, status: name, ...own };
  if (stored.type !== "task") return { source: `${stored.type}/${key}`, event: name, ...own };
  const { fraction, agent, parent_workflow: workflow, ...rest } = own;
  return {
    task_id: key,
    type: kind,
    ...(Object.hasOwn(taskStatuses, name) && { status: taskWord(taskStatuses[name] as string) }),
    ...(typeof fraction === "number" && { progress: Math.round(fraction * 1e6) / 1e4 }),
    ...(name === "completed" && { progress: 100 }),
    ...(agent !== undefined && { agent_id: agent }),
    ...(workflow !== undefined && { parent_workflow_id: workflow }),
    ...rest,
  };
}

function statusIn(statuses: Readonly<Record<string, string>>, name: string): JsonObject {
  return Object.hasOwn(statuses, name) ? { status: statuses[name] as string } : {};
}

function snakeKeys(data: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), value]),
  );
}

/** To the agent that is asked. */
export function toRequest(one: CoreRequest): object {
  return {
    request: {
      id: one.request_id,
      type: one.request_type,
      source: one.source,
      target: one.target,
      correlation_id: one.correlation_id,
      data: one.data,
      timeout: one.timeout_ms / 1000,
    },
  };
}

/** To the one that asked. */
export function toResponse({ request_id, response }: CoreRequest): object {
  if (response === null) throw new Error("there is no response");
  const { response_id: id, status, data, errors } = response;
  return { response: { id, request_id, status, data, errors } };
}
