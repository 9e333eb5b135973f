/**
 * One run followed over AG-UI, `/v1/runs/{id}/events`, WebSocket and gRPC at once: everybody is told of the same
 * stored events in the same order. Pieces of a text are live only; the finished text is compared.
 */
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { until } from "../support/until.ts";
import { any, eventOf, fromJsonValue, Inbox, type Message } from "./support/client.ts";
import { type Grpc, registerWorkflows, startGrpc } from "./support/start.ts";

const telling = {
  name: "telling",
  version: "1.0.0",
  stages: [
    { name: "tell", agent_type: "teller", input: "${input}" },
    { kind: "checkpoint", name: "review", dependencies: ["tell"], title: "Good?", on_reject: "continue" },
    { name: "again", agent_type: "echo", dependencies: ["review"], input: "${stages.tell.output}" },
  ],
  output: "${stages.again.output}",
};

let grpc: Grpc;
beforeAll(async () => {
  grpc = await startGrpc();
  await registerWorkflows(grpc.base, [telling]);
});
afterAll(() => grpc.stop());

interface Followed {
  readonly events: EventSourceMessage[];
  readonly ended: Promise<void>;
}

async function sse(path: string, body?: object): Promise<Followed> {
  const headers: Record<string, string> = { accept: "text/event-stream" };
  if (body !== undefined) headers["content-type"] = "application/json";
  const init = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(grpc.base + path, init);
  expect(answer.status).toBe(200);
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => void events.push(event) });
  const read = async (): Promise<void> => {
    const decoder = new TextDecoder();
    for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
      parser.feed(decoder.decode(chunk, { stream: true }));
    }
  };
  return { events, ended: read() };
}

const data = ({ events }: Followed): Message[] => events.map(({ data: text }) => JSON.parse(text));

/** A text's pieces as one: how it was cut is live only. */
function whole(events: readonly Message[]): Message[] {
  const told: Message[] = [];
  for (const event of events) {
    const last = told.at(-1);
    const more = event.type === "TEXT_MESSAGE_CONTENT" && last?.type === event.type;
    if (more && last.messageId === event.messageId)
      told[told.length - 1] = { ...last, delta: last.delta + event.delta };
    else told.push(event);
  }
  return told;
}

/** What AG-UI makes of a run's stored events: told here once more, from the WebSocket's. */
function expected(stored: Message[], thread: string): Message[] {
  const shown = stored.flatMap(({ type, name, data: of, key }): Message[] => {
    if (type === "run" && name === "stage_started") return [["STEP_STARTED", of.stage]];
    if (type === "run" && (name === "stage_completed" || name === "stage_failed")) return [["STEP_FINISHED", of.stage]];
    if (type !== "task") return [];
    if (name === "custom_event") return [["CUSTOM", of.name]];
    if (name === "message_completed") {
      return ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END"].map((of) => [of, "m1"]);
    }
    if (name === "tool_called") return ["TOOL_CALL_START", "TOOL_CALL_ARGS", "TOOL_CALL_END"].map((of) => [of, "c1"]);
    if (name === "tool_returned") return [["TOOL_CALL_RESULT", "c1"]];
    if (name === "state_changed") return [["STATE_SNAPSHOT", ""]];
    return name === "progressed" ? [["ACTIVITY_SNAPSHOT", `activity_${key}`]] : [];
  });
  // What is open when a run ends is closed: here the step that waits for its human.
  const open = shown.filter(
    ([type, of]) => type === "STEP_STARTED" && !shown.some((s) => s[0] !== type && s[1] === of),
  );
  return [["RUN_STARTED", thread], ...shown, ...open.map(([, of]) => ["STEP_FINISHED", of])];
}

/** An event's kind and what it is about. */
const brief = (event: Message): [string, string] => [
  event.type,
  event.stepName ?? event.toolCallId ?? event.messageId ?? event.name ?? event.threadId ?? "",
];

const numberOf = (eventId: string): number => Number.parseInt(eventId.split("_")[1] as string, 36);

async function socket(): Promise<{ events: Message[]; close(): void }> {
  const client = new WebSocket(`${grpc.base.replace("http", "ws")}/v1/ws`);
  const events: Message[] = [];
  await new Promise<void>((resolve, reject) => {
    client.on("error", reject);
    client.on("open", () => client.send(JSON.stringify({ type: "subscribe", id: "all", pattern: "event.>" })));
    client.on("message", (text) => {
      const message = JSON.parse(text.toString());
      if (message.type === "subscribed") resolve();
      if (message.type === "event") events.push(message.event);
    });
  });
  return { events, close: () => client.close() };
}

test("everybody is told the same, in the same order", async () => {
  const thread = "thread-of-four";
  const ws = await socket();
  const input = {
    threadId: thread,
    runId: "r1",
    protocolVersion: "1.0",
    messages: [],
    state: {},
    tools: [],
    context: [],
  };
  const agUi = await sse("/ag-ui/agents/telling", { ...input, forwardedProps: { input: { gate: "four" } } });
  await until(() => grpc.gate.reached.has("four-1"), 60_000);
  const session = (await (await fetch(`${grpc.base}/v1/sessions/${thread}`)).json()) as Message;
  const run_id = session.runs[0].run;
  // The others come while it runs: each has a part as history and the rest live.
  const events = await sse(`/v1/runs/${run_id}/events`);
  const stream = new Inbox(grpc.stub("agent.runtime.v1.AgentRuntime").stream("StreamEvents", { run_id }));
  grpc.gate.open("four-1");
  await until(() => grpc.gate.reached.has("four-2"), 60_000);
  const same = { thread_id: thread, run_id: "r1", agent: "telling", forwarded_props: any({ input: { gate: "four" } }) };
  const typed = new Inbox(grpc.stub("ag_ui.service.AGUIService").stream("RunAgent", same));
  const joined = await sse(`/ag-ui/threads/${thread}/events`);
  grpc.gate.open("four-2");
  await until(() => grpc.gate.reached.has("four-3"), 60_000);
  grpc.gate.open("four-3");
  // The AG-UI runs end with the interrupt; the run's own streams go on.
  await agUi.ended;
  await joined.ended;
  expect(await typed.end()).toBeNull();
  const interrupt = data(agUi).at(-1);
  expect(interrupt).toMatchObject({ type: "RUN_FINISHED", outcome: { type: "interrupt" } });
  const resume = [{ interruptId: `${run_id}:review`, status: "resolved", payload: { approved: true } }];
  const second = await sse("/ag-ui/agents/telling", { ...input, runId: "r2", resume });
  await second.ended;
  await events.ended;
  expect(await stream.end()).toBeNull();
  const stored = () => ws.events.filter(({ root }) => root === run_id);
  await until(() => stored().some(({ type, name }) => type === "run" && name === "completed"), 60_000);
  ws.close();

  // WebSocket: every stored event, numbered without a gap.
  const numbers = stored().map(({ no }) => no);
  expect(numbers).toEqual(Array.from(numbers, (_, i) => i + 1));
  // HTTP and gRPC: the same events of the contract, each with its number in the run.
  const overHttp = data(events);
  const overGrpc = stream.seen;
  expect(overGrpc.map(({ event_id }) => event_id)).toEqual(overHttp.map(({ event_id }) => event_id));
  expect(overGrpc.map(({ payload }) => fromJsonValue(payload))).toEqual(overHttp.map(({ payload }) => payload));
  expect(overGrpc.map(({ type }) => type)).toEqual(
    overHttp.map(({ type }) => `EVENT_TYPE_${type.toUpperCase().replace(".", "_")}`),
  );
  const byNumber = new Map(stored().map((event) => [event.no, event]));
  for (const { event_id, ts, type } of overHttp) {
    const event = byNumber.get(numberOf(event_id));
    expect([event_id, event?.at]).toEqual([event_id, ts]);
    if (type === "tool.called") expect(event?.name).toBe("tool_called");
  }
  const contract = [
    "run.started",
    "step.started",
    "tool.called",
    "tool.result",
    "hitl.required",
    "hitl.resolved",
    "run.completed",
  ];
  for (const type of contract) expect(overHttp.map((event) => event.type)).toContain(type);

  // AG-UI: over SSE, joined again, and over gRPC, the same events; and those of the stored events, in their order.
  const told = whole(data(agUi));
  expect(whole(data(joined))).toEqual(told);
  expect(whole(typed.seen.map(eventOf))).toEqual(told);
  const untilInterrupt = stored().filter(({ no }) => no <= numberOf(atOf(overHttp, "hitl.required")));
  expect(told.slice(0, -1).map(brief)).toEqual(expected(untilInterrupt, thread));
  const text = told.filter(({ type }) => type === "TEXT_MESSAGE_CONTENT").map(({ delta }) => delta);
  expect(text).toEqual(["All is well."]);
  // Joined again, each event that is stored has its place: numbers of the WebSocket's events, in order.
  const places = joined.events.flatMap(({ id }) => (id === undefined ? [] : [Number(id.split(".")[1])]));
  expect(places).toEqual([...places].sort((a, b) => a - b));
  for (const place of places) expect(byNumber.has(place)).toBe(true);
  expect(data(second).at(-1)).toMatchObject({ type: "RUN_FINISHED", result: { text: "told" } });
});

const atOf = (events: Message[], type: string): string => events.find((event) => event.type === type)?.event_id;
