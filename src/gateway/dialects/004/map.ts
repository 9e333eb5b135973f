/**
 * From the core's events to contract 004's socket messages, by channel. Pure.
 */
import type { StoredEvent } from "../../../actors/client.ts";
import type { JsonObject } from "../../../machines/effects.ts";
import { rfc3339 } from "../002/map.ts";

export const channels = ["agent_activity", "task_activity", "conflict_alerts", "system_metrics"] as const;
export type Channel = (typeof channels)[number];

/** Where a channel's events come from; `system_metrics` has a clock instead. */
export const channelPatterns: Readonly<Record<Channel, string | null>> = {
  agent_activity: "event.*.agent.>",
  task_activity: "event.*.task.>",
  conflict_alerts: "event.*.conflict.>",
  system_metrics: null,
};

const types: Readonly<Record<string, string>> = {
  "agent.registered": "agent_registered",
  "agent.deregistered": "agent_deregistered",
  "agent.unavailable": "agent_status_changed",
  "agent.available": "agent_status_changed",
  "agent.status_changed": "agent_status_changed",
  "task.created": "task_submitted",
  "task.assigned": "task_assigned",
  "task.completed": "task_completed",
  "task.failed": "task_completed",
  "task.timed_out": "task_completed",
  "task.cancelled": "task_completed",
  "conflict.reported": "conflict_reported",
  "conflict.resolved": "conflict_resolved",
};

/** `{type, data, timestamp}`; null for what no channel tells. */
export function messageOf(event: StoredEvent): object | null {
  const type = types[`${event.type}.${event.name}`];
  if (type === undefined) return null;
  return { type, data: dataOf(event), timestamp: rfc3339(event.at) };
}

function dataOf(event: StoredEvent): JsonObject {
  const { key, kind, name, data } = event;
  if (event.type === "agent") return { agent_id: key, agent_type: kind, ...statusOf(name), ...snakeKeys(data) };
  if (event.type === "conflict") return { conflict_id: key, ...snakeKeys(data) };
  const { agent, ...rest } = data;
  const assigned = agent === undefined ? {} : { agent_id: agent, assigned_agent: agent };
  return { task_id: key, task_type: kind, status: taskStatus(name), ...assigned, ...snakeKeys(rest) };
}

function statusOf(name: string): JsonObject {
  if (name === "unavailable") return { status: "unavailable" };
  return name === "available" || name === "registered" ? { status: "active" } : {};
}

function taskStatus(name: string): string {
  if (name === "created") return "pending";
  return name === "timed_out" ? "failed" : name;
}

function snakeKeys(data: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`), value]),
  );
}
