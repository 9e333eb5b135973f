/**
 * Two agents that update one task: the second is refused, and the conflict is on record. Owns what counts as one.
 */
import { address } from "../machines/address.ts";
import { conflictType } from "../machines/conflict/machine.ts";
import { TroupeError } from "../machines/errors.ts";
import type { OperationContext } from "./operation.ts";

/** Reports a conflict when the refusal was for a task that another agent has; throws the refusal in any case. */
export async function noteContest(ctx: OperationContext, task: string, refusal: unknown): Promise<never> {
  if (!(refusal instanceof TroupeError) || refusal.code !== "forbidden") throw refusal;
  const { agent, by, attempt } = refusal.details ?? {};
  if (typeof agent !== "string" || typeof by !== "string" || agent === by) throw refusal;
  const command = {
    type: "conflict.report",
    agentId: by,
    taskId: task,
    conflictType: "concurrent_update",
    description: `${by} updates a task that is assigned to ${agent}`.slice(0, 1_024),
    severity: "medium",
    metadata: { assigned_agent: agent },
    reportedBy: "runtime",
    parties: [{ task, agent, ...(typeof attempt === "number" && { attempt }) }],
  };
  const at = address(conflictType, contestKey(task, by));
  await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs }).catch((error: unknown) => {
    ctx.logger.warn({ task, agent: by, err: error }, "a conflict over a task could not be reported");
  });
  throw refusal;
}

/** The same agent at the same task is the same conflict. */
function contestKey(task: string, agent: string): string {
  const part = (text: string): string => text.replaceAll("~", ".").slice(-80);
  return `update_${part(task)}_${part(agent)}`;
}
