/**
 * Contract 003's BatchRunAgent: several runs, side by side up to a bound or one after the other, their events as
 * they come, each with its request's index; at last how many there were. A batch's time-out cancels what still runs.
 */
import { EventType } from "@ag-ui/core";
import { TroupeError } from "../../../machines/errors.ts";
import { cancelRun } from "../../ag-ui/control.ts";
import { Merged } from "../../ag-ui/merged.ts";
import { agUiRun } from "../../ag-ui/run.ts";
import { asTroupeError, errorBody } from "../../errors.ts";
import { fromTimestamp, toTimestamp } from "../any.ts";
import { type CallContext, requireScopeOf } from "../calls.ts";
import { type RunAgentProto, requireIds, toEventResponse, toRunInput } from "./ag-ui-messages.ts";

export interface BatchRequest {
  readonly requests: readonly RunAgentProto[];
  readonly options: {
    readonly parallel_execution: boolean;
    readonly max_concurrent: number;
    readonly timeout: { readonly seconds?: number; readonly nanos?: number } | null;
  } | null;
}

export const batchMax = 256;
export const concurrentDefault = 8;
export const concurrentMax = 64;

export async function* batchRunAgent(ctx: CallContext, { requests, options }: BatchRequest): AsyncGenerator<object> {
  requireScopeOf(ctx, "runs:write");
  if (requests.length === 0 || requests.length > batchMax) {
    throw new TroupeError("invalid_input", `A batch has 1 to ${batchMax} requests`);
  }
  if ((options?.max_concurrent ?? 0) < 0) throw new TroupeError("invalid_input", "max_concurrent is at least 1");
  const stop = new AbortController();
  const signal = AbortSignal.any([ctx.signal, stop.signal]);
  const until = fromTimestamp(options?.timeout);
  const timer =
    until === undefined
      ? undefined
      : ctx.clock.after(Math.max(0, until - ctx.runtime.now()), () => stop.abort("timeout"));
  const atOnce = options?.parallel_execution === true ? options.max_concurrent || concurrentDefault : 1;
  const merged = new Merged<object>();
  const results = { successful_requests: 0, failed_requests: 0 };
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < requests.length) {
      const at = next++;
      const ok = await one(ctx, at, requests[at] as RunAgentProto, signal, merged);
      if (ok) results.successful_requests++;
      else results.failed_requests++;
    }
  };
  const workers = Array.from({ length: Math.min(atOnce, concurrentMax, requests.length) }, worker);
  const done = Promise.all(workers).then(
    () => merged.close(),
    (error: unknown) => merged.close(error),
  );
  try {
    yield* merged.read();
    yield { request_id: "", complete: { ...results, completed_at: toTimestamp(ctx.runtime.now()) } };
  } finally {
    timer?.cancel();
    merged.close();
    stop.abort(ctx.signal.reason ?? "over");
    await done;
  }
}

/** True when the run ended well. */
async function one(
  ctx: CallContext,
  at: number,
  request: RunAgentProto,
  signal: AbortSignal,
  merged: Merged<object>,
): Promise<boolean> {
  const request_id = String(at);
  const fail = (error_message: string, error_code: string) =>
    merged.put({ request_id, error: { error_message, error_code } });
  if (signal.aborted) {
    await fail("the batch's time is over", "TIMED_OUT");
    return false;
  }
  try {
    requireIds(request);
    const input = { protocolVersion: "1.0", ...toRunInput(request) };
    const run = await agUiRun(ctx, input, request.agent === "" ? undefined : request.agent, signal);
    let last = "";
    for await (const event of run.events) {
      await merged.put({ request_id, event: toEventResponse(event) });
      last = event.type;
    }
    if (signal.aborted && last !== EventType.RUN_FINISHED && last !== EventType.RUN_ERROR) {
      if (signal.reason === "timeout") await cancelRun(ctx, run.session, run.entry.id, "the batch's time is over");
      await fail("the batch's time is over; the run was cancelled", "TIMED_OUT");
    }
    return last === EventType.RUN_FINISHED;
  } catch (error) {
    const shown = asTroupeError(error, ctx.correlationId, ctx.logger);
    await fail(errorBody(shown, ctx.correlationId).error.message, shown.code.toUpperCase());
    return false;
  }
}
