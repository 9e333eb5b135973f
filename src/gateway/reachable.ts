/**
 * Whether an agent can be asked now. Owns what a caller that will not wait is told when it cannot.
 */
import { address } from "../machines/address.ts";
import type { AgentContext } from "../machines/agent/schema.ts";
import { TroupeError } from "../machines/errors.ts";
import { rfc3339 } from "./dialects/002/map.ts";
import type { OperationContext } from "./operation.ts";

const retryAfterS = 60;
const away: ReadonlySet<string> = new Set(["unavailable", "gone"]);

export type AgentView = AgentContext & { readonly status: string };

/** null: nobody has ever seen it. */
export async function agentView(ctx: OperationContext, agentId: string): Promise<AgentView | null> {
  try {
    return (await ctx.runtime.read(address("agent", agentId))).view as unknown as AgentView;
  } catch (error) {
    if (error instanceof TroupeError && (error.code === "not_found" || error.code === "invalid_input")) return null;
    throw error;
  }
}

/** Throws `agent_unavailable` (details: agent_id, last_seen, retry_after) for an agent that is away or unknown. */
export async function requireReachable(ctx: OperationContext, agentId: string): Promise<AgentView> {
  const view = await agentView(ctx, agentId);
  if (view !== null && !away.has(view.status)) return view;
  throw new TroupeError("agent_unavailable", `The agent ${agentId} is not available`, {
    agent_id: agentId,
    last_seen: view === null ? null : rfc3339(view.heartbeatAt),
    retry_after: retryAfterS,
  });
}
