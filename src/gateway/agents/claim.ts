/**
 * A task that still looks for its agent when that agent (or an operator on its behalf) accepts it: the agent's
 * actor grants the slot now, so that its limit holds here too. Owns nothing else of an update.
 */
import { address } from "../../machines/address.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { OperationContext } from "../operation.ts";
import type { TaskView } from "../operations/task-shape.ts";
import { assignedView } from "./hand-out.ts";

/**
 * Does nothing for a task that has an agent, or has named none. Throws `overloaded` when the agent has no slot
 * free, `forbidden` for another agent than the named one.
 */
export async function claim(
  ctx: OperationContext,
  task: string,
  view: TaskView,
  agent: string | null | undefined,
): Promise<void> {
  if (view.status !== "ready" || agent === null || agent === undefined) return;
  if (view.assignedAgent !== agent) {
    throw new TroupeError("forbidden", "The task is assigned to another agent, or to none", {
      agent: view.assignedAgent ?? null,
      by: agent,
    });
  }
  const command = {
    type: "agent.assign",
    task,
    attempt: view.attempt,
    ...(view.resources !== undefined && { amounts: view.resources }),
  };
  try {
    await ctx.runtime.ask(address("agent", agent), command, { timeoutMs: ctx.limits.askTimeoutMs });
  } catch (error) {
    // An agent that never registered: an operator's word for it is enough.
    if (error instanceof TroupeError && error.code === "not_found") return;
    throw error;
  }
  await assignedView(ctx, task, view.attempt);
}
