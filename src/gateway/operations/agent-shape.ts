/**
 * An agent at the edge: schema, and the mapping from the core's view. Pure.
 */
import { z } from "zod";
import type { AgentContext } from "../../machines/agent/schema.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { freeJson, freeObject } from "../operation.ts";

const nullableTime = z.string().nullable().meta({ format: "date-time" });

export const agent = z
  .object({
    agent_id: z.string(),
    agent_type: z.string(),
    name: z.string(),
    version: z.string().nullable(),
    status: z
      .string()
      .describe("idle (no task), active (some, more can come), busy (no slot free), unavailable or gone."),
    capabilities: z.array(z.string()),
    concurrency: z.int().describe("Tasks at once, its `max_concurrent_tasks`."),
    current_tasks: z.array(z.string()),
    hosted: z.boolean().describe("Runs inside a node; false: an outside worker."),
    node: z.string().nullable(),
    configuration: freeObject,
    resources: freeObject,
    metadata: freeObject,
    health_check_url: z.string().nullable(),
    reported_status: z.string().nullable().describe("What it says of itself."),
    metrics: freeJson,
    registered_at: nullableTime,
    last_heartbeat_at: nullableTime,
  })
  .meta({ id: "Agent" });

/** The agent's view: its context without secrets, with its status. */
export type AgentView = Omit<AgentContext, "secretHash"> & { readonly status: string };

export function toAgent(id: string, view: AgentView): z.input<typeof agent> {
  return {
    agent_id: id,
    agent_type: view.agentType,
    name: view.name,
    version: view.version,
    status: view.status,
    capabilities: [...view.capabilities],
    concurrency: view.concurrency,
    current_tasks: Object.keys(view.slots),
    hosted: view.hosted !== null,
    node: view.hosted?.node ?? null,
    configuration: view.configuration as Record<string, unknown>,
    resources: view.resources as Record<string, unknown>,
    metadata: view.metadata as Record<string, unknown>,
    health_check_url: view.healthCheckUrl,
    reported_status: view.reported.status,
    metrics: view.reported.metrics,
    registered_at: rfc3339(view.registeredAt),
    last_heartbeat_at: rfc3339(view.heartbeatAt),
  };
}
