/**
 * Every code of the contracts' tables, provoked as a client could, with the status and the body of its contract; and
 * every code of Troupe's own catalogue. A code without a case fails.
 */
import { SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { code001 } from "../../src/gateway/error-shape.ts";
import { type ErrorCode, errorKinds, TroupeError } from "../../src/machines/errors.ts";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { Client, type Message } from "../gateway/support/socket.ts";
import { type Reply, type Started, start, startOver } from "../gateway/support/start.ts";
import { Examples } from "./examples.ts";

const secret = "a shared secret of at least thirty-two bytes";
const key = { "x-api-key": "right" };
let real: Real;
let on: Started<Real["runtime"]>;
/** Over a runtime that does as it is told: for faults that a real one has only when something breaks. */
let broken: Started;

beforeAll(async () => {
  const apiKeys = [
    { name: "ops", key: "right", scopes: ["*"] },
    { name: "reader", key: "reads", scopes: ["tasks:read"] },
  ];
  real = await startReal();
  on = await startOver(real.runtime, {
    apiKeys,
    auth: { jwt: { secret, scopes: ["*"] } },
    limits: { bodyBytesMax: 65_536 },
  });
  broken = await start();
  await post("/api/v1/tasks", { id: "waiting", type: "nobody_does_this" });
  await post("/api/v1/tasks", { id: "second", type: "nobody_does_this", dependencies: ["waiting"] });
  await on.send("PUT", "/api/v1/templates/known", { type: "object", required: ["entities"] }, key);
  const definition = { name: "once", version: "1.0.0", stages: [{ name: "a", agent_type: "echo" }] };
  await on.send("PUT", "/v1/workflows/once", definition, key);
}, 120_000);
afterAll(async () => {
  await broken.gateway.close(0);
  await on.gateway.close(100);
  await real.stop();
});

const post = (path: string, body: unknown, headers: Record<string, string> = key): Promise<Reply> =>
  on.send("POST", path, body, headers);
const get = (path: string, headers: Record<string, string> = key): Promise<Reply> => on.get(path, headers);

/** A credential that is allowed one request a minute, after that one. */
async function spent(): Promise<Record<string, string>> {
  const token = await new SignJWT({ rate_limit: 1 })
    .setProtectedHeader({ alg: "HS256" })
    .setSubject(`spent-${Math.random()}`)
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret));
  const headers = { authorization: `Bearer ${token}` };
  expect((await get("/v1/tasks", headers)).status).toBe(200);
  return headers;
}

/** A workflow of 001 whose only stage fails, waited for. */
async function failingWorkflow(): Promise<Reply> {
  const id = `failing-${Math.random().toString(36).slice(2)}`;
  await post("/api/v1/agents/register", { id: "fails", type: "failing" });
  const stages = [{ name: "only", agent_type: "failing" }];
  const waits = post("/api/v1/workflows?wait=30", { id, name: "F", stages });
  const { task } = (await get("/api/v1/agents/fails/tasks/next?wait=30")).body;
  const error = { message: "no disk", retryable: false };
  const path = `/api/v1/tasks/${encodeURIComponent(task.id)}`;
  expect((await on.send("PATCH", path, { status: "failed", error }, key)).status).toBe(200);
  return waits;
}

const asked = { type: "generate", target: "nobody-there", correlation_id: "workflow-123", data: {} };
const cases001: Readonly<Record<string, () => Promise<Reply>>> = {
  AGENT_UNAVAILABLE: () => post("/api/v1/requests", { request: asked }),
  TASK_TIMEOUT: () => post("/api/v1/tasks?wait=0.2", { type: "nobody_does_this" }),
  INVALID_TEMPLATE: () => post("/api/v1/tasks", { type: "x", input_data: { template_id: "known", parameters: {} } }),
  WORKFLOW_FAILED: failingWorkflow,
  AUTHENTICATION_FAILED: () => post("/api/v1/tasks", { type: "x" }, { authorization: "Bearer wrong" }),
  RATE_LIMIT_EXCEEDED: async () => get("/api/v1/tasks", await spent()),
  DEPENDENCY_NOT_MET: () => on.send("PATCH", "/api/v1/tasks/second", { status: "in_progress" }, key),
};
const table001: Readonly<Record<string, number>> = new Examples("001").json("Error Codes").error_codes;

describe("contract 001", () => {
  test("each code of its table has a case", () => {
    expect(Object.keys(cases001)).toEqual(Object.keys(table001));
  });

  test.each(Object.keys(table001))("%s has its status and both shapes", { timeout: 60_000 }, async (code) => {
    const reply = await (cases001[code] as () => Promise<Reply>)();
    expect([code, reply.status]).toEqual([code, table001[code]]);
    expect(Object.keys(reply.body)).toEqual(["error", "detail"]);
    expect(reply.body.error).toEqual({
      code,
      message: reply.body.detail,
      details: expect.any(Object),
      correlation_id: expect.stringMatching(/./),
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    });
    if (code === "RATE_LIMIT_EXCEEDED") {
      expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
      expect(reply.headers.get("x-ratelimit-remaining")).toBe("0");
    }
  });

  test("a task whose own time-out runs out answers who waits with TASK_TIMEOUT", { timeout: 60_000 }, async () => {
    await post("/api/v1/agents/register", { id: "slow", type: "slow_work" });
    const retry_policy = { max_attempts: 1 };
    const waits = post("/api/v1/tasks?wait=30", { id: "slow-1", type: "slow_work", timeout: 0.2, retry_policy });
    await get("/api/v1/agents/slow/tasks/next?wait=30");
    await on.send("PATCH", "/api/v1/tasks/slow-1", { status: "in_progress" }, key);
    const reply = await waits;
    expect([reply.status, reply.body.error.code, reply.body.error.details.status]).toEqual([
      408,
      "TASK_TIMEOUT",
      "failed",
    ]);
  });

  test("on its socket the same codes, beside the id of what they answer", async () => {
    const client = await Client.at(on.base, "/ws?api_key=right");
    const say = async (message: object): Promise<Message> =>
      (await client.after((m) => m.ack || m.error, message)).error;
    expect(await say({ request: { ...asked, id: "req-1" } })).toMatchObject({ id: "req-1", code: "AGENT_UNAVAILABLE" });
    const early = { task_id: "second", agent_id: "slow", status: "in_progress" };
    expect(await say({ report: { id: 7, ...early } })).toMatchObject({ id: 7, code: "DEPENDENCY_NOT_MET" });
    expect(await say({ report: { task_id: "none", status: "completed" } })).toMatchObject({ code: "NOT_FOUND" });
    const late = { ...asked, target: "slow", id: "req-2", timeout: 0.2 };
    const timedOut = client.next((m) => m.error?.id === "req-2");
    await client.after((m) => m.ack, { request: late });
    expect((await timedOut).error.code).toBe("TASK_TIMEOUT");
    client.close();
    await expect(Client.at(on.base, "/ws?api_key=wrong")).rejects.toThrow("401");
  });
});

const about = { task_id: "550e8400-e29b-41d4-a716-446655440000" };
const execute = "/ninja-api/grpc/execute_task";

describe("contract 000", () => {
  test.each<[number, () => Promise<Reply>]>([
    [400, () => post("/ninja-api/grpc/get_task_status", { task_id: "" })],
    [401, () => post(execute, { prompt: "x" }, {})],
    [403, () => post(execute, { prompt: "x" }, { "x-api-key": "reads" })],
    [404, () => post("/ninja-api/grpc/cancel_task", about)],
    [405, () => get(execute)],
    [409, () => post(execute, { prompt: "y" }, { ...key, "idempotency-key": "used" })],
    [413, () => post(execute, { prompt: "x".repeat(100_000) })],
    [415, () => post(execute, '{"prompt":"x"}', { ...key, "content-type": "text/plain" })],
    [429, async () => post(execute, { prompt: "x" }, await spent())],
    [500, () => failing("internal", () => broken.send("POST", execute, { prompt: "x" }))],
    [503, () => failing("unavailable", () => broken.send("POST", execute, { prompt: "x" }))],
  ])("%i is a detail and nothing else", async (status, provoke) => {
    await post(execute, { prompt: "x" }, { ...key, "idempotency-key": "used" });
    const reply = await provoke();
    expect([reply.status, Object.keys(reply.body)]).toEqual([status, ["detail"]]);
    expect(reply.body.detail).toMatch(/^[^\n]+$/);
    expect(reply.body.detail).not.toMatch(/secret words|\.ts|node_modules/);
  });
});

describe("contract 004", () => {
  test.each<[number, () => Promise<Reply>]>([
    [400, () => post("/api/v1/agents", { name: 5 })],
    [400, () => get("/api/v1/tasks?priority_filter=11")],
    [401, () => get("/api/v1/agents", {})],
    [403, () => post("/api/v1/agents", { name: "x" }, { "x-api-key": "reads" })],
    [404, () => get("/api/v1/agents/none")],
    [404, () => on.send("DELETE", "/api/v1/agents/none", undefined, key)],
    [404, () => get("/api/v1/tasks/none")],
    [404, () => post("/api/v1/workflows/none/execute", {})],
    [404, () => get("/api/v1/metrics/performance?agent_id=none")],
    [405, () => on.send("PUT", "/api/v1/resources", {}, key)],
    [413, () => post("/api/v1/conflicts", { conflict_type: "x", description: "x".repeat(100_000) })],
  ])("%i has a detail", async (status, provoke) => {
    const reply = await provoke();
    expect([reply.status, reply.body.detail]).toEqual([status, expect.stringMatching(/./)]);
  });
});

/** What the client sees when the runtime fails so. */
async function failing(code: ErrorCode | "internal", act: () => Promise<Reply>): Promise<Reply> {
  broken.runtime.onAsk = () => {
    if (code === "internal") throw new Error("secret words of the inside");
    throw new TroupeError(code, "It cannot be done now");
  };
  try {
    return await act();
  } finally {
    broken.runtime.onAsk = undefined;
  }
}

const run = { workflow: { name: "echo" }, input: 1 };
const brokenRun = (code: ErrorCode) => failing(code, () => broken.send("POST", "/v1/runs", run));
/** One of `/v1/ws`, as a reply. */
async function overSocket(
  messages: readonly object[],
  where: Pick<Started, "base"> = on,
): Promise<Pick<Reply, "status" | "body">> {
  const client = await Client.open(where.base, [], { headers: key });
  for (const message of messages) client.send(message);
  const error = await client.next((m) => m.type === "error");
  client.close();
  return { status: errorKinds[error.error.code as ErrorCode].status, body: error };
}

const download = { artifact_id: "a", expires: "1", signature: "b" };
const own: Readonly<Record<ErrorCode, () => Promise<Pick<Reply, "status" | "body">>>> = {
  invalid_input: () => post("/v1/runs", {}),
  invalid_template: () => post("/v1/tasks", { task_type: "x", input: { template_id: "none", parameters: {} } }),
  unauthenticated: () => get("/v1/runs", {}),
  forbidden: () => get("/v1/runs", { "x-api-key": "reads" }),
  not_found: () => get("/v1/runs/none"),
  method_not_allowed: () => on.send("PATCH", "/v1/runs", {}, key),
  not_acceptable: () => overSocket([{ type: "request", id: "a", operation: "artifacts.download", input: download }]),
  task_timed_out: cases001.TASK_TIMEOUT as () => Promise<Reply>,
  async conflict() {
    const { task } = (await post("/v1/tasks", { task_type: "nobody_does_this", input: 1 })).body;
    await on.send("DELETE", `/v1/tasks/${task.task_id}`, undefined, key);
    return on.send("PATCH", `/v1/tasks/${task.task_id}`, { status: "completed", agent_id: "slow" }, key);
  },
  async idempotency_conflict() {
    const headers = { ...key, "idempotency-key": "once" };
    await post("/v1/tasks", { task_type: "nobody_does_this", input: 1 }, headers);
    return post("/v1/tasks", { task_type: "nobody_does_this", input: 2 }, headers);
  },
  in_progress: () => {
    const input = { target: "slow", request_type: "x", data: 1, timeout_ms: 3_000 };
    const same = { type: "request", operation: "requests.create", input, idempotency_key: "under-way" };
    return overSocket([
      { ...same, id: "first", timeout_ms: 10_000 },
      { ...same, id: "second", timeout_ms: 200 },
    ]);
  },
  already_exists: () =>
    on.send(
      "PUT",
      "/v1/workflows/once",
      { name: "once", version: "1.0.0", stages: [{ name: "b", agent_type: "x" }] },
      key,
    ),
  cursor_expired: () => {
    broken.runtime.oldest = 5;
    return overSocket([{ type: "subscribe", id: "s", pattern: ">", since: "c1" }], broken);
  },
  precondition_failed: () => on.send("PATCH", "/v1/tasks/second", { status: "running", agent_id: "slow" }, key),
  too_large: () => post("/v1/runs", { ...run, input: "x".repeat(100_000) }),
  unsupported_type: () => post("/v1/runs", JSON.stringify(run), { ...key, "content-type": "text/plain" }),
  rate_limited: async () => get("/v1/runs", await spent()),
  workflow_failed: failingWorkflow,
  internal: () => brokenRun("internal"),
  agent_unavailable: () => post("/v1/requests", { target: "nobody-there", request_type: "x", data: 1 }),
  unavailable: () => brokenRun("unavailable"),
  overloaded: () =>
    overSocket(
      Array.from({ length: 70 }, (_, i) => ({
        type: "request",
        id: i,
        operation: "agents.next",
        input: { agent_id: "slow", wait: 2 },
      })),
    ),
  moved: () => brokenRun("moved"),
  storage_full: () => brokenRun("storage_full"),
  timed_out: () => post("/v1/requests", { target: "slow", request_type: "x", data: 1, timeout_ms: 100 }),
};

describe("Troupe's own catalogue", () => {
  test.each(Object.keys(errorKinds) as ErrorCode[])("%s is provoked", { timeout: 60_000 }, async (code) => {
    const reply = await own[code]();
    const { error } = reply.body;
    // Those that only contracts under /api/v1 have come in their words.
    expect([code, code001(code)]).toContain(error.code);
    expect(reply.status).toBe(errorKinds[code].status);
    expect(JSON.stringify(reply.body)).not.toMatch(/secret words|node_modules/);
  });
});
