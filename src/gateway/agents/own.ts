/**
 * Whose an agent is: itself, operators, and the credential that registered it may act for it. Owns that
 * judgement alone; what is done with it is the operations'.
 */
import { address } from "../../machines/address.ts";
import type { AgentContext } from "../../machines/agent/schema.ts";
import { requireAgent } from "../auth/credential.ts";
import type { OperationContext } from "../operation.ts";
import { named } from "../operations/values.ts";

/** Throws `forbidden` unless the caller may act for this agent, `not_found` when there is none. */
export async function requireOwnAgent(ctx: OperationContext, agentId: string): Promise<void> {
  try {
    requireAgent(ctx, agentId);
  } catch (error) {
    // An agent's own credential is for itself alone.
    if (ctx.credential.agentId !== undefined) throw error;
    const { view } = await ctx.runtime.read(address("agent", agentId)).catch(named("agent", agentId));
    if ((view as unknown as AgentContext).createdBy !== ctx.credential.id) throw error;
  }
}
