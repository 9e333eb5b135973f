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

/** Throws `agent_unavailable` (details: agent_id, last_seen, retry_after) for an agent that is away or unknown. */
export async function requireReachable(ctx: OperationContext, agentId: string): Promise<void> {
  const lastSeen = await lastSeenAway(ctx, agentId);
  if (lastSeen === undefined) return;
  throw new TroupeError("agent_unavailable", `The agent ${agentId} is not available`, {
    agent_id: agentId,
    last_seen: lastSeen === null ? null : rfc3339(lastSeen),
    retry_after: retryAfterS,
  });
}

/** undefined: it is there; null: nobody has ever seen it. */
async function lastSeenAway(ctx: OperationContext, agentId: string): Promise<number | null | undefined> {
  try {
    const view = (await ctx.runtime.read(address("agent", agentId))).view as unknown as AgentContext & {
      readonly status: string;
    };
    return away.has(view.status) ? view.heartbeatAt : undefined;
  } catch (error) {
    if (error instanceof TroupeError && (error.code === "not_found" || error.code === "invalid_input")) return null;
    throw error;
  }
}
