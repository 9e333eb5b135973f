/** The gateway over the real runtime, machines and agents: a document from submission to report. */
import { createHash } from "node:crypto";
import { createParser, type EventSourceMessage } from "eventsource-parser";
import { afterAll, beforeAll, expect, test } from "vitest";
import { run as runSchema } from "../../src/gateway/dialects/002/schema.ts";
import { type Real, startReal, workflows } from "./support/real-runtime.ts";
import { Client } from "./support/socket.ts";
import { type Started, startOver } from "./support/start.ts";

let real: Real;
let on: Started<Real["runtime"]>;
beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime);
  for (const definition of workflows) {
    const reply = await on.send("PUT", `/v1/workflows/${definition.name}`, definition);
    expect([reply.status, reply.text]).toEqual([200, expect.any(String)]);
  }
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

async function follow(
  runId: string,
  lastEventId?: string,
): Promise<{ events: EventSourceMessage[]; ended: Promise<void>; stop(): void }> {
  const abort = new AbortController();
  const headers = { accept: "text/event-stream", ...(lastEventId !== undefined && { "last-event-id": lastEventId }) };
  const response = await fetch(`${on.base}/v1/runs/${runId}/events`, { headers, signal: abort.signal });
  expect(response.status).toBe(200);
  const events: EventSourceMessage[] = [];
  const parser = createParser({ onEvent: (event) => void events.push(event) });
  const decoder = new TextDecoder();
  const ended = (async () => {
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>)
      parser.feed(decoder.decode(chunk, { stream: true }));
  })().catch(() => undefined);
  return { events, ended, stop: () => abort.abort() };
}

async function reach(runId: string, status: string) {
  await expect
    .poll(async () => (await on.get(`/v1/runs/${runId}`)).body.status, { timeout: 20_000, interval: 20 })
    .toBe(status);
  return (await on.get(`/v1/runs/${runId}`)).body;
}

const text = Array.from(
  { length: 40 },
  (_, i) => `# Part ${i}\n\nThe ${i}th part says a thing. It says another thing. See https://example.org/${i}.\n`,
).join("\n");

test("echo: created, idempotent, followed to its end, resumable at every event", async () => {
  const body = {
    workflow: { name: "echo", version: "0.1.0" },
    input: { hello: "world" },
    metadata: { a: 1 },
    labels: { l: "x" },
  };
  const created = await on.send("POST", "/v1/runs", body, { "idempotency-key": "e1" });
  expect([created.status, created.text]).toEqual([201, expect.any(String)]);
  const { run_id: id } = created.body.run;
  const stream = await follow(id);
  await stream.ended;
  expect(stream.events.map((e) => e.event)).toEqual(["run.started", "step.started", "step.completed", "run.completed"]);
  const run = await reach(id, "succeeded");
  expect(runSchema.safeParse(run).error).toBeUndefined();
  expect(run).toMatchObject({
    input: { hello: "world" },
    output: { hello: "world" },
    error: null,
    metadata: { a: 1 },
    labels: { l: "x" },
  });
  expect(run.timing.wall_ms).toBeGreaterThanOrEqual(0);
  for (const [i, event] of stream.events.entries()) {
    const rest = await follow(id, event.id as string);
    await rest.ended;
    expect(rest.events.map((e) => e.id)).toEqual(stream.events.slice(i + 1).map((e) => e.id));
  }
  const again = await on.send("POST", "/v1/runs", body, { "idempotency-key": "e1" });
  expect([again.status, again.body.run.run_id]).toEqual([201, id]);
  const other = await on.send("POST", "/v1/runs", { ...body, input: 1, labels: {} }, { "idempotency-key": "e1" });
  expect(other.status).toBe(409);
  expect(other.body.error.code).toBe("idempotency_conflict");
  expect(other.body.error.details.differs.sort()).toEqual(["input", "labels"]);
  const cancelled = await on.send("DELETE", `/v1/runs/${id}`);
  expect([cancelled.status, cancelled.body.error.code]).toEqual([409, "conflict"]);
});

test("document-brief: events live, checkpoint approved, report downloaded", async () => {
  const created = await on.send("POST", "/v1/runs", {
    workflow: { name: "document-brief" },
    input: { title: "T", text },
  });
  expect([created.status, created.text]).toEqual([201, expect.any(String)]);
  const { run_id: id } = created.body.run;
  const stream = await follow(id);
  const waiting = await reach(id, "waiting_human");
  expect(runSchema.safeParse(waiting).error).toBeUndefined();
  const [checkpoint] = waiting.checkpoints;
  expect(checkpoint).toMatchObject({ run_id: id, status: "required", decision: null });
  const at = `/v1/runs/${id}/human/${checkpoint.checkpoint_id}`;
  expect((await on.send("POST", `${at}/provide_input`, { input: { nonsense: [1] } })).status).toBe(400);
  const approved = await on.send("POST", `${at}/approve`, { note: "good" });
  expect(approved.status).toBe(200);
  expect(approved.body).toMatchObject({ status: "approved", decision: { approved: true, note: "good" } });
  expect((await on.send("POST", `${at}/approve`)).status).toBe(409);
  await stream.ended;
  const run = await reach(id, "succeeded");
  expect(runSchema.safeParse(run).error).toBeUndefined();
  const types = new Set(stream.events.map((e) => e.event));
  for (const type of ["hitl.required", "hitl.resolved", "artifact.created", "step.completed", "run.completed"])
    expect(types).toContain(type);
  const pages: { event_id: string }[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page = await on.get(`/v1/runs/${id}/events?limit=7${cursor === "" ? "" : `&cursor=${cursor}`}`);
    pages.push(...page.body.data);
    cursor = page.body.next_cursor;
  }
  expect(pages.map((e) => e.event_id)).toEqual(stream.events.map((e) => e.id));
  const file = run.artifacts.find((a: { type: string }) => a.type === "file");
  const artifact = (await on.get(`/v1/artifacts/${encodeURIComponent(file.artifact_id)}`)).body;
  const download = await fetch(artifact.file.download_url);
  const bytes = Buffer.from(await download.arrayBuffer());
  expect(bytes.length).toBe(artifact.file.size_bytes);
  expect(createHash("sha256").update(bytes).digest("hex")).toBe(artifact.file.sha256);
  expect(bytes.toString()).toContain("#");
  const progress = (await on.get(`/v1/runs/${id}/stages`)).body;
  expect(run).toMatchObject(progress);
  expect(
    Object.keys(run)
      .filter((field) => !(field in progress))
      .sort(),
  ).toEqual(["context", "input", "labels", "metadata", "output"]);
  expect((await on.get("/v1/runs/run_none/stages")).status).toBe(404);
  const record = run.artifacts.find((a: { type: string }) => a.type === "record");
  expect((await on.get(`/v1/artifacts/${encodeURIComponent(record.artifact_id)}`)).body.data).toBeTypeOf("object");
});

test("a run is cancelled, and a second time too", async () => {
  const created = await on.send("POST", "/v1/runs", { workflow: { name: "document-brief" }, input: { text } });
  const { run_id: id } = created.body.run;
  await reach(id, "waiting_human");
  expect((await on.send("DELETE", `/v1/runs/${id}`)).status).toBe(202);
  await reach(id, "canceled");
  expect((await on.send("DELETE", `/v1/runs/${id}`)).status).toBe(202);
  const events = (await on.get(`/v1/runs/${id}/events?limit=200`)).body.data;
  expect(events.at(-1).type).toBe("run.canceled");
});

test("a 20 MiB input works", async () => {
  const input = { text: "x ".repeat(10 * 1024 * 1024), list: [1, 2, 3] };
  const created = await on.send("POST", "/v1/runs", { workflow: { name: "echo" }, input });
  expect(created.status).toBe(201);
  const run = await reach(created.body.run.run_id, "succeeded");
  expect(run.output.text.length).toBe(input.text.length);
  const [listed] = (await on.get("/v1/runs?limit=1")).body.data;
  expect(listed.input.text).toMatchObject({ truncated: true });
});

test("a run whose output does not fit its workflow's output_schema fails, whatever its size", async () => {
  const output_schema = { type: "object", required: ["n"], properties: { n: { type: "integer" }, pad: {} } };
  const definition = {
    name: "counted",
    version: "1.0.0",
    output_schema,
    stages: [{ name: "say", agent_type: "echo" }],
  };
  expect((await on.send("PUT", "/v1/workflows/counted", definition)).status).toBe(200);
  const started = async (input: unknown) =>
    (await on.send("POST", "/v1/runs", { workflow: { name: "counted" }, input })).body.run.run_id;
  const pad = "x".repeat(200_000);
  for (const more of [{}, { pad }]) {
    expect((await reach(await started({ n: 1, ...more }), "succeeded")).output).toEqual({ n: 1, ...more });
    const id = await started({ n: "1", ...more });
    expect(await reach(id, "failed")).toMatchObject({
      output: null,
      error: { code: "invalid_output", details: { problems: [{ path: "output.n", message: "must be integer" }] } },
    });
    const last = (await on.get(`/v1/runs/${id}/events?limit=200`)).body.data.at(-1);
    expect(last).toMatchObject({ type: "run.failed", payload: { error: { code: "invalid_output" } } });
  }
});

test("lists: runs by status and workflow, tasks of a run, workflows by tag", async () => {
  const runs = await on.get("/v1/runs?workflow_name=echo&status=succeeded&limit=1");
  expect(runs.body.data).toHaveLength(1);
  expect(runs.body.next_cursor).toMatch(/^[\w-]+$/);
  const next = await on.get(`/v1/runs?workflow_name=echo&status=succeeded&limit=1&cursor=${runs.body.next_cursor}`);
  expect(next.body.data[0].run_id).not.toBe(runs.body.data[0].run_id);
  const tasks = await on.get(`/v1/tasks?run_id=${next.body.data[0].run_id}`);
  expect(tasks.body.data).toHaveLength(1);
  expect(tasks.body.data[0]).toMatchObject({ task_type: "echo", status: "completed" });
  const task = await on.get(`/v1/tasks/${encodeURIComponent(tasks.body.data[0].task_id)}`);
  expect(task.body.task_id).toBe(tasks.body.data[0].task_id);
  const all = (await on.get("/v1/workflows")).body.data;
  const known = [...workflows.map((w) => w.name), "counted"];
  expect(all.map((w: { name: string }) => w.name).sort()).toEqual(known.sort());
  const tagged = all.find((w: { tags: string[] }) => w.tags.length > 0);
  if (tagged !== undefined)
    expect((await on.get(`/v1/workflows?tag=${tagged.tags[0]}`)).body.data.length).toBeGreaterThan(0);
  expect((await on.get("/v1/runs?cursor=abc")).status).toBe(400);
});

test("a task of its own", async () => {
  const body = { task_type: "echo", input: { a: 1 }, title: "t", metadata: { m: 1 } };
  const created = await on.send("POST", "/v1/tasks", body, { "idempotency-key": "t" });
  expect([created.status, created.text]).toEqual([201, expect.any(String)]);
  const { task_id: id } = created.body.task;
  await expect.poll(async () => (await on.get(`/v1/tasks/${id}`)).body.status, { timeout: 5_000 }).toBe("completed");
  const task = (await on.get(`/v1/tasks/${id}`)).body;
  expect(task).toMatchObject({ output: { a: 1 }, title: "t", attempts: [{ attempt: 1, result: "completed" }] });
  const again = await on.send("POST", "/v1/tasks", body, { "idempotency-key": "t" });
  expect([again.status, again.body.task.task_id]).toEqual([201, id]);
  const other = await on.send("POST", "/v1/tasks", { ...body, input: 2 }, { "idempotency-key": "t" });
  expect([other.status, other.body.error.code]).toEqual([409, "idempotency_conflict"]);
});

test("WebSocket: live events of a run requested over it, replayed from the first cursor", async () => {
  const client = await Client.open(on.base, ["msgpack"]);
  const { cursor } = await client.call({ type: "subscribe", id: "all", pattern: "event.*.run.>" });
  const made = await client.call({
    type: "request",
    id: "r",
    operation: "runs.create",
    input: { workflow: { name: "echo" }, input: 1 },
  });
  const root = made.result.run.run_id;
  await client.next((m) => m.type === "event" && m.event.root === root && m.event.name === "completed");
  const live = client.events("all").filter((m) => m.event.root === root);
  const again = await Client.open(on.base);
  again.send({ type: "subscribe", id: "all", pattern: "event.*.run.>", since: cursor });
  await again.next((m) => m.type === "event" && m.event.root === root && m.event.name === "completed");
  expect(
    again
      .events("all")
      .filter((m) => m.event.root === root)
      .map((m) => m.event),
  ).toEqual(live.map((m) => m.event));
  client.close();
  again.close();
});

test("nothing was logged as a problem", () => {
  expect(on.logs.filter((l) => l.level === "error" || l.level === "warn")).toEqual([]);
});
