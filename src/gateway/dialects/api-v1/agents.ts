/**
 * Agents under `/api/v1`: the paths that contracts 001 and 004 share.
 */
import { z } from "zod";
import { answer, mapRoute } from "../../dialect.ts";
import type { Operation } from "../../operation.ts";
import type { agent } from "../../operations/agent-shape.ts";

export type CoreAgent = z.input<typeof agent>;

/** Both vocabularies in one object. */
export function toAgent(one: CoreAgent) {
  return {
    id: one.agent_id,
    agent_id: one.agent_id,
    type: one.agent_type,
    name: one.name,
    version: one.version,
    status: one.status,
    capabilities: one.capabilities,
    current_tasks: one.current_tasks.length,
    metadata: one.metadata,
    created_at: one.registered_at,
    last_heartbeat: one.last_heartbeat_at,
  };
}

const id = z.string().min(1).max(200);

export const agentRoutes: readonly Operation[] = [
  mapRoute({
    dialects: ["001", "004"],
    name: "api.agents.get",
    summary: "Read an agent",
    method: "GET",
    path: "/api/v1/agents/{agent_id}",
    via: "agents.get",
    input: z.object({ agent_id: id }),
    output: answer,
    toInput: ({ agent_id }) => ({ agent_id }),
    fromOutput: (one: CoreAgent) => toAgent(one),
  }),
];
