/**
 * AG-UI over deaths of the server: kill -9 in the middle of a stream, a restart between an interrupt and its
 * resume, a client that goes (cancelled or detached), runs that wait for one another.
 */
import { join } from "node:path";
import { LLMock } from "@copilotkit/aimock";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { until } from "../support/until.ts";
import {
  type AnyEvent,
  agentAt,
  last,
  newSeen,
  parseEvents,
  rawRun,
  refuseWarnings,
  run,
  say,
} from "./support/client.ts";
import { TroupeProcess } from "./support/node.ts";

const limit = { timeout: 120_000 };
let mock: LLMock;
let node: TroupeProcess;
const words = Array.from({ length: 60 }, (_, i) => `word-${i + 1}`).join(" ");

beforeAll(async () => {
  mock = new LLMock({ port: 0, host: "127.0.0.1" });
  await mock.start();
  mock.onMessage("slowly", { content: words }, { chunkSize: 8, latency: 40 });
  mock.onMessage("quickly", { content: "Here I am." });
  mock.on(
    { userMessage: "pay", hasToolResult: false },
    { toolCalls: [{ id: "call-pay", name: "pay", arguments: '{"usd":7}' }] },
  );
  mock.on({ userMessage: "pay", hasToolResult: true }, { content: "It is paid." });
  node = await TroupeProcess.start({
    MODEL_BASE_URL: `${mock.url}/v1`,
    MODEL_NAME: "mock-1",
    TROUPE_AGENTS: join(import.meta.dirname, "support/agents.ts"),
    LOG_LEVEL: "error",
  });
}, 240_000);
afterAll(async () => {
  await node?.end();
  await mock?.stop();
});
const warnings = refuseWarnings();
const model = (threadId?: string) => agentAt(`${node.url}/ag-ui/agents/model`, {}, threadId);

/** Resolves when so many events of a type have come; the run goes on beside. */
function reached(type: string, count: number) {
  let seen = 0;
  let tell = (): void => {};
  const promise = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const onEvent = (event: AnyEvent): void => {
    if (event.type === type && ++seen === count) tell();
  };
  return { promise, onEvent };
}

/** The client cancels the reader of its broken stream and lets that promise go: it rejects with nobody to hear it. */
function expectUnhandled(message: string): () => Promise<void> {
  const others = process.listeners("unhandledRejection");
  const heard: unknown[] = [];
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (reason) => void heard.push(reason));
  return async () => {
    await until(() => heard.length > 0);
    process.removeAllListeners("unhandledRejection");
    for (const other of others) process.on("unhandledRejection", other);
    expect(heard.map((reason) => (reason as Error).message)).toEqual([message]);
  };
}

async function runStatus(threadId: string, runId: string): Promise<string | undefined> {
  const answer = await fetch(`${node.url}/v1/sessions/${threadId}`);
  const { runs = [] } = (await answer.json()) as { runs?: { run_id: string; status: string }[] };
  return runs.find((one) => one.run_id === runId)?.status;
}

describe("kill -9 in the middle of a stream", () => {
  test.each([
    ["the same run", "same"],
    ["another run", "other"],
  ])("the client that asks again for %s has each finished message once, and goes on", limit, async (_, which) => {
    const agent = model();
    say(agent, "slowly, please");
    const middle = reached("TEXT_MESSAGE_CONTENT", 4);
    const seen = newSeen();
    const settle = expectUnhandled("terminated");
    const broken = run(agent, { runId: "first" }, middle.onEvent, seen).catch((error: unknown) => error);
    await middle.promise;
    await node.down("SIGKILL");
    expect(await broken).toBeInstanceOf(Error);
    await settle();
    // The client says itself that its stream broke.
    expect(warnings.take().join()).toContain("Agent execution failed");
    expect(words.startsWith(seen.text)).toBe(true);
    expect(seen.text).not.toBe("");
    await node.up();
    if (which === "other") say(agent, "quickly now");
    const again = await run(agent, which === "same" ? { runId: "first" } : { runId: "second" });
    expect(last(again)).toMatchObject({ type: "RUN_FINISHED", outcome: { type: "success" } });
    const said = agent.messages.filter(({ role }) => role === "assistant").map(({ content }) => content);
    expect(said).toEqual(which === "same" ? [words] : [words, "Here I am."]);
    if (which === "same") expect(seen.text + again.text).toBe(words);
    say(agent, "quickly, once more");
    await run(agent);
    expect(agent.messages.at(-1)).toMatchObject({ content: "Here I am." });
  });

  test("an interrupt waits through a restart", limit, async () => {
    const agent = model();
    say(agent, "pay the bill");
    await run(agent);
    expect(agent.pendingInterrupts).toHaveLength(1);
    await node.down("SIGKILL");
    await node.up();
    const interruptId = agent.pendingInterrupts[0]?.id ?? "";
    const seen = await run(agent, { resume: [{ interruptId, status: "resolved", payload: { approved: true } }] });
    expect(seen.events.find(({ type }) => type === "TOOL_CALL_RESULT")?.content).toBe("paid 7");
    expect(agent.messages.at(-1)).toMatchObject({ content: "It is paid." });
    expect(agent.pendingInterrupts).toEqual([]);
  });
});

describe("two runs of one thread at once", () => {
  test("the second waits for the first", limit, async () => {
    const url = `${node.url}/ag-ui/agents/model`;
    const ask = (runId: string, content: string) =>
      rawRun(url, { threadId: "both", runId, messages: [{ id: runId, role: "user", content }] });
    const first = ask("a", "slowly");
    await until(async () => (await runStatus("both", "a")) === "running");
    const second = await ask("b", "quickly");
    expect(await runStatus("both", "a")).toBe("succeeded");
    expect(second.map(({ type }) => type)).toContain("MESSAGES_SNAPSHOT");
    expect(second.at(-1)?.type).toBe("RUN_FINISHED");
    expect((await first).at(-1)?.type).toBe("RUN_FINISHED");
  });

  test("one that waits and is cancelled is told its end", limit, async () => {
    const url = `${node.url}/ag-ui/agents/model`;
    const post = (runId: string, content: string, version: object) =>
      rawRun(url, { threadId: "queue", runId, ...version, messages: [{ id: runId, role: "user", content }] });
    const first = post("a", "slowly", { protocolVersion: "1.0" });
    await until(async () => (await runStatus("queue", "a")) === "running");
    const second = post("b", "quickly", {});
    await until(async () => (await runStatus("queue", "b")) === "queued");
    const canceled = await fetch(`${node.url}/v1/sessions/queue/cancel`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{}",
    });
    expect(canceled.ok).toBe(true);
    // An older client does not know that outcome.
    expect((await second).at(-1)).toMatchObject({ type: "RUN_ERROR", code: "cancelled" });
    expect((await first).at(-1)).toMatchObject({ type: "RUN_FINISHED", runId: "a", outcome: { type: "cancelled" } });
  });
});

describe("a client that goes before the end", () => {
  test("its run is cancelled", limit, async () => {
    const agent = model();
    say(agent, "slowly, and I go");
    const middle = reached("TEXT_MESSAGE_CONTENT", 3);
    const going = run(agent, { runId: "left" }, middle.onEvent);
    await middle.promise;
    agent.abortRun();
    await going;
    await until(async () => (await runStatus(agent.threadId, "left")) === "canceled");
    say(agent, "quickly");
    await run(agent);
    expect(agent.messages.at(-1)).toMatchObject({ content: "Here I am." });
  });

  test("detached, it goes on and can be joined again behind any of its events", limit, async () => {
    await node.down("SIGTERM");
    await node.up({ TROUPE_AGUI_DISCONNECT: "detach", TROUPE_AGUI_CONCURRENCY: "refuse" });
    const agent = model();
    say(agent, "slowly, I come back");
    const middle = reached("TEXT_MESSAGE_CONTENT", 3);
    const going = run(agent, { runId: "kept" }, middle.onEvent);
    await middle.promise;
    agent.abortRun();
    await going;
    const refused = await fetch(`${node.url}/ag-ui/agents/model`, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "text/event-stream" },
      body: JSON.stringify({ threadId: agent.threadId, runId: "more", messages: [] }),
    });
    expect([refused.status, await runStatus(agent.threadId, "kept")]).toEqual([409, "running"]);
    const join = async (since = ""): Promise<string> => {
      const answer = await fetch(`${node.url}/ag-ui/threads/${agent.threadId}/events${since}`, {
        headers: { accept: "text/event-stream" },
      });
      return answer.text();
    };
    const events = parseEvents(await join());
    expect(events[0]).toMatchObject({ type: "RUN_STARTED", runId: "kept", threadId: agent.threadId });
    expect(events.at(-1)?.type).toBe("RUN_FINISHED");
    const told = (list: AnyEvent[]) => list.map(({ delta }) => (typeof delta === "string" ? delta : "")).join("");
    expect(told(events)).toBe(words);
    await until(async () => (await runStatus(agent.threadId, "kept")) === "succeeded");
    // From each id on: the same events again, and no other.
    const whole = await join();
    const blocks = whole.match(/(?:.+\n)+\n/g) ?? [];
    expect(blocks.length).toBeGreaterThan(4);
    for (const [i, block] of blocks.entries()) {
      const id = /^id: (.+)\n/.exec(block)?.[1];
      expect(await join(`?since=${id}`)).toBe(blocks.slice(i + 1).join(""));
    }
  });
});
