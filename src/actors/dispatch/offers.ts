/**
 * One offer: asks an agent's actor for a slot. The actor that grants tells the task itself, so the answer here is
 * only for the one who looks for agents.
 */
import type { Address } from "../../machines/address.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { ExecutorPort } from "../executors/port.ts";
import type { Need } from "./need.ts";

export type OfferAnswer =
  | { readonly kind: "granted"; readonly free: number }
  /** No slot, or no room for what the task holds. */
  | { readonly kind: "full" }
  /** It is not there (any more). */
  | { readonly kind: "away" }
  /** No answer: it may have granted; asking again for the same attempt is safe. */
  | { readonly kind: "unknown" };

/** Never throws. */
export async function offer(
  port: ExecutorPort,
  agent: string,
  task: Address,
  attempt: number,
  { amounts }: Need,
): Promise<OfferAnswer> {
  const command = { type: "agent.assign", task: task.key, attempt, ...(amounts !== undefined && { amounts }) };
  try {
    const { reply } = await port.ask({ type: "agent", key: agent }, command);
    const { free } = (reply ?? {}) as { free?: unknown };
    return { kind: "granted", free: typeof free === "number" ? free : 0 };
  } catch (error) {
    if (!(error instanceof TroupeError)) {
      port.logger.error({ agent, task: task.key, err: error }, "an offer failed unexpectedly");
      return { kind: "unknown" };
    }
    if (error.code === "overloaded" || error.code === "conflict") return { kind: "full" };
    if (error.code === "agent_unavailable" || error.code === "not_found") return { kind: "away" };
    port.logger.debug({ agent, task: task.key, err: error }, "an offer got no answer; it is made again");
    return { kind: "unknown" };
  }
}
