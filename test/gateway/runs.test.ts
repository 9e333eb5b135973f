/** Contract 002's runs over HTTP: create, idempotency, list, read, cancel. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Started, start } from "./support/start.ts";
import { runView } from "./support/views.ts";

let on: Started;
beforeAll(async () => {
  on = await start();
});
afterAll(() => on.gateway.close(100));

const body = { workflow: { name: "echo", version: "0.1.0" }, input: { hello: "world" } };

test("a run is created with status 201 in the contract's shape", async () => {
  const reply = await on.send("POST", "/v1/runs", { ...body, metadata: { a: 1 }, labels: { team: "x" } });
  expect(reply.status).toBe(201);
  const { run } = reply.body;
  expect(run).toMatchObject({
    workflow: { name: "echo", version: "0.1.0" },
    status: "queued",
    input: { hello: "world" },
    metadata: { a: 1 },
    labels: { team: "x" },
    error: null,
    cost: { total_tokens: 0, prompt_tokens: 0, completion_tokens: 0, total_usd: 0 },
    artifacts: [],
    checkpoints: [],
  });
  expect(run.run_id).toMatch(/^run_[0-9a-z]{26}$/);
  expect(run.trace_id).toMatch(/^[0-9a-f]{32}$/);
  expect(run.timing.created_at).toBe("2023-11-14T22:13:20.000Z");
  expect((await on.get(`/v1/runs/${run.run_id}`)).body).toEqual(run);
});

test("the same idempotency key and body give the same run, another body 409 with what differs", async () => {
  const key = { "idempotency-key": "k-1" };
  const first = await on.send("POST", "/v1/runs", body, key);
  const again = await on.send(
    "POST",
    "/v1/runs",
    `{"input":{"hello":"world"},"workflow":{"version":"0.1.0","name":"echo"}}`,
    key,
  );
  expect(again.status).toBe(201);
  expect(again.body.run.run_id).toBe(first.body.run.run_id);
  expect(again.headers.get("idempotency-replayed")).toBe("true");
  const other = await on.send("POST", "/v1/runs", { ...body, input: { hello: "you" } }, key);
  expect(other.status).toBe(409);
  expect(other.body.error).toMatchObject({ code: "idempotency_conflict", details: { differs: ["input"] } });
});

test("a key from another operation or an unusable key is told apart", async () => {
  const bad = await on.send("POST", "/v1/runs", body, { "idempotency-key": "x".repeat(300) });
  expect(bad.status).toBe(400);
  expect(bad.body.error.details.problems[0].path).toBe("Idempotency-Key");
});

test("the input is checked against the workflow's schema, with places", async () => {
  on.runtime.putWorkflow({
    name: "strict",
    version: "1.0.0",
    input_schema: {
      type: "object",
      required: ["text"],
      properties: { text: { type: "string" } },
      additionalProperties: false,
    },
    stages: [{ name: "a", agent_type: "echo" }],
  });
  const missing = await on.send("POST", "/v1/runs", { workflow: { name: "strict" }, input: {} });
  expect(missing.status).toBe(400);
  expect(missing.body.error.details.problems).toEqual([
    { path: "input.text", message: expect.stringContaining("required") },
  ]);
  const extra = await on.send("POST", "/v1/runs", { workflow: { name: "strict" }, input: { text: "a", more: 1 } });
  expect(extra.body.error.details.problems[0].path).toBe("input.more");
  const fine = await on.send("POST", "/v1/runs", { workflow: { name: "strict" }, input: { text: "a" } });
  expect(fine.status).toBe(201);
});

test("a repeated key answers with the first run though the workflow has become stricter", async () => {
  const definition = { name: "grows", version: "1.0.0", stages: [{ name: "a", agent_type: "echo" }] };
  on.runtime.putWorkflow(definition);
  const request = { workflow: { name: "grows" }, input: 5 };
  const first = await on.send("POST", "/v1/runs", request, { "idempotency-key": "grow" });
  on.runtime.putWorkflow({ ...definition, version: "2.0.0", input_schema: { type: "string" } });
  const again = await on.send("POST", "/v1/runs", request, { "idempotency-key": "grow" });
  expect(again.body.run?.run_id).toBe(first.body.run.run_id);
  expect((await on.send("POST", "/v1/runs", request)).status).toBe(400);
});

test("an unknown workflow or version is 404", async () => {
  expect((await on.send("POST", "/v1/runs", { workflow: { name: "nope" }, input: 1 })).status).toBe(404);
  const version = await on.send("POST", "/v1/runs", { workflow: { name: "echo", version: "9.9.9" }, input: 1 });
  expect(version.status).toBe(404);
  expect(version.body.error.message).toContain("9.9.9");
});

test("an input over 64 KiB goes to the blob store and comes back whole", async () => {
  const text = "x".repeat(300_000);
  const reply = await on.send("POST", "/v1/runs", { ...body, input: { text } });
  expect(reply.body.run.input.text.length).toBe(text.length);
  const stored = on.runtime.views.get(`run/${reply.body.run.run_id}`);
  expect(JSON.stringify(stored).length).toBeLessThan(10_000);
  const listed = (await on.get("/v1/runs?limit=1")).body.data[0];
  expect(listed.input).toMatchObject({ truncated: true });
});

test("lists come in pages with opaque cursors, filtered", async () => {
  for (let i = 0; i < 5; i++) on.runtime.put("run", `run_list${i}`, runView({ status: "failed" }));
  const seen: string[] = [];
  let cursor: string | null = "";
  for (let pages = 0; cursor !== null && pages < 10; pages++) {
    const at: string = cursor === "" ? "" : `&cursor=${cursor}`;
    const page = await on.get(`/v1/runs?limit=2&status=failed${at}`);
    expect(page.status).toBe(200);
    seen.push(...page.body.data.map((r: { run_id: string }) => r.run_id));
    cursor = page.body.next_cursor;
    if (cursor !== null) expect(cursor).toMatch(/^[A-Za-z0-9_-]+$/);
  }
  expect(seen).toEqual([4, 3, 2, 1, 0].map((i) => `run_list${i}`));
});

test.each([
  ["limit=0", "limit"],
  ["limit=201", "limit"],
  ["limit=x", "limit"],
  ["limit=1&limit=2", "limit"],
  ["status=done", "status"],
  ["cursor=%21", "cursor"],
  ["cursor=WyJhcnRpZmFjdHMiLCIxIl0", "cursor"],
  ["colour=red", "colour"],
])("a bad query %s is 400 and names it", async (query, field) => {
  const reply = await on.get(`/v1/runs?${query}`);
  expect(reply.status).toBe(400);
  expect(reply.body.error.details.problems[0].path).toBe(field);
});

test("cancel asks the run and answers 202 with it", async () => {
  const { run } = (await on.send("POST", "/v1/runs", body)).body;
  const reply = await on.send("DELETE", `/v1/runs/${run.run_id}`);
  expect(reply.status).toBe(202);
  expect(reply.body.run_id).toBe(run.run_id);
  expect(on.runtime.asked.at(-1)?.command.type).toBe("run.cancel");
});

test.each(["/v1/runs/run_nope", "/v1/runs/a~b", "/v1/runs/%00", `/v1/runs/${"x".repeat(201)}`])(
  "%s is 404 or 400",
  async (path) => {
    const reply = await on.get(path);
    expect([400, 404]).toContain(reply.status);
    expect(reply.body.error.correlation_id).toBeTruthy();
  },
);
