/**
 * Contract 003 over HTTP: AG-UI runs as server-sent events or protobuf frames, capabilities, and a thread's events
 * joined again. The events are run-stream.ts's, their encoding is @ag-ui/encoder's.
 */
import { AGUI_MEDIA_TYPE, EventEncoder } from "@ag-ui/encoder";
import { z } from "zod";
import { TroupeError } from "../../machines/errors.ts";
import { dialectTags } from "../dialect.ts";
import { invalid } from "../errors.ts";
import { defineOperation, freeObject, type OperationContext, type Streamed, type StreamRequest } from "../operation.ts";
import { findTarget } from "./agents.ts";
import { sessionKey } from "./begin.ts";
import { capabilitiesOf } from "./capabilities.ts";
import type { AgUiEvent } from "./events.ts";
import { Known } from "./known.ts";
import { agUiRun, protocolVersion, streamOptions } from "./run.ts";
import { type Placed, runStream, sessionView } from "./run-stream.ts";

const sse = "text/event-stream";
const common = { tags: [dialectTags["003"]], lenient: true } as const;

const runInput = z.looseObject({
  threadId: z.string().min(1).max(4096),
  runId: z.string().min(1).max(4096),
  protocolVersion: z.string().max(64).optional(),
  parentRunId: z.string().max(4096).optional(),
  messages: z.array(freeObject),
  state: z.unknown().optional(),
  tools: z.array(freeObject).optional(),
  context: z.array(freeObject).optional(),
  forwardedProps: z.unknown().optional(),
  resume: z.array(freeObject).optional(),
});
type RunInput = z.output<typeof runInput>;

async function streamRun(
  ctx: OperationContext,
  { agent: _, ...input }: RunInput,
  agent: string | undefined,
  request: StreamRequest,
): Promise<Streamed> {
  const { events } = await agUiRun(ctx, input, agent, request.signal);
  // A wildcard would mean protobuf to the encoder; only who names it can read it.
  const encoder = new EventEncoder({ accept: request.accept.includes(AGUI_MEDIA_TYPE) ? request.accept : sse });
  return { headers: headersOf(encoder.getContentType()), chunks: encoded(events, encoder) };
}

const headersOf = (contentType: string): [string, string][] => [
  ["content-type", contentType],
  ["cache-control", "no-cache, no-transform"],
  ["x-accel-buffering", "no"],
];

async function* encoded(events: AsyncIterable<AgUiEvent>, encoder: EventEncoder): AsyncGenerator<string | Uint8Array> {
  const binary = encoder.getContentType() !== sse;
  for await (const event of events) yield binary ? encoder.encodeBinary(event) : encoder.encodeSSE(event);
}

const streamsOnly = async (): Promise<never> => {
  throw new TroupeError("not_acceptable", "A run is answered as a stream of events");
};

const agentPath = { agent: z.string().min(1).max(200) };

export const agUiRoutes = [
  defineOperation({
    ...common,
    name: "ag_ui.run",
    summary: "Run the default agent as AG-UI events",
    description:
      "RunAgentInput in, AG-UI events out: server-sent events, or `application/vnd.ag-ui.event+proto` when Accept admits it. The same threadId and runId give the same run.",
    method: "POST",
    path: "/",
    scope: "runs:write",
    streams: "text/event-stream",
    errors: ["invalid_input", "not_found", "conflict", "overloaded", "too_large"],
    input: runInput,
    output: freeObject,
    handle: streamsOnly,
    stream: (ctx, input, request) => streamRun(ctx, input, undefined, request),
  }),
  defineOperation({
    ...common,
    name: "ag_ui.run_agent",
    summary: "Run an agent or a workflow as AG-UI events",
    description:
      "`agent` is `model`, `echo`, the type of any registered agent, or the name of a workflow: its stages become steps, its checkpoints interrupts.",
    method: "POST",
    path: "/ag-ui/agents/{agent}",
    scope: "runs:write",
    streams: "text/event-stream",
    errors: ["invalid_input", "not_found", "conflict", "overloaded", "too_large"],
    input: runInput.extend(agentPath),
    output: freeObject,
    handle: streamsOnly,
    stream: (ctx, input, request) => streamRun(ctx, input as RunInput, input.agent as string, request),
  }),
  defineOperation({
    ...common,
    name: "ag_ui.capabilities",
    summary: "What an agent behind AG-UI can do",
    method: "GET",
    path: "/ag-ui/agents/{agent}",
    scope: "agents:read",
    errors: ["not_found"],
    input: z.strictObject(agentPath),
    output: freeObject,
    handle: async (ctx, { agent }) => ({ ...capabilitiesOf(await findTarget(ctx, agent), ctx.version) }),
  }),
  defineOperation({
    ...common,
    name: "ag_ui.thread_events",
    summary: "Join a thread's run again",
    description:
      "The events of the thread's current (or last) run, from its beginning or behind `since`: the `id` of an event of this stream. Ends with the run.",
    method: "GET",
    path: "/ag-ui/threads/{thread_id}/events",
    scope: "events:read",
    streams: "text/event-stream",
    errors: ["not_found", "invalid_input"],
    input: z.strictObject({ thread_id: z.string().min(1).max(4096), since: z.string().max(200).optional() }),
    output: freeObject,
    handle: streamsOnly,
    async stream(ctx, input, request) {
      const since = input.since ?? (request.lastEventId === "" ? undefined : request.lastEventId);
      return joinThread(ctx, input.thread_id, since, request);
    },
  }),
];

async function joinThread(
  ctx: OperationContext,
  threadId: string,
  since: string | undefined,
  request: StreamRequest,
): Promise<Streamed> {
  const session = sessionKey(threadId);
  const view = await sessionView(ctx, session);
  const [id, no, nth] = (since ?? "").split(".");
  const known = since === undefined ? undefined : view.runs.find((run) => run.id === id);
  if (since !== undefined && (known === undefined || !/^\d+$/.test(no ?? "") || !/^\d+$/.test(nth ?? ""))) {
    throw invalid("The stream cannot resume", [{ path: "since", message: "not an event id of this thread" }]);
  }
  const active = view.runs.findLast(({ status }) => status === "running" || status === "queued");
  const entry = known ?? active ?? view.runs.at(-1);
  if (entry === undefined) throw new TroupeError("not_found", "This thread has no run");
  const options = streamOptions({ session, entry }, threadId, protocolVersion);
  const { signal } = request;
  const events = runStream(ctx, { ...options, known: new Known(), signal, correlationId: ctx.correlationId });
  const after = known === undefined ? undefined : { no: Number(no), nth: Number(nth) };
  return { headers: headersOf("text/event-stream"), chunks: numbered(entry.id, events, after) };
}

/** `<run>.<stored event>.<nth AG-UI event of it>`: the same in every replay. A live piece has no id: it comes once. */
async function* numbered(
  run: string,
  events: AsyncGenerator<Placed>,
  after: { readonly no: number; readonly nth: number } | undefined,
): AsyncGenerator<string> {
  let at = -1;
  let nth = 0;
  for await (const { event, no } of events) {
    if (no === 0) {
      if (after === undefined || at > after.no) yield `data: ${JSON.stringify(event)}\n\n`;
      continue;
    }
    nth = no === at ? nth + 1 : 1;
    at = no;
    const passed = after !== undefined && (no < after.no || (no === after.no && nth <= after.nth));
    if (!passed) yield `id: ${run}.${no}.${nth}\ndata: ${JSON.stringify(event)}\n\n`;
  }
}
