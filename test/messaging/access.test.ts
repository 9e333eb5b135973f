/** Who may see and do what: credentials with narrow scopes over the real runtime. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { address } from "../../src/machines/address.ts";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { type Started, startOver } from "../gateway/support/start.ts";

const scopes = [
  "requests:*",
  "publications:write",
  "subscriptions:*",
  "conflicts:read",
  "conflicts:write",
  "callbacks:read",
];
let real: Real;
let on: Started<Real["runtime"]>;
beforeAll(async () => {
  real = await startReal();
  const key = (name: string, own: readonly string[]) => ({ name, key: `secret-of-${name}`, scopes: [...own] });
  on = await startOver(real.runtime, { apiKeys: [key("ann", scopes), key("bob", scopes), key("root", ["*"])] });
  const register = { type: "agent.register", agentType: "coder", name: "x", capabilities: [], concurrency: 1 };
  await real.runtime.ask(address("agent", "worker"), register);
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

const as = (name: string) => ({ "x-api-key": `secret-of-${name}` });
const post = (name: string, path: string, body: unknown) => on.send("POST", path, body, as(name));

test("a request is seen by who made it and by operators; others do not know that it is there", async () => {
  const body = { target: "worker", request_type: "t", data: 1, wait: false };
  const made = await post("ann", "/v1/requests", body);
  expect([made.status, made.body.source]).toEqual([200, "ann"]);
  const path = `/v1/requests/${made.body.request_id}`;
  expect((await on.get(path, as("ann"))).status).toBe(200);
  expect((await on.get(path, as("root"))).status).toBe(200);
  expect((await on.get(path, as("bob"))).status).toBe(404);
  expect((await on.send("DELETE", path, undefined, as("bob"))).status).toBe(404);
  expect((await post("bob", `${path}/response`, { data: 1 })).status).toBe(404);
  expect((await post("ann", `${path}/response`, { data: 1 })).status).toBe(403);
  expect((await on.get("/v1/agents/worker/requests", as("ann"))).status).toBe(403);
  expect((await on.get("/v1/requests", as("ann"))).status).toBe(403);
  expect((await on.get("/v1/requests?source=ann", as("bob"))).status).toBe(403);
  expect((await post("bob", "/v1/requests", { ...body, source: "worker" })).status).toBe(403);
  expect((await on.get(path, as("ann"))).body.status).toBe("pending");
  expect((await post("root", `${path}/response`, { data: 1 })).body.response.responded_by).toBe("worker");
});

test("a subscription belongs to its credential, and nobody publishes in an agent's name", async () => {
  const body = { topics: ["a.b"] };
  const mine = (await post("ann", "/v1/subscriptions", body)).body;
  const theirs = (await post("bob", "/v1/subscriptions", body)).body;
  expect(theirs.subscription_id).not.toBe(mine.subscription_id);
  const path = `/v1/subscriptions/${mine.subscription_id}`;
  for (const [method, at] of [
    ["GET", path],
    ["GET", `${path}/messages`],
    ["DELETE", path],
  ] as const)
    expect([method, at, (await on.send(method, at, undefined, as("bob"))).status]).toEqual([method, at, 404]);
  expect((await post("bob", `${path}/acknowledge`, { cursor: mine.cursor })).status).toBe(404);
  expect((await post("bob", "/v1/subscriptions", { ...body, subscription_id: mine.subscription_id })).status).toBe(409);
  expect((await post("bob", "/v1/subscriptions", { ...body, agent_id: "worker" })).status).toBe(403);
  expect((await on.get("/v1/subscriptions", as("ann"))).body.data).toHaveLength(1);
  expect((await post("bob", "/v1/publications", { topic: "a.b", data: 1, source: "worker" })).status).toBe(403);
  expect((await post("bob", "/v1/publications", { topic: "a.b", data: 1 })).status).toBe(200);
  const got = (await on.get(`${path}/messages`, as("ann"))).body.data;
  expect(got).toMatchObject([{ topic: "a.b", source: "bob", data: 1 }]);
});

test("each credential has a secret of its own for callbacks; deciding a conflict and registering templates need their scopes", async () => {
  const secrets = await Promise.all(
    ["ann", "bob"].map(async (n) => (await on.get("/v1/callback-secret", as(n))).body.secret),
  );
  expect(new Set(secrets).size).toBe(2);
  expect(secrets[0]).toMatch(/^whsec_[A-Za-z0-9+/]{40,}=*$/);
  const conflict = { conflict_type: "x", description: "y" };
  const made = (await post("ann", "/v1/conflicts", conflict)).body;
  expect(made.reported_by).toBe("ann");
  expect((await post("ann", `/v1/conflicts/${made.conflict_id}/resolve`, {})).status).toBe(403);
  expect((await post("root", `/v1/conflicts/${made.conflict_id}/resolve`, {})).status).toBe(200);
  expect((await on.send("PUT", "/v1/templates/t", { parameters_schema: {} }, as("ann"))).status).toBe(403);
  expect((await post("ann", "/v1/callbacks/c", {})).status).toBe(403);
  const text = JSON.stringify(on.logs);
  for (const secret of [...secrets, "secret-of-ann"]) expect(text).not.toContain(secret);
});
