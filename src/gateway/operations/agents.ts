/**
 * Operations on agents: list and read. Registration over HTTP comes with a later dialect.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { AgentContext } from "../../machines/agent/schema.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { defineOperation, freeObject, pageFields } from "../operation.ts";
import { named, requireId } from "./values.ts";

const nullableTime = z.string().nullable().meta({ format: "date-time" });

export const agent = z
  .object({
    agent_id: z.string(),
    agent_type: z.string(),
    name: z.string(),
    version: z.string().nullable(),
    status: z.string().describe("registered, active, idle, busy, unavailable or gone."),
    capabilities: z.array(z.string()),
    concurrency: z.int(),
    current_tasks: z.array(z.string()),
    hosted: z.boolean().describe("Runs inside a node; false: an outside worker."),
    node: z.string().nullable(),
    metadata: freeObject,
    registered_at: nullableTime,
    last_heartbeat_at: nullableTime,
  })
  .meta({ id: "Agent" });

type AgentView = AgentContext & { readonly status: string };

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
    metadata: view.metadata as Record<string, unknown>,
    registered_at: rfc3339(view.registeredAt),
    last_heartbeat_at: rfc3339(view.heartbeatAt),
  };
}

const common = { tags: ["agents"], scope: "agents:read", method: "GET" } as const;

export const agentOperations = [
  defineOperation({
    ...common,
    name: "agents.list",
    summary: "List agents",
    path: "/v1/agents",
    errors: ["invalid_input"],
    input: z.strictObject({
      ...pageFields,
      status: z.string().min(1).max(64).optional(),
      agent_type: z.string().min(1).max(64).optional(),
      capability: z.string().min(1).max(128).optional(),
    }),
    output: pageOf(agent),
    async handle(ctx, input) {
      const where: Record<string, string> = {};
      if (input.status !== undefined) where.status = input.status;
      if (input.agent_type !== undefined) where.agentType = input.agent_type;
      if (input.capability !== undefined) where.capabilities = input.capability;
      const page = await ctx.runtime.list({
        type: "agent",
        where,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("agents", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => toAgent(at.key, view as unknown as AgentView));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("agents", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "agents.get",
    summary: "Read an agent",
    path: "/v1/agents/{agent_id}",
    errors: ["not_found"],
    input: z.strictObject({ agent_id: z.string().min(1).max(200) }),
    output: agent,
    async handle(ctx, input) {
      const at = address("agent", requireId("agent", input.agent_id));
      const answer = await ctx.runtime.read(at).catch(named("agent", input.agent_id));
      return toAgent(input.agent_id, answer.view as unknown as AgentView);
    },
  }),
];
