/**
 * From the core's events to contract 004's socket messages, by channel. Pure.
 */
import type { StoredEvent } from "../../../actors/client.ts";
import type { JsonObject } from "../../../machines/effects.ts";
import type { SystemMetrics } from "../../operations/metrics.ts";
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
  if (event.type === "agent") {
    const { from, to, ...rest } = data;
    const changed = to === undefined ? statusOf(name) : { status: to, previous_status: from };
    return { agent_id: key, agent_type: kind, ...changed, ...snakeKeys(rest) };
  }
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

/** A beat of `system_metrics`. */
export function metricsOf(state: SystemMetrics, at: number): object {
  const data = {
    active_agents: state.active_agents,
    active_tasks: state.waiting_tasks + state.running_tasks,
    active_connections: state.websocket_clients + state.event_streams,
    pending_tasks: state.waiting_tasks,
    in_progress_tasks: state.running_tasks,
    completed_tasks: state.tasks.completed ?? 0,
    failed_tasks: (state.tasks.failed ?? 0) + (state.tasks.timed_out ?? 0),
    completed_workflows: state.completed_runs,
    open_conflicts: state.conflicts.open ?? 0,
    average_response_time: state.answers.average_ms ?? 0,
    error_rate: state.answers.error_rate,
  };
  return { type: "system_metrics", data, timestamp: rfc3339(at) };
}
