/** The real AG-UI client against the real runtime and gateway: text over SSE and protobuf, steps, interrupt and resume. */
import { HttpAgent } from "@ag-ui/client";
import { AgentCapabilitiesSchema } from "@ag-ui/core/schemas";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { systemClock } from "../../src/bus/system-clock.ts";
import { createGateway, type Gateway } from "../../src/gateway/index.ts";
import { type Real, startReal, workflows } from "../gateway/support/real-runtime.ts";

let real: Real;
let gateway: Gateway;
let base: string;
const warnings: string[] = [];

beforeAll(async () => {
  real = await startReal();
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  gateway = createGateway({
    runtime: real.runtime,
    clock: systemClock,
    logger,
    config: { host: "127.0.0.1", port: 0, version: "test" },
  });
  base = `http://127.0.0.1:${await gateway.listen()}`;
  for (const workflow of workflows) {
    const answer = await fetch(`${base}/v1/workflows/${workflow.name}`, {
      method: "PUT",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(workflow),
    });
    expect(answer.ok).toBe(true);
  }
}, 60_000);
afterAll(async () => {
  await gateway.close(1_000);
  await real.stop();
});
beforeEach(() => {
  for (const level of ["warn", "error"] as const) {
    vi.spyOn(console, level).mockImplementation((...args) => void warnings.push(args.join(" ")));
  }
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(warnings.splice(0)).toEqual([]);
});

interface Seen {
  readonly types: string[];
  text: string;
}

async function run(agent: HttpAgent, parameters: Parameters<HttpAgent["runAgent"]>[0] = {}): Promise<Seen> {
  const seen: Seen = { types: [], text: "" };
  await agent.runAgent(parameters, {
    onEvent: ({ event }) => {
      seen.types.push(event.type);
      if (event.type === "TEXT_MESSAGE_CONTENT") seen.text += String((event as unknown as { delta: string }).delta);
    },
  });
  return seen;
}

describe("the echo agent", () => {
  test.each([
    ["server-sent events", {}],
    ["protobuf", { Accept: "application/vnd.ag-ui.event+proto" }],
  ])("answers in text over %s", { timeout: 30_000 }, async (_, headers) => {
    const agent = new HttpAgent({ url: `${base}/ag-ui/agents/echo`, headers });
    agent.addMessage({ id: "m1", role: "user", content: "Hello there, how are you?" });
    const seen = await run(agent);
    expect(seen.text).toBe("Hello there, how are you?");
    expect(seen.types[0]).toBe("RUN_STARTED");
    expect(seen.types.at(-1)).toBe("RUN_FINISHED");
    expect(agent.messages.at(-1)).toMatchObject({ role: "assistant", content: "Hello there, how are you?" });
  });

  test("a second run of the thread knows the first", { timeout: 30_000 }, async () => {
    const agent = new HttpAgent({ url: `${base}/ag-ui/agents/echo` });
    agent.addMessage({ id: "m1", role: "user", content: "one" });
    await run(agent);
    agent.addMessage({ id: "m2", role: "user", content: "two" });
    expect((await run(agent)).text).toBe("two");
    const session = await (await fetch(`${base}/v1/sessions/${agent.threadId}/messages`)).json();
    expect((session as { data: { content: string }[] }).data.map(({ content }) => content)).toEqual([
      "one",
      "one",
      "two",
      "two",
    ]);
  });
});

describe("a workflow", () => {
  test("its stages are steps, its checkpoint an interrupt, the resume ends it", { timeout: 60_000 }, async () => {
    const agent = new HttpAgent({ url: `${base}/ag-ui/agents/document-brief` });
    agent.addMessage({ id: "m1", role: "user", content: "Read it." });
    const input = { title: "Note", text: "# Note\n\nHello there. This is a text about bees. Bees fly." };
    const first = await run(agent, { forwardedProps: { input } });
    expect(first.types.at(-1)).toBe("RUN_FINISHED");
    expect(first.types.filter((type) => type === "STEP_STARTED").length).toBeGreaterThan(2);
    const [interrupt] = agent.pendingInterrupts;
    expect(interrupt?.id).toMatch(/^run_.*:review$/);
    const resume = [{ interruptId: interrupt?.id ?? "", status: "resolved" as const, payload: { approved: true } }];
    const second = await run(agent, { resume });
    expect(second.types[0]).toBe("RUN_STARTED");
    expect(second.types.at(-1)).toBe("RUN_FINISHED");
    expect(agent.pendingInterrupts).toEqual([]);
  });
});

test("who accepts anything is given server-sent events", async () => {
  const answer = await fetch(`${base}/ag-ui/agents/echo`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "*/*" },
    body: JSON.stringify({ threadId: "any", runId: "r", messages: [{ id: "1", role: "user", content: "hello" }] }),
  });
  expect(answer.headers.get("content-type")).toBe("text/event-stream");
  const events = (await answer.text()).trim().split("\n\n");
  expect(events.map((event) => JSON.parse(event.slice("data: ".length)).type)).toContain("RUN_FINISHED");
});

test("ids are echoed as they were given, whatever they are", { timeout: 30_000 }, async () => {
  const threadId = "Gespräch №1 / α\u{1f41d} …";
  const runId = "Lauf 7; drop table 'runs'";
  for (const accept of ["text/event-stream", "application/vnd.ag-ui.event+proto"]) {
    const agent = new HttpAgent({ url: `${base}/ag-ui/agents/echo`, threadId, headers: { Accept: accept } });
    agent.addMessage({ id: "ü", role: "user", content: "hello" });
    const ends: object[] = [];
    await agent.runAgent(
      { runId: runId + accept },
      { onEvent: ({ event }) => void (event.type.startsWith("RUN_") && ends.push(event)) },
    );
    expect(ends).toMatchObject([
      { type: "RUN_STARTED", threadId, runId: runId + accept },
      { type: "RUN_FINISHED", threadId, runId: runId + accept },
    ]);
  }
  const session = await (await fetch(`${base}/v1/sessions/${encodeURIComponent(threadId)}`)).json();
  expect(session).toMatchObject({ session_id: threadId, status: "open" });
});

test("capabilities are told at / beside what this is, and of each agent", async () => {
  const read = async (path: string) => (await fetch(base + path)).json() as Promise<Record<string, never>>;
  const front = await read("/");
  expect(front).toMatchObject({ message: "Troupe", docs: "/docs", health: "/api/v1/health", version: "test" });
  expect(AgentCapabilitiesSchema.parse(front)).toMatchObject({ transport: { streaming: true, httpBinary: true } });
  const chat = AgentCapabilitiesSchema.parse(await read("/ag-ui/agents/echo"));
  expect(chat).toMatchObject({ identity: { name: "echo" }, tools: { supported: true, clientProvided: true } });
  const workflow = AgentCapabilitiesSchema.parse(await read("/ag-ui/agents/document-brief"));
  expect(workflow).toMatchObject({ tools: { supported: false }, humanInTheLoop: { interrupts: true } });
  expect((await fetch(`${base}/ag-ui/agents/nobody-here`)).status).toBe(404);
});

test("an unknown agent is 404, a bad input 400, before any stream", async () => {
  const post = (path: string, body: unknown) =>
    fetch(base + path, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify(body),
    });
  expect((await post("/ag-ui/agents/nobody-here", { threadId: "t", runId: "r", messages: [] })).status).toBe(404);
  const bad = await post("/ag-ui/agents/echo", { threadId: "t", runId: "r", messages: [{ id: 1 }] });
  expect(bad.status).toBe(400);
  expect(((await bad.json()) as { error: { code: string } }).error.code).toBe("invalid_input");
});
