/** Contract 003's basic service over gRPC (`ag_ui.service.AGUIService`). */
import { EventType } from "@ag-ui/core";
import { RunAgentInputSchema } from "@ag-ui/core/schemas";
import type { JsonObject } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { findTarget } from "../../ag-ui/agents.ts";
import { agUiRun } from "../../ag-ui/run.ts";
import { zodProblems } from "../../errors.ts";
import { type CallContext, type GrpcParts, requireScopeOf, streaming, unary } from "../calls.ts";
import { type EventResponse, type RunAgentProto, requireIds, toEventResponse, toRunInput } from "./ag-ui-messages.ts";

export const supportedFeatures = ["streaming", "tool_calls", "state", "human_in_the_loop", "sessions", "batches"];

/** The run's events; a client that goes away leaves it as the setting for HTTP says. */
export async function* runAgent(ctx: CallContext, request: RunAgentProto): AsyncGenerator<EventResponse> {
  requireScopeOf(ctx, "runs:write");
  requireIds(request);
  // Clients of this service were made for its own field numbers; they read what the newest protocol has.
  const input = { protocolVersion: "1.0", ...toRunInput(request) };
  const run = await agUiRun(ctx, input, request.agent === "" ? undefined : request.agent, ctx.signal);
  for await (const event of run.events) yield toEventResponse(event);
}

async function validate(ctx: CallContext, request: RunAgentProto) {
  requireScopeOf(ctx, "runs:read");
  const errors: { field: string; message: string; error_code: string }[] = [];
  const warnings: string[] = [];
  let input: JsonObject = {};
  try {
    input = toRunInput(request);
  } catch (error) {
    if (!(error instanceof TroupeError)) throw error;
    errors.push({ field: "state", message: error.message, error_code: error.code.toUpperCase() });
  }
  const parsed = RunAgentInputSchema.safeParse(input);
  if (!parsed.success && errors.length === 0) {
    for (const { path, message } of zodProblems(parsed.error as never)) {
      errors.push({ field: path, message, error_code: "INVALID_INPUT" });
    }
  }
  for (const field of ["threadId", "runId"]) {
    if (input[field] === "") errors.push({ field, message: "is required", error_code: "INVALID_INPUT" });
  }
  await findTarget(ctx, request.agent === "" ? undefined : request.agent).catch((error: unknown) => {
    if (!(error instanceof TroupeError)) throw error;
    errors.push({ field: "agent", message: error.message, error_code: error.code.toUpperCase() });
  });
  if (request.messages.length === 0) warnings.push("there is no message to answer");
  return { is_valid: errors.length === 0, errors, warnings };
}

/** Open to everybody, as /readyz is. */
async function health(ctx: CallContext, { service }: { service: string }) {
  const known = ["", "ag_ui.service.AGUIService", "ag_ui.service.AGUIAdvancedService"];
  if (!known.includes(service)) {
    return { status: "SERVICE_UNKNOWN", message: `there is no service ${service.slice(0, 200)}` };
  }
  const { ready, reason = "" } = await ctx.runtime.readiness();
  return { status: ready ? "SERVING" : "NOT_SERVING", message: reason };
}

export function agUiService(parts: GrpcParts) {
  return {
    RunAgent: streaming(parts, runAgent),
    HealthCheck: unary(parts, health, "all"),
    GetServiceInfo: unary(parts, async (ctx: CallContext) => ({
      service_name: "troupe",
      version: ctx.version,
      supported_features: supportedFeatures,
      supported_event_types: Object.values(EventType),
      capabilities: {
        supports_streaming: true,
        supports_tool_calls: true,
        supports_state_management: true,
        supports_thinking_mode: true,
        supports_human_in_loop: true,
        supported_encodings: ["application/grpc+proto"],
      },
    })),
    ValidateInput: unary(parts, validate),
  };
}
