/**
 * The gate of the model agent: the real AG-UI client against `troupe start` as a process of its own, over both
 * encodings. The model is a mock server that speaks the real protocol; tools are TypeScript, HTTP and MCP.
 */
import { join } from "node:path";
import { LLMock } from "@copilotkit/aimock";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { agentAt, encodings, last, rawRun, refuseWarnings, run, say } from "./support/client.ts";
import { TroupeProcess } from "./support/node.ts";
import { type OutsideTools, startTools } from "./support/tools.ts";

/** A session hears of its runs by mail. */
const soon = { timeout: 20_000 };
const limit = { timeout: 120_000 };
let mock: LLMock;
let node: TroupeProcess;
let tools: OutsideTools;

beforeAll(async () => {
  mock = new LLMock({ port: 0, host: "127.0.0.1" });
  await mock.start();
  tools = await startTools();
  node = await TroupeProcess.start({
    MODEL_BASE_URL: `${mock.url}/v1`,
    MODEL_NAME: "mock-1",
    MODEL_API_KEY: "k",
    MODEL_PROMPT_USD_PER_MILLION: "2",
    MODEL_COMPLETION_USD_PER_MILLION: "4",
    TROUPE_AGENTS: join(import.meta.dirname, "support/agents.ts"),
    TROUPE_TOOLS: tools.file,
    TRANSLATOR_KEY: "secret",
    LOG_LEVEL: "error",
  });
}, 240_000);
afterAll(async () => {
  await node?.end();
  await tools?.stop();
  await mock?.stop();
});
refuseWarnings();

const usage = { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 };

/** The model calls a tool for this message, then says this. */
function calls(message: string, name: string, args: object, then: string): void {
  const call = { id: `call-${name}-${message}`, name, arguments: JSON.stringify(args) };
  mock.on({ userMessage: message, hasToolResult: false }, { toolCalls: [call], usage });
  mock.on({ userMessage: message, hasToolResult: true }, { content: then, usage });
}

async function session(threadId: string) {
  return (await (await fetch(`${node.url}/v1/sessions/${threadId}`)).json()) as Record<string, never>;
}

describe.each(encodings)("over %s", (encoding, headers) => {
  const model = () => agentAt(`${node.url}/ag-ui/agents/model`, headers);
  const tag = encoding.slice(0, 2);

  test("text streams, thinking first, and is counted", limit, async () => {
    const text = "Bees dance to tell each other where the flowers are.";
    mock.onMessage(`dance ${tag}`, { content: text, reasoning: "What do bees do?", usage }, { chunkSize: 5 });
    const agent = model();
    say(agent, `dance ${tag}`);
    const seen = await run(agent);
    expect(seen.text).toBe(text);
    expect(seen.types.filter((type) => type === "TEXT_MESSAGE_CONTENT").length).toBeGreaterThan(3);
    expect(seen.types.indexOf("REASONING_MESSAGE_CONTENT")).toBeLessThan(seen.types.indexOf("TEXT_MESSAGE_CONTENT"));
    expect(agent.messages.map(({ role }) => role)).toEqual(["user", "reasoning", "assistant"]);
    expect(seen.events[0]).toMatchObject({ type: "RUN_STARTED", threadId: agent.threadId });
    const counted = { inputTokens: 1_000, outputTokens: 500, totalTokens: 1_500 };
    expect(last(seen)).toMatchObject({ type: "RUN_FINISHED", usage: [counted], outcome: { type: "success" } });
    say(agent, `dance ${tag}`);
    await run(agent);
    await expect
      .poll(async () => (await session(agent.threadId)).usage, soon)
      .toEqual({ runs: 2, prompt_tokens: 2_000, completion_tokens: 1_000, total_usd: 0.008 });
  });

  test.each([
    ["in TypeScript", "weather", { city: "Rome" }, '{"city":"Rome","sky":"clear","celsius":21}'],
    ["over HTTP", "translate", { word: "bee" }, '{"translated":"Biene"}'],
    ["of an MCP server over stdio", "local_add", { a: 20, b: 22 }, "42"],
    ["that fails", "broken", {}, "the tool is out of order"],
    ["with wrong arguments", "weather", { town: "Rome" }, /the arguments do not fit: city/],
  ])("a tool %s is called, its result goes to client and model", limit, async (what, name, args, result) => {
    const message = `use ${what} ${tag}`;
    calls(message, name, args, "That is it.");
    const agent = model();
    say(agent, message);
    const seen = await run(agent);
    expect(seen.text).toBe("That is it.");
    const told = seen.events.find(({ type }) => type === "TOOL_CALL_RESULT");
    expect(told?.content).toEqual(typeof result === "string" ? result : expect.stringMatching(result));
    expect(agent.messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
    const [, called] = agent.messages as { toolCalls?: { function: { arguments: string } }[] }[];
    expect(JSON.parse(called?.toolCalls?.[0]?.function.arguments ?? "")).toEqual(args);
    const sent = mock.getLastRequest()?.body as { messages: { role: string; content: string }[] };
    expect(sent.messages.at(-1)).toMatchObject({
      role: "tool",
      content: expect.stringContaining(String(told?.content)),
    });
    expect(last(seen)).toMatchObject({ usage: [{ inputTokens: 2_000, outputTokens: 1_000 }] });
  });

  test("a front end's tool is handed back, and answered in the next run", limit, async () => {
    const message = `where am I ${tag}`;
    calls(message, "locate", { precise: true }, "You are in Rome.");
    const agent = model();
    const frontend = [{ name: "locate", description: "Where the user is.", parameters: { type: "object" } }];
    say(agent, message);
    const first = await run(agent, { tools: frontend });
    const id = `call-locate-${message}`;
    expect(first.types).not.toContain("TOOL_CALL_RESULT");
    expect(last(first)).toMatchObject({ outcome: { type: "success", pendingToolCallIds: [id] } });
    await expect.poll(async () => (await session(agent.threadId)).pending_tool_calls, soon).toHaveLength(1);
    const { pending_tool_calls: waiting } = await session(agent.threadId);
    expect(waiting).toMatchObject([{ tool_call_id: id, name: "locate" }]);
    const task = (waiting as unknown as { task_id: string }[])[0]?.task_id;
    expect(await (await fetch(`${node.url}/v1/tasks/${task}`)).json()).toMatchObject({
      task_type: "frontend_tool",
      status: "ready",
    });
    agent.addMessage({ id: `result-${tag}`, role: "tool", toolCallId: id, content: "Rome" });
    const second = await run(agent, { tools: frontend });
    expect(second.text).toBe("You are in Rome.");
    await expect.poll(async () => (await session(agent.threadId)).pending_tool_calls, soon).toEqual([]);
    expect(await (await fetch(`${node.url}/v1/tasks/${task}`)).json()).toMatchObject({ status: "completed" });
  });

  test.each([
    ["approved", true, "paid 5"],
    ["refused", false, "a human refused the call"],
  ])("a tool that needs approval interrupts; %s, the conversation goes on", limit, async (word, approved, result) => {
    const message = `pay ${word} ${tag}`;
    calls(message, "pay", { usd: 5 }, "Done with it.");
    const agent = model();
    say(agent, message);
    const first = await run(agent);
    expect(last(first)).toMatchObject({ type: "RUN_FINISHED", outcome: { type: "interrupt" } });
    expect(first.types).not.toContain("TOOL_CALL_RESULT");
    const [interrupt] = agent.pendingInterrupts;
    expect(interrupt).toMatchObject({ message: "Approve the call of pay?" });
    const resume = [{ interruptId: interrupt?.id ?? "", status: "resolved" as const, payload: { approved } }];
    const second = await run(agent, { resume });
    expect(second.text).toBe("Done with it.");
    expect(second.events.find(({ type }) => type === "TOOL_CALL_RESULT")?.content).toContain(result);
    expect(agent.pendingInterrupts).toEqual([]);
    expect(last(second)).toMatchObject({ outcome: { type: "success" } });
    expect(agent.messages.map(({ role }) => role)).toEqual(["user", "assistant", "tool", "assistant"]);
  });

  test("an MCP server's tool over HTTP that needs approval", limit, async () => {
    const message = `add ${tag}`;
    calls(message, "remote_add", { a: 1, b: 2 }, "Three.");
    const agent = model();
    say(agent, message);
    await run(agent);
    const interruptId = agent.pendingInterrupts[0]?.id ?? "";
    const second = await run(agent, { resume: [{ interruptId, status: "resolved", payload: true }] });
    expect(second.events.find(({ type }) => type === "TOOL_CALL_RESULT")?.content).toBe("3");
    expect(second.text).toBe("Three.");
  });

  test("a tool changes the shared state: a delta, then the whole, kept by the session", limit, async () => {
    const message = `remember ${tag}`;
    calls(message, "remember", { item: "milk" }, "Noted.");
    const agent = model();
    agent.setState({ items: ["bread"], who: "Ada" });
    say(agent, message);
    const seen = await run(agent);
    expect(seen.events.find(({ type }) => type === "STATE_DELTA")).toMatchObject({
      delta: [{ op: "add", path: "/items/1", value: "milk" }],
    });
    expect(seen.events.find(({ type }) => type === "STATE_SNAPSHOT")).toMatchObject({
      snapshot: { items: ["bread", "milk"], who: "Ada" },
    });
    expect(agent.state).toEqual({ items: ["bread", "milk"], who: "Ada" });
    await expect
      .poll(async () => (await session(agent.threadId)).state, soon)
      .toEqual({ items: ["bread", "milk"], who: "Ada" });
    const other = agentAt(`${node.url}/ag-ui/agents/model`, headers, agent.threadId);
    mock.onMessage(`again ${tag}`, { content: "Here." });
    say(other, `again ${tag}`);
    const joined = await run(other);
    expect(joined.types.slice(0, 4)).toEqual([
      "RUN_STARTED",
      "MESSAGES_SNAPSHOT",
      "MESSAGES_SNAPSHOT",
      "STATE_SNAPSHOT",
    ]);
    expect(other.state).toEqual({ items: ["bread", "milk"], who: "Ada" });
    expect(other.messages.map(({ role }) => role)).toEqual([
      "user",
      "assistant",
      "tool",
      "assistant",
      "user",
      "assistant",
    ]);
  });

  test("everything that an agent can tell arrives", limit, async () => {
    const agent = agentAt(`${node.url}/ag-ui/agents/showcase`, headers);
    say(agent, "show me");
    const seen = await run(agent);
    for (const type of [
      "REASONING_ENCRYPTED_VALUE",
      "ACTIVITY_SNAPSHOT",
      "ACTIVITY_DELTA",
      "STATE_SNAPSHOT",
      "STATE_DELTA",
      "CUSTOM",
      "RAW",
      "SUBAGENT_STARTED",
      "SUBAGENT_FINISHED",
    ]) {
      expect(seen.types).toContain(type);
    }
    expect(last(seen)).toMatchObject({ type: "RUN_FINISHED", outcome: { type: "success" } });
    expect(agent.state).toEqual({ count: 2 });
    const activity = agent.messages.find(({ role, id }) => role === "activity" && id.endsWith("-m-a"));
    expect(activity).toMatchObject({ content: { steps: ["look", "tell", "rest"] } });
  });

  test("a failure is a RUN_ERROR with its code", limit, async () => {
    const agent = agentAt(`${node.url}/ag-ui/agents/failing`, headers);
    say(agent, "do it");
    const seen = await run(agent);
    expect(last(seen)).toMatchObject({ type: "RUN_ERROR", message: expect.stringContaining("it cannot be done") });
    expect(seen.types[0]).toBe("RUN_STARTED");
  });

  test(
    "a model call that breaks in the middle of its answer is made again; no word is shown twice",
    limit,
    async () => {
      const text = "One, two, three, four, five, six, seven, eight, nine, ten.";
      const match = { userMessage: `count ${tag}` };
      mock.on({ ...match, sequenceIndex: 0 }, { content: text }, { chunkSize: 6, latency: 20, truncateAfterChunks: 5 });
      mock.on({ ...match, sequenceIndex: 1 }, { content: text }, { chunkSize: 6, latency: 20, truncateAfterChunks: 8 });
      mock.on({ ...match, sequenceIndex: 2 }, { content: text }, { chunkSize: 4 });
      const agent = model();
      say(agent, `count ${tag}`);
      const before = mock.getRequests().length;
      const seen = await run(agent);
      expect(mock.getRequests().length - before).toBe(3);
      expect(seen.text).toBe(text);
      expect(seen.types.filter((type) => type === "TEXT_MESSAGE_START")).toHaveLength(1);
      expect(seen.types).not.toContain("MESSAGES_SNAPSHOT");
    },
  );

  test("a model that says something else the second time: the conversation is put right", limit, async () => {
    const match = { userMessage: `choose ${tag}` };
    mock.on(
      { ...match, sequenceIndex: 0 },
      { content: "The answer is a red one, surely." },
      { chunkSize: 6, latency: 20, truncateAfterChunks: 4 },
    );
    mock.on({ ...match, sequenceIndex: 1 }, { content: "A blue one." }, { chunkSize: 6 });
    const agent = model();
    say(agent, `choose ${tag}`);
    const seen = await run(agent);
    expect(seen.types).toContain("MESSAGES_SNAPSHOT");
    expect(agent.messages.at(-1)).toMatchObject({ role: "assistant", content: "A blue one." });
    expect(agent.messages).toHaveLength(2);
  });
});

test("at the front door is the model's agent", limit, async () => {
  mock.onMessage("knock", { content: "Come in." });
  const agent = agentAt(`${node.url}/`);
  say(agent, "knock");
  expect((await run(agent)).text).toBe("Come in.");
  expect(await (await fetch(node.url)).json()).toMatchObject({ message: "Troupe", identity: { name: "model" } });
});

test("the HTTP tool was asked with its header and a key for doing it once", () => {
  expect(tools.asked[0]?.body).toEqual({ word: "bee" });
  expect(tools.asked[0]?.headers.authorization).toBe("Bearer secret");
  expect(tools.asked[0]?.headers["idempotency-key"]).toMatch(/call-translate/);
});

describe("a client that sends no protocolVersion", () => {
  const user = (content: string) => [{ id: "1", role: "user" as const, content }];

  test("gets no subagents, no outcome of success, no usage", limit, async () => {
    const events = await rawRun(`${node.url}/ag-ui/agents/showcase`, { threadId: "old-1", messages: user("show me") });
    expect(events.map(({ type }) => type).filter((type) => type.startsWith("SUBAGENT"))).toEqual([]);
    expect(events[0]).toEqual({ type: "RUN_STARTED", threadId: "old-1", runId: "r" });
    expect(events.at(-1)).toEqual({ type: "RUN_FINISHED", threadId: "old-1", runId: "r" });
  });

  test("a handed back call ends its run without a list of what waits", limit, async () => {
    calls("old locate", "locate", {}, "Rome.");
    const events = await rawRun(`${node.url}/ag-ui/agents/model`, {
      threadId: "old-2",
      messages: user("old locate"),
      tools: [{ name: "locate", description: "", parameters: { type: "object" } }],
    });
    expect(events.at(-1)).toEqual({ type: "RUN_FINISHED", threadId: "old-2", runId: "r" });
    expect(events.map(({ type }) => type)).toContain("TOOL_CALL_END");
  });

  test("a newer one gets all of it", limit, async () => {
    const events = await rawRun(`${node.url}/ag-ui/agents/showcase`, {
      threadId: "new-1",
      protocolVersion: "1.0",
      messages: user("show me"),
    });
    expect(events.map(({ type }) => type)).toContain("SUBAGENT_STARTED");
    expect(events[0]).toMatchObject({ protocolVersion: "1.0" });
    expect(events.at(-1)).toMatchObject({ outcome: { type: "success" } });
  });
});
