/** Workflows under /api/v1 over the real runtime: contract 001's stages begin at once, contract 004's steps when executed. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { type Started, startOver } from "../gateway/support/start.ts";

let real: Real;
let on: Started<Real["runtime"]>;
beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime);
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

const stages = (id: string) => ({
  id,
  project_id: "proj-456",
  name: "Say it twice",
  stages: [
    { name: "first", agent_type: "echo", dependencies: [], timeout: 120 },
    { name: "second part", agent_type: "echo", dependencies: ["first"], timeout: 180.5 },
  ],
  input_data: { say: "hello ${input} $${x} {{y}}" },
  configuration: { parallel_execution: false, failure_strategy: "stop_on_error" },
});

describe("contract 001", () => {
  test("a workflow with stages begins at its creation and shows what its client sent", async () => {
    const created = await on.send("POST", "/api/v1/workflows", stages("workflow-123"));
    expect(created.status).toBe(200);
    expect(created.body).toMatchObject({
      id: "workflow-123",
      workflow_id: "workflow-123",
      name: "Say it twice",
      project_id: "proj-456",
      configuration: { parallel_execution: false, failure_strategy: "stop_on_error" },
    });
    expect(created.body.stages.map((s: { name: string; timeout: number }) => [s.name, s.timeout])).toEqual([
      ["first", 120],
      ["second part", 180.5],
    ]);
    const done = await on.get("/api/v1/workflows/workflow-123?wait=10");
    expect(done.body).toMatchObject({ status: "completed", progress: 100, error: null });
    expect(done.body.output).toEqual({ say: "hello ${input} $${x} {{y}}" });
    expect(done.body.stages.map((s: { status: string }) => s.status)).toEqual(["completed", "completed"]);
  });

  test("the same again is the same workflow and no second run; another body is refused", async () => {
    const [one, two] = await Promise.all([
      on.send("POST", "/api/v1/workflows", stages("twice")),
      on.send("POST", "/api/v1/workflows", stages("twice")),
    ]);
    expect([one?.status, two?.status]).toEqual([200, 200]);
    const third = await on.send("POST", "/api/v1/workflows?wait=10", stages("twice"));
    expect(third.body.execution_id).toBe(one?.body.execution_id);
    expect(two?.body.execution_id).toBe(one?.body.execution_id);
    const other = await on.send("POST", "/api/v1/workflows", { ...stages("twice"), name: "Other" });
    expect([other.status, other.body.error.code]).toEqual([409, "ALREADY_EXISTS"]);
    const runs = await on.get("/v1/runs?workflow_name=twice");
    expect(runs.body.data).toHaveLength(1);
  });

  test("who waits for a workflow that fails is told WORKFLOW_FAILED, 500", async () => {
    const reply = await on.send("POST", "/api/v1/workflows?wait=10", {
      ...stages("fails"),
      stages: [{ name: "s", agent_type: "document-splitter", input_data: 5, retry_policy: { max_attempts: 1 } }],
    });
    expect([reply.status, reply.body.error?.code]).toEqual([500, "WORKFLOW_FAILED"]);
    expect(reply.body.error.details).toMatchObject({ workflow_id: "fails", status: "failed", failed_stages: ["s"] });
    expect(reply.body.detail).toBe(reply.body.error.message);
    const read = await on.get("/api/v1/workflows/fails");
    expect([read.status, read.body.status]).toEqual([200, "failed"]);
  });

  test("who waits for one that does not end in time is told TASK_TIMEOUT, 408", async () => {
    const body = { ...stages("slow"), stages: [{ name: "s", agent_type: "nobody_does_this" }] };
    const reply = await on.send("POST", "/api/v1/workflows?wait=0.2", body);
    expect([reply.status, reply.body.error.code]).toEqual([408, "TASK_TIMEOUT"]);
    expect(reply.body.error.details).toMatchObject({ workflow_id: "slow", status: "running" });
  });

  test.each([
    ["no stages", { name: "x" }],
    ["an unknown dependency", { ...stages("w1"), stages: [{ name: "a", agent_type: "echo", dependencies: ["b"] }] }],
    [
      "a cycle",
      {
        ...stages("w2"),
        stages: [
          { name: "a", agent_type: "echo", dependencies: ["b"] },
          { name: "b", agent_type: "echo", dependencies: ["a"] },
        ],
      },
    ],
    ["an id with a slash", { ...stages("a/b") }],
    ["a negative time-out", { ...stages("w3"), stages: [{ name: "a", agent_type: "echo", timeout: -1 }] }],
    ["no name", { ...stages("w4"), name: undefined }],
    ["stages of another type", { ...stages("w5"), stages: "all" }],
  ])("%s is 400 with both shapes, and nothing begins", async (_, body) => {
    const reply = await on.send("POST", "/api/v1/workflows", body);
    expect(reply.status).toBe(400);
    expect(reply.body.error.code).toBe("INVALID_INPUT");
    expect(reply.body.detail).toEqual(expect.any(String));
    if ("id" in body) expect((await on.get(`/api/v1/workflows/${encodeURIComponent(body.id)}`)).status).toBe(404);
  });
});

describe("contract 004", () => {
  const pipeline = {
    name: "Data Processing Pipeline",
    description: "End-to-end data processing workflow",
    steps: [
      { name: "data ingestion", type: "echo", parameters: { source: "database" } },
      { name: "data ingestion", type: "echo", parameters: { algorithm: "random_forest" } },
    ],
    metadata: { version: "1.0" },
  };

  test("a workflow with steps is created, and runs step by step when it is executed", async () => {
    const created = await on.send("POST", "/api/v1/workflows", pipeline);
    expect(created.status).toBe(200);
    expect(created.body).toMatchObject({
      name: pipeline.name,
      description: pipeline.description,
      status: "created",
      metadata: { version: "1.0" },
      execution_id: null,
    });
    const { id } = created.body;
    const executed = await on.send("POST", `/api/v1/workflows/${id}/execute?wait=10`, {
      workflow_id: id,
      parameters: { input_file: "data.csv" },
      metadata: { execution_id: "exec-123" },
    });
    expect(executed.status).toBe(200);
    expect(executed.body).toMatchObject({ workflow_id: id, status: "completed" });
    const first = {
      step: "data ingestion",
      parameters: { source: "database" },
      workflow_parameters: { input_file: "data.csv" },
      previous_output: {},
    };
    expect(executed.body.output).toEqual({
      step: "data ingestion",
      parameters: { algorithm: "random_forest" },
      workflow_parameters: { input_file: "data.csv" },
      previous_output: first,
    });
    const read = await on.get(`/api/v1/workflows/${id}`);
    expect(read.body).toMatchObject({ status: "completed", execution_id: executed.body.execution_id });
  });

  test("an unknown workflow is 404", async () => {
    const reply = await on.send("POST", "/api/v1/workflows/nothing/execute", { parameters: {} });
    expect([reply.status, reply.body.detail]).toEqual([404, expect.stringContaining("'nothing'")]);
  });

  test("an execution repeated with its Idempotency-Key is the same execution", async () => {
    const { id } = (await on.send("POST", "/api/v1/workflows", pipeline)).body;
    const key = { "idempotency-key": "k-1" };
    const one = await on.send("POST", `/api/v1/workflows/${id}/execute`, { parameters: { a: 1 } }, key);
    const two = await on.send("POST", `/api/v1/workflows/${id}/execute`, { parameters: { a: 1 } }, key);
    expect(two.body.execution_id).toBe(one.body.execution_id);
    const other = await on.send("POST", `/api/v1/workflows/${id}/execute`, { parameters: { a: 2 } }, key);
    expect([other.status, other.body.error.code]).toEqual([409, "IDEMPOTENCY_CONFLICT"]);
  });
});

test("a workflow of Troupe's own is seen under /api/v1 too", async () => {
  const definition = { name: "own", version: "2.0.0", stages: [{ name: "say", agent_type: "echo" }] };
  await on.send("PUT", "/v1/workflows/own", definition);
  const read = await on.get("/api/v1/workflows/own");
  expect(read.body).toMatchObject({ id: "own", name: "own", status: "created", stages: [{ name: "say" }] });
});
