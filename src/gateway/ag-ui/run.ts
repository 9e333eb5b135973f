/**
 * One AG-UI run for any protocol: its input checked, begun in its session, its events as they happen, and what
 * becomes of it when the client goes. Owns no framing.
 */
import { RunAgentInputSchema } from "@ag-ui/core/schemas";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { invalid, zodProblems } from "../errors.ts";
import type { OperationContext } from "../operation.ts";
import { type Begun, beginRun, runIdOf } from "./begin.ts";
import { cancelRun } from "./control.ts";
import { type AgUiEvent, EventType } from "./events.ts";
import { Known } from "./known.ts";
import { Pieces } from "./pieces.ts";
import { type Placed, runStream } from "./run-stream.ts";

export const protocolVersion = "1.0";

export interface AgUiRun extends Begun {
  readonly events: AsyncGenerator<AgUiEvent>;
}

/**
 * `input`: a RunAgentInput as JSON. `messages` says whether its messages are all that the client has (AG-UI's way), or
 * the new ones only of a client that was told the rest. Throws `invalid_input` with each place, and as `beginRun`.
 */
export async function agUiRun(
  ctx: OperationContext,
  input: unknown,
  agent: string | undefined,
  signal: AbortSignal,
  messages: "all" | "new" = "all",
): Promise<AgUiRun> {
  const parsed = RunAgentInputSchema.safeParse(input);
  if (!parsed.success) throw invalid("The run's input is not valid", zodProblems(parsed.error as never));
  const run = parsed.data;
  const key = `run_${runIdOf(run.threadId, run.runId)}`;
  const pieces = new Pieces(ctx.runtime, key, signal);
  const begun = await beginRun(ctx, {
    threadId: run.threadId,
    runId: run.runId,
    agent,
    messages: run.messages as unknown as JsonObject[],
    state: run.state as Json | undefined,
    tools: run.tools as JsonObject[] | undefined,
    context: run.context as JsonObject[] | undefined,
    forwardedProps: run.forwardedProps as Json | undefined,
    resume: run.resume as never,
  }).catch((error: unknown) => {
    pieces.stop();
    throw error;
  });
  // One that goes on after an interrupt is the run that was interrupted.
  const same = begun.entry.run === key;
  if (!same) pieces.stop();
  const placed = runStream(ctx, {
    ...streamOptions(begun, run.threadId, run.protocolVersion),
    ...(run.parentRunId === undefined ? {} : { parentRunId: run.parentRunId }),
    ...(messages === "all" ? { known: new Known(run.messages as never, run.state as Json | undefined) } : {}),
    ...(same ? { pieces } : {}),
    signal,
    correlationId: ctx.correlationId,
  });
  return { ...begun, events: untilGone(ctx, begun, placed, signal) };
}

export function streamOptions({ session, entry }: Begun, threadId: string, version: string | undefined) {
  const { id, runId, run, chat, resumed, answers = [] } = entry;
  return {
    session,
    threadId,
    runId,
    id,
    run,
    chat,
    resumed,
    answers,
    reader: { modern: version !== undefined },
    ...(version === undefined ? {} : { protocolVersion }),
  };
}

/** When the client goes before the end, its run is cancelled or goes on, as the setting says. */
async function* untilGone(
  ctx: OperationContext,
  { session, entry }: Begun,
  placed: AsyncGenerator<Placed>,
  signal: AbortSignal,
): AsyncGenerator<AgUiEvent> {
  let ended = false;
  try {
    for await (const { event } of placed) {
      // A client that hangs up at the last event is not one that went before the end.
      ended ||= event.type === EventType.RUN_FINISHED || event.type === EventType.RUN_ERROR;
      yield event;
    }
  } finally {
    const gone = !ended && signal.aborted && signal.reason !== "closing";
    if (gone && ctx.agUi.onDisconnect === "cancel") await cancelRun(ctx, session, entry.id, "the client has gone");
  }
}
