/** Each published contract's errors look as that contract says, wherever they arise. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { code001 } from "../../src/gateway/error-shape.ts";
import { type ErrorCode, errorKinds } from "../../src/machines/errors.ts";
import { type Started, start } from "../gateway/support/start.ts";

let on: Started;
beforeAll(async () => {
  on = await start({ apiKeys: [{ name: "ops", key: "right", scopes: ["*"] }] });
});
afterAll(() => on.gateway.close(0));

const key = { "x-api-key": "right" };

test("an unknown path under /api/v1 carries both contracts' shapes", async () => {
  const reply = await on.get("/api/v1/nothing", { "x-correlation-id": "workflow-123" });
  expect(reply.status).toBe(404);
  expect(reply.body).toEqual({
    error: {
      code: "NOT_FOUND",
      message: "There is nothing at /api/v1/nothing. Check the id or path; it does not exist here.",
      details: {},
      correlation_id: "workflow-123",
      timestamp: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
    },
    detail: "There is nothing at /api/v1/nothing. Check the id or path; it does not exist here.",
  });
});

test("a wrong key under /api/v1 is AUTHENTICATION_FAILED, 401", async () => {
  const reply = await on.get("/api/v1/agents/a-1", { authorization: "Bearer wrong" });
  expect(reply.status).toBe(401);
  expect(reply.headers.get("www-authenticate")).toContain("Bearer");
  expect(reply.body.error.code).toBe("AUTHENTICATION_FAILED");
  expect(reply.body.detail).toBe(reply.body.error.message);
});

test("a wrong method and an unknown agent keep the shape", async () => {
  const method = await on.send("PUT", "/api/v1/agents/a-1", {}, key);
  expect([method.status, method.body.error.code]).toEqual([405, "METHOD_NOT_ALLOWED"]);
  const unknown = await on.get("/api/v1/agents/a-1", key);
  expect([unknown.status, unknown.body.error.code]).toEqual([404, "NOT_FOUND"]);
  expect(unknown.body.detail).toContain("'a-1'");
});

test("under /ninja-api an error is its detail alone", async () => {
  const reply = await on.get("/ninja-api/nothing");
  expect(reply.status).toBe(404);
  expect(reply.body).toEqual({ detail: expect.stringContaining("/ninja-api/nothing") });
});

test("elsewhere Troupe's own shape stays, also for paths that only look alike", async () => {
  for (const path of ["/v1/nothing", "/api/v11", "/api", "/ninja-apis"]) {
    expect((await on.get(path)).body.error.code).toBe("not_found");
  }
});

test("contract 001's codes have its statuses", () => {
  const statuses = Object.fromEntries(
    (Object.keys(errorKinds) as ErrorCode[]).map((code) => [code001(code), errorKinds[code].status]),
  );
  expect(statuses).toMatchObject({
    AGENT_UNAVAILABLE: 503,
    TASK_TIMEOUT: 408,
    INVALID_TEMPLATE: 400,
    WORKFLOW_FAILED: 500,
    AUTHENTICATION_FAILED: 401,
    RATE_LIMIT_EXCEEDED: 429,
    DEPENDENCY_NOT_MET: 412,
  });
});
