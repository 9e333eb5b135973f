/**
 * Operations on agents: list and read. What agents do themselves is in agent-work.ts.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { defineOperation, pageFields } from "../operation.ts";
import { type AgentView, agent, toAgent } from "./agent-shape.ts";
import { named, requireId } from "./values.ts";

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
      presence: z.enum(["present", "unavailable", "gone"]).optional().describe("present: idle, active or busy."),
      agent_type: z.string().min(1).max(64).optional(),
      capability: z.string().min(1).max(128).optional(),
    }),
    output: pageOf(agent),
    async handle(ctx, input) {
      const where: Record<string, string> = {};
      if (input.status !== undefined) where.status = input.status;
      if (input.presence !== undefined) where.presence = input.presence;
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
