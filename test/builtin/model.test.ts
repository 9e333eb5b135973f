import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { LLMock } from "@copilotkit/aimock";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Section } from "../../src/builtin/brief/schema.ts";
import { modelSectionAnalyst } from "../../src/builtin/model/analyst.ts";
import { createModelClient, type ModelSettings } from "../../src/builtin/model/client.ts";
import { parseRetryAfter } from "../../src/builtin/model/failure.ts";
import { askForJson, parseAnswer } from "../../src/builtin/model/json.ts";
import { brief, collectingContext, runAgent } from "./pipeline.ts";

/** Real timers, with a record of what was waited for. */
function timers() {
  const waits: number[] = [];
  const running = new Set<NodeJS.Timeout>();
  return {
    waits,
    running,
    now: () => Date.now(),
    monotonic: () => performance.now(),
    after(ms: number, fn: () => void) {
      waits.push(ms);
      const timer = setTimeout(() => {
        running.delete(timer);
        fn();
      }, ms);
      running.add(timer);
      return {
        cancel: () => {
          clearTimeout(timer);
          running.delete(timer);
        },
      };
    },
  };
}

let mock: LLMock;
beforeEach(async () => {
  mock = new LLMock({ port: 0, host: "127.0.0.1" });
  await mock.start();
});
afterEach(() => mock.stop());

function client(settings: Partial<ModelSettings> = {}) {
  const clock = timers();
  const base = { baseUrl: `${mock.url}/v1`, apiKey: "secret-key", model: "test-model", backoffMs: 5 };
  return { clock, model: createModelClient({ ...base, ...settings }, clock) };
}

const hello = { messages: [{ role: "user" as const, content: "hello" }] };
const never = new AbortController().signal;

describe("a chat completion", () => {
  it("streams, and counts tokens and money", async () => {
    const usage = { prompt_tokens: 1_000, completion_tokens: 500, total_tokens: 1_500 };
    mock.onMessage("hello", { content: "Hi there, friend!", usage }, { chunkSize: 3 });
    const { model, clock } = client({ promptUsdPerMillion: 2, completionUsdPerMillion: 4 });
    const answer = await model.complete(hello, never);
    expect(answer).toMatchObject({ text: "Hi there, friend!", finishReason: "stop", requests: 1, usd: 0.004 });
    expect(answer.usage).toEqual({ promptTokens: 1_000, completionTokens: 500, estimated: false });
    expect(clock.running.size).toBe(0);
    const sent = mock.getLastRequest();
    expect(sent?.body).toMatchObject({ model: "test-model", stream: true, stream_options: { include_usage: true } });
    expect(sent?.path).toBe("/v1/chat/completions");
  });

  it("asks for JSON when told", async () => {
    mock.onMessage("hello", { content: "{}" });
    await client().model.complete({ ...hello, json: true }, never);
    expect(mock.getLastRequest()?.body).toMatchObject({ response_format: { type: "json_object" } });
  });

  it("waits as long as Retry-After says after 429, then succeeds", async () => {
    mock.on(
      { userMessage: "hello", sequenceIndex: 0 },
      { error: { message: "slow down" }, status: 429, retryAfter: 1 },
    );
    mock.on({ userMessage: "hello", sequenceIndex: 1 }, { content: "ok" });
    const { model, clock } = client();
    const answer = await model.complete(hello, never);
    expect(answer).toMatchObject({ text: "ok", requests: 2 });
    expect(clock.waits).toContain(1_000);
  });

  it("waits no longer than its own bound", async () => {
    mock.on(
      { userMessage: "hello", sequenceIndex: 0 },
      { error: { message: "later" }, status: 429, retryAfter: 3_600 },
    );
    mock.on({ userMessage: "hello", sequenceIndex: 1 }, { content: "ok" });
    expect(await client({ retryAfterMaxMs: 10 }).model.complete(hello, never)).toMatchObject({ requests: 2 });
  });

  it("repeats on 500 with growing waits, and gives up in the end", async () => {
    mock.onMessage("hello", { error: { message: "boom" }, status: 500 });
    const { model, clock } = client({ requestsMax: 4 });
    await expect(model.complete(hello, never)).rejects.toMatchObject({
      name: "TaskError",
      code: "model_unavailable",
      retryable: true,
      message: expect.stringMatching(/500.*boom.*4 requests/),
    });
    expect(mock.getRequests()).toHaveLength(4);
    expect(clock.waits.filter((ms) => ms < 100)).toEqual([5, 10, 20]);
  });

  it.each([
    [401, "model_unauthorized"],
    [403, "model_unauthorized"],
    [400, "model_refused"],
    [404, "model_refused"],
  ])("does not repeat on %i", async (status, code) => {
    mock.onMessage("hello", { error: { message: "no" }, status });
    const error = await client()
      .model.complete(hello, never)
      .catch((e: Error) => e);
    expect(error).toMatchObject({ code, retryable: false });
    expect(String(error)).not.toContain("secret-key");
    expect(mock.getRequests()).toHaveLength(1);
  });

  it("repeats when the stream is cut before its end", async () => {
    mock.on(
      { userMessage: "hello", sequenceIndex: 0 },
      { content: "half an answer" },
      { chunkSize: 2, truncateAfterChunks: 3 },
    );
    mock.on({ userMessage: "hello", sequenceIndex: 1 }, { content: "whole" });
    expect(await client().model.complete(hello, never)).toMatchObject({ text: "whole", requests: 2 });
  });

  it("repeats when nobody listens", async () => {
    const { model } = client({ baseUrl: "http://127.0.0.1:1/v1", requestsMax: 2 });
    await expect(model.complete(hello, never)).rejects.toMatchObject({ code: "model_unavailable", retryable: true });
  });

  it("does not wait for a first token for ever", async () => {
    mock.onMessage("hello", { content: "late" }, { streamingProfile: { ttft: 5_000 } });
    const { model, clock } = client({
      firstTokenTimeoutMs: 80,
      headersTimeoutMs: 80,
      idleTimeoutMs: 80,
      requestsMax: 1,
    });
    await expect(model.complete(hello, never)).rejects.toMatchObject({ code: "model_timed_out", retryable: true });
    expect(clock.running.size).toBe(0);
  });

  it("does not wait between tokens for ever", async () => {
    mock.onMessage("hello", { content: "a b c d e f g h" }, { chunkSize: 1, latency: 2_000 });
    const { model } = client({ idleTimeoutMs: 100, requestsMax: 1 });
    await expect(model.complete(hello, never)).rejects.toMatchObject({ code: "model_timed_out" });
  });

  it("bounds the whole", async () => {
    mock.onMessage("hello", { content: "a".repeat(2_000) }, { chunkSize: 1, latency: 10 });
    const { model } = client({ totalTimeoutMs: 200, requestsMax: 1 });
    await expect(model.complete(hello, never)).rejects.toMatchObject({
      code: "model_timed_out",
      message: expect.stringContaining("whole answer"),
    });
  });

  it("stops at once when it is aborted, in a request and in a wait", async () => {
    mock.onMessage("hello", { content: "slow" }, { latency: 10_000, chunkSize: 1 });
    const during = new AbortController();
    const answer = client().model.complete(hello, during.signal);
    setImmediate(() => during.abort(new Error("cancelled")));
    await expect(answer).rejects.toThrow("cancelled");
    mock.reset();
    mock.onMessage("hello", { error: { message: "x" }, status: 503 });
    const waiting = new AbortController();
    const { model, clock } = client({ backoffMs: 20_000 });
    const second = model.complete(hello, waiting.signal);
    await expect.poll(() => clock.waits.includes(20_000)).toBe(true);
    waiting.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    expect(clock.running.size).toBe(0);
  });
});

/** What the mock cannot be: an endpoint that speaks the protocol badly. */
describe("an odd endpoint", () => {
  let server: Server;
  const bodies: Record<string, unknown>[] = [];
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  async function odd(answer: (body: Record<string, unknown>) => { status?: number; type?: string; text: string }) {
    bodies.length = 0;
    server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => {
        text += chunk.toString();
      });
      request.on("end", () => {
        const body = JSON.parse(text) as Record<string, unknown>;
        bodies.push(body);
        const { status = 200, type = "text/event-stream", text: reply } = answer(body);
        response.writeHead(status, { "content-type": type }).end(reply);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return client({ baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` });
  }
  const chunk = (content: string, finish: string | null = null) =>
    `data: ${JSON.stringify({ choices: [{ delta: { content }, finish_reason: finish }] })}\n\n`;

  it("that counts no tokens: they are estimated, and said to be", async () => {
    const { model } = await odd(() => ({ text: `: hi\r\n\r\n${chunk("abcdefgh", "stop")}` }));
    const answer = await model.complete(hello, never);
    expect(answer.usage).toEqual({ promptTokens: 2, completionTokens: 2, estimated: true });
  });

  it("that does not stream", async () => {
    const body = {
      model: "m",
      choices: [{ message: { content: "plain" }, finish_reason: "stop" }],
      usage: { prompt_tokens: 1 },
    };
    const { model } = await odd(() => ({ type: "application/json; charset=utf-8", text: JSON.stringify(body) }));
    expect(await model.complete(hello, never)).toMatchObject({
      text: "plain",
      usage: { promptTokens: 1, estimated: false },
    });
  });

  it("that knows neither stream_options nor response_format", async () => {
    const { model } = await odd((body) => {
      for (const name of ["stream_options", "response_format"]) {
        if (name in body)
          return { status: 400, type: "application/json", text: `{"error":{"message":"unknown ${name}"}}` };
      }
      return { text: `${chunk("{}", "stop")}data: [DONE]\n\n` };
    });
    expect((await model.complete({ ...hello, json: true }, never)).text).toBe("{}");
    expect(bodies).toHaveLength(3);
  });

  it("that sends an error inside of the stream, or rubbish", async () => {
    let n = 0;
    const { model } = await odd(() => {
      n++;
      if (n === 1) return { text: `${chunk("ha")}data: {"error":{"message":"overloaded"}}\n\n` };
      if (n === 2) return { text: "data: {rubbish\n\n" };
      return { text: `${chunk("fine", "stop")}data: [DONE]\n\n` };
    });
    expect(await model.complete(hello, never)).toMatchObject({ text: "fine", requests: 3 });
  });
});

describe("JSON from a model", () => {
  const schema = z.object({ n: z.number() });

  it("is found in fences and talk", () => {
    expect(parseAnswer('Sure:\n```json\n{"n": 1}\n```', schema)).toEqual({ value: { n: 1 } });
    expect(parseAnswer("none", schema)).toEqual({ problem: "it holds no JSON object" });
    expect(parseAnswer('{"n": "x"}', schema)).toMatchObject({ problem: expect.stringContaining("n: ") });
  });

  it("gets one chance of repair, and both answers cost", async () => {
    const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
    mock.onMessage("hello", { content: '{"n": oops', usage });
    mock.onMessage("not what was asked for", { content: '{"n": 2}', usage });
    const ctx = collectingContext();
    expect(await askForJson(ctx, client().model, hello.messages, schema)).toEqual({ n: 2 });
    expect(ctx.kept.cost).toMatchObject({ promptTokens: 20, completionTokens: 10 });
    expect(ctx.kept.events.map((e) => e.name)).toEqual([
      "model_requested",
      "model_responded",
      "model_requested",
      "model_responded",
    ]);
    expect(ctx.kept.events[1]?.data).toMatchObject({
      promptTokens: 10,
      completionTokens: 5,
      estimated: false,
      requests: 1,
    });
  });

  it("that stays wrong fails the attempt", async () => {
    mock.onMessage("", { content: "I would rather not." });
    await expect(askForJson(collectingContext(), client().model, hello.messages, schema)).rejects.toMatchObject({
      code: "model_malformed",
      retryable: true,
    });
    expect(mock.getRequests()).toHaveLength(2);
  });

  it("Retry-After as seconds and as a date", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    expect(parseRetryAfter("2", now)).toBe(2_000);
    expect(parseRetryAfter("Thu, 01 Jan 2026 00:00:30 GMT", now)).toBe(30_000);
    expect(parseRetryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now)).toBe(0);
    expect(parseRetryAfter("soon", now)).toBeUndefined();
  });
});

describe("the model's section analyst", () => {
  const text =
    "The harbour serves forty fishing boats and two ferries. Every boat reports to the **harbour master** before it leaves. Read the rules first.\n\n- [ ] Print cards\n";
  const section: Section = { index: 0, title: "Harbour", level: 1, text };
  const answer = {
    point: "Boats report to the harbour master.",
    key_sentences: ["Every boat reports to the harbour master before it leaves.", "This was never said."],
    terms: ["Harbour master", "boats", "submarine"],
    todos: ["Print cards", "Report before leaving"],
  };

  it("takes over what the model says, but only quotes what is in the text", async () => {
    mock.onMessage("<section>", { content: JSON.stringify(answer) });
    const { output, kept } = await runAgent(modelSectionAnalyst(client().model), { section, language: "eng" });
    expect(output).toMatchObject({
      method: "model",
      point: "Boats report to the harbour master.",
      sentences: [{ text: "Every boat reports to the harbour master before it leaves." }],
      terms: [
        { term: "harbour master", count: 1 },
        { term: "boats", count: 1 },
      ],
      todos: [
        { text: "Print cards", kind: "task" },
        { text: "Report before leaving", kind: "action" },
      ],
    });
    expect(kept.cost.promptTokens).toBeGreaterThan(0);
  });

  it("asks no model about next to nothing", async () => {
    const small = { ...section, text: "Short." };
    const { output } = await runAgent(modelSectionAnalyst(client().model), { section: small, language: "eng" });
    expect(output.method).toBe("extractive");
    expect(mock.getRequests()).toHaveLength(0);
  });

  it("makes a whole brief", async () => {
    mock.onMessage("<section>", { content: JSON.stringify(answer) });
    const analyst = modelSectionAnalyst(client().model) as never;
    const { merged, report } = await brief({ text }, null, analyst);
    expect(merged.summary).toBe("Boats report to the harbour master.");
    expect(report).toContain("by a model");
  });
});
