/** A run's events: mapping, JSON pages, server-sent events with resume, gaps, ends and slow readers. */
import { connect } from "node:net";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Started, start } from "./support/start.ts";
import { runView } from "./support/views.ts";

let on: Started;
beforeAll(async () => {
  on = await start({ limits: { sseHeartbeatMs: 50 } });
});
afterAll(() => on.gateway.close(100));

let made = 0;
function newRun(status = "running"): string {
  const id = `run_events${++made}`;
  on.runtime.put("run", id, runView({ status }));
  return id;
}
const run = (id: string, name: string, data = {}) => on.runtime.emit(id, "run", id, "echo", name, data);
const task = (id: string, name: string, data = {}) => on.runtime.emit(id, "task", `${id}~echo.0`, "echo", name, data);

interface Stream {
  readonly events: EventSourceMessage[];
  readonly raw: () => string;
  readonly ended: Promise<void>;
  until(count: number): Promise<void>;
  stop(): void;
}

async function open(id: string, headers: Record<string, string> = {}, query = ""): Promise<Stream> {
  const abort = new AbortController();
  const url = `${on.base}/v1/runs/${id}/events${query}`;
  const response = await fetch(url, { headers: { accept: "text/event-stream", ...headers }, signal: abort.signal });
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toContain("text/event-stream");
  const events: EventSourceMessage[] = [];
  const waiting: { count: number; resolve: () => void }[] = [];
  let raw = "";
  const parser = createParser({
    onEvent(event) {
      events.push(event);
      for (const w of waiting) if (events.length >= w.count) w.resolve();
    },
  });
  const ended = (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      const text = decoder.decode(chunk, { stream: true });
      raw += text;
      parser.feed(text);
    }
  })().catch(() => undefined);
  const until = (count: number) =>
    events.length >= count ? Promise.resolve() : new Promise<void>((resolve) => waiting.push({ count, resolve }));
  return { events, raw: () => raw, ended, until, stop: () => abort.abort() };
}

test("core events map to the contract's types, with stable ids and a trace", async () => {
  const id = newRun("succeeded");
  run(id, "started");
  run(id, "stage_started", { stage: "echo" });
  task(id, "created");
  task(id, "started", { attempt: 1, agent: "echo-n1" });
  task(id, "model_requested", { attempt: 1, model: "m" });
  task(id, "model_responded", { attempt: 1, promptTokens: 3 });
  task(id, "tool_called", { attempt: 1, tool: "search" });
  task(id, "tool_returned", { attempt: 1, tool: "search" });
  task(id, "attempt_failed", { attempt: 1, error: { code: "x", message: "y" }, retryInMs: 500 });
  task(id, "started", { attempt: 2 });
  task(id, "attempt_failed", { attempt: 2, error: { code: "x", message: "y" }, retryInMs: null });
  task(id, "failed", { attempt: 2, error: { code: "x", message: "y" } });
  run(id, "checkpoint_required", { checkpointId: "c" });
  run(id, "checkpoint_resolved", { checkpointId: "c" });
  run(id, "artifact_created", { artifactId: "a" });
  run(id, "failed", { error: { code: "timed_out", message: "too long" } });
  const { body } = await on.get(`/v1/runs/${id}/events`);
  expect(body.data.map((e: { type: string }) => e.type)).toEqual([
    "run.started",
    "step.started",
    "llm.request",
    "llm.response",
    "tool.called",
    "tool.result",
    "step.failed",
    "step.started",
    "step.failed",
    "hitl.required",
    "hitl.resolved",
    "artifact.created",
    "run.failed",
  ]);
  expect(body.next_cursor).toBeNull();
  const [started, step] = body.data;
  expect(started).toMatchObject({ run_id: id, payload: {}, trace: { parent_span_id: null } });
  expect(started.ts).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  expect(step).toMatchObject({ step_id: "echo.0", trace: { parent_span_id: started.trace.span_id } });
  expect(step.trace.span_id).toMatch(/^[0-9a-f]{16}$/);
  expect(body.data[4].tool_name).toBe("search");
  expect(body.data[6].payload).toMatchObject({ attempt: 1, will_retry: true });
  expect(body.data[8].payload).toMatchObject({ attempt: 2, will_retry: false });
  expect(body.data.at(-1).payload.error.code).toBe("timed_out");
  const again = await on.get(`/v1/runs/${id}/events`);
  expect(again.body).toEqual(body);
});

test("JSON pages go through mapped events only; event ids work as cursors", async () => {
  const id = newRun();
  run(id, "started");
  for (let i = 0; i < 20; i++) {
    task(id, "progressed");
    task(id, "started", { attempt: i });
  }
  const seen: string[] = [];
  let cursor: string | null = "";
  while (cursor !== null) {
    const { body }: { body: { data: { event_id: string }[]; next_cursor: string | null } } = await on.get(
      `/v1/runs/${id}/events?limit=6${cursor === "" ? "" : `&cursor=${cursor}`}`,
    );
    expect(body.data.length).toBeLessThanOrEqual(6);
    seen.push(...body.data.map((e) => e.event_id));
    cursor = body.next_cursor;
  }
  expect(seen.length).toBe(21);
  expect(new Set(seen).size).toBe(21);
  const rest = await on.get(`/v1/runs/${id}/events?cursor=${seen[18]}`);
  expect(rest.body.data.map((e: { event_id: string }) => e.event_id)).toEqual(seen.slice(19));
});

test("a stream tells history, then live events, and ends after the terminal one", async () => {
  const id = newRun();
  run(id, "started");
  const stream = await open(id);
  await stream.until(1);
  task(id, "started", { attempt: 1 });
  await stream.until(2);
  task(id, "progressed");
  task(id, "completed", { attempt: 1 });
  run(id, "completed", { output: 1 });
  await stream.ended;
  expect(stream.events.map((e) => e.event)).toEqual(["run.started", "step.started", "step.completed", "run.completed"]);
  expect(stream.raw()).not.toContain("\r");
  for (const event of stream.events) {
    const data = JSON.parse(event.data);
    expect(data.type).toBe(event.event);
    expect(data.event_id).toBe(event.id);
  }
  // Every block is exactly event, id, data.
  for (const block of stream
    .raw()
    .split("\n\n")
    .filter((b) => b !== "" && b !== ":")) {
    expect(block).toMatch(/^event: [a-z.]+\nid: \S+\ndata: \{.*\}$/);
  }
});

test("Last-Event-ID resumes right after that event, once and in order, at every place", async () => {
  const id = newRun("succeeded");
  run(id, "started");
  for (let i = 1; i <= 9; i++) task(id, "started", { attempt: i });
  run(id, "completed");
  const whole = await open(id);
  await whole.ended;
  expect(whole.events.length).toBe(11);
  for (let cut = 0; cut < whole.events.length; cut++) {
    const rest = await open(id, { "last-event-id": whole.events[cut]?.id as string });
    await rest.ended;
    expect(rest.events.map((e) => e.id)).toEqual(whole.events.slice(cut + 1).map((e) => e.id));
  }
});

test("live events that overtake history or go missing are neither lost nor doubled", async () => {
  const id = newRun();
  run(id, "started");
  const stream = await open(id);
  await stream.until(1);
  // The live feed loses events: they are only in history.
  const listeners = [...on.runtime.listeners];
  on.runtime.listeners.clear();
  for (let i = 1; i <= 5; i++) task(id, "started", { attempt: i });
  for (const l of listeners) on.runtime.listeners.add(l);
  // The feed repeats an old one.
  const old = on.runtime.events.find((e) => e.root === id);
  for (const l of listeners) if (old !== undefined) l.onEvent(old);
  task(id, "started", { attempt: 6 });
  run(id, "completed");
  await stream.ended;
  const attempts = stream.events.map((e) => JSON.parse(e.data).payload.attempt).filter((n) => n !== undefined);
  expect(attempts).toEqual([1, 2, 3, 4, 5, 6]);
});

test("a burst beyond the live buffer is read again from history", async () => {
  const id = newRun();
  const stream = await open(id);
  for (let i = 1; i <= 2_000; i++) task(id, "started", { attempt: i });
  run(id, "canceled");
  await stream.ended;
  const attempts = stream.events.slice(0, -1).map((e) => JSON.parse(e.data).payload.attempt);
  expect(attempts).toEqual(Array.from({ length: 2_000 }, (_, i) => i + 1));
  expect(stream.events.at(-1)?.event).toBe("run.canceled");
});

test("silence is filled with comments", async () => {
  const id = newRun();
  const stream = await open(id);
  while (stream.raw().length < 9) await new Promise((resolve) => setImmediate(resolve));
  expect(stream.raw()).toMatch(/^(:\n\n){3,}$/);
  stream.stop();
});

test("bad places to resume are 400, unknown runs 404, before any stream", async () => {
  const id = newRun();
  const accept = { accept: "text/event-stream" };
  const other = await on.get(`/v1/runs/${id}/events`, { ...accept, "last-event-id": "evt_1_run_other" });
  expect(other.status).toBe(400);
  expect(other.body.error.details.problems[0].path).toBe("Last-Event-ID");
  expect((await on.get(`/v1/runs/${id}/events?cursor=zzz`, accept)).status).toBe(400);
  expect((await on.get("/v1/runs/run_no/events", accept)).status).toBe(404);
});

test("a reader that takes nothing does not make the gateway read on, and is closed", async () => {
  const slow = await start({ limits: { stallMs: 300 } });
  const id = "run_slow";
  slow.runtime.put("run", id, runView({ status: "running" }));
  const big = "x".repeat(20_000);
  for (let i = 0; i < 3_000; i++) slow.runtime.emit(id, "task", `${id}~a`, "echo", "started", { attempt: i, big });
  let read = 0;
  const history = slow.runtime.history.bind(slow.runtime);
  slow.runtime.history = async (...args) => {
    const page = await history(...args);
    read += page.events.length;
    return page;
  };
  const socket = connect(Number(new URL(slow.base).port), "127.0.0.1");
  socket.on("error", () => undefined);
  const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
  socket.pause();
  socket.write(`GET /v1/runs/${id}/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n`);
  while (!slow.runtime.listeners.size) await new Promise((resolve) => setImmediate(resolve));
  await expect
    .poll(() => slow.logs.some((l) => l.message === "request" && l.fields.status === 499), { timeout: 10_000 })
    .toBe(true);
  expect(read).toBeLessThan(3_000);
  socket.resume();
  await closed;
  await slow.gateway.close(0);
});
