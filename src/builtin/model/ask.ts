/** Owns one question to a model in a task's name: its events and its cost. What is asked is the caller's. */
import type { AgentContext } from "../../actors/agent.ts";
import type { ModelAnswer, ModelClient, ModelRequest } from "./client.ts";
import { lengthOf } from "./messages.ts";

/** Asks, and tells the task's events and cost of it. Throws TaskError (`model_…`), or the signal's reason. */
export async function askModel(
  ctx: Pick<AgentContext, "event" | "cost" | "signal">,
  client: ModelClient,
  request: ModelRequest,
): Promise<ModelAnswer> {
  const { messages } = request;
  const characters = messages.reduce((sum, message) => sum + lengthOf(message), 0);
  ctx.event("model_requested", { model: client.model, messages: messages.length, characters });
  const answer = await client.complete(request, ctx.signal);
  const { promptTokens, completionTokens, estimated } = answer.usage;
  ctx.cost({ promptTokens, completionTokens, usd: answer.usd });
  ctx.event("model_responded", {
    model: answer.model,
    finishReason: answer.finishReason,
    promptTokens,
    completionTokens,
    estimated,
    usd: answer.usd,
    requests: answer.requests,
    firstTokenMs: answer.firstTokenMs,
    durationMs: answer.durationMs,
  });
  return answer;
}
