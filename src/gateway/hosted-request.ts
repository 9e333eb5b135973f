/**
 * A request to an agent whose function runs in a node: asked over its subject (`agent.<type>.<request type>`), its
 * answer becomes the response. Remote agents fetch their requests themselves; this is for those that cannot.
 */
import { subjectToken } from "../actors/client.ts";
import { address } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { type RequestContext, requestType } from "../machines/request/machine.ts";
import type { OperationContext } from "./operation.ts";
import type { AgentView } from "./reachable.ts";

/** Returns at once; does nothing for an agent that is not hosted. If this process dies meanwhile, the request times out. */
export function passToHosted(ctx: OperationContext, id: string, agent: AgentView | null, view: Json): void {
  if (agent === null || agent.hosted === null) return;
  const request = view as unknown as RequestContext;
  respond(ctx, id, agent.agentType, request).catch((error: unknown) => {
    const settled = error instanceof TroupeError && error.code === "conflict";
    if (!settled) ctx.logger.warn({ request: id, err: error }, "a hosted agent's response could not be kept");
  });
}

async function respond(ctx: OperationContext, id: string, agentType: string, request: RequestContext): Promise<void> {
  const { runtime } = ctx;
  const outcome = await ask(ctx, agentType, request);
  const command = {
    type: "request.respond",
    responseId: `resp_${runtime.newId()}`,
    ...outcome,
    data: await runtime.values.offload(id, outcome.data),
    by: request.target,
  };
  await runtime.ask(address(requestType, id), command, { timeoutMs: ctx.limits.askTimeoutMs });
}

async function ask({ runtime }: OperationContext, agentType: string, request: RequestContext) {
  try {
    const subject = `agent.${subjectToken(agentType)}.${subjectToken(request.requestType)}`;
    const data = await runtime.values.load(request.data);
    const answer = await runtime.request(subject, data, request.timeoutMs);
    return { status: "success", data: answer, errors: [] };
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    return { status: "error", data: null, errors: [{ code: error.code, message: error.message }] };
  }
}
