/** Every operation of the table that changes something takes Idempotency-Key: done once, answered alike. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Answer } from "../../src/actors/client.ts";
import { idFromKey } from "../../src/gateway/idempotency.ts";
import { takesKey } from "../../src/gateway/once.ts";
import type { Operation } from "../../src/gateway/operation.ts";
import { operations } from "../../src/gateway/table.ts";
import type { Address } from "../../src/machines/address.ts";
import type { Command } from "../../src/machines/effects.ts";
import { type Real, startReal, workflows } from "../gateway/support/real-runtime.ts";
import { Client } from "../gateway/support/socket.ts";
import { type Reply, type Started, startOver } from "../gateway/support/start.ts";
import { type Call, fresh, type Scenario, scenarios, World } from "./scenarios.ts";

const key = { "x-api-key": "k" };
let real: Real;
let on: Started<Real["runtime"]>;
let world: World;
/** Commands that reached an actor which is not a remembered key. */
const asked: string[] = [];
const keys: Address[] = [];

beforeAll(async () => {
  real = await startReal();
  const ask = (to: Address, command: Command, options?: object): Promise<Answer> => {
    if (to.type === "idempotency") keys.push(to);
    else asked.push(command.type);
    return real.runtime.ask(to, command, options);
  };
  const counted = new Proxy(real.runtime, {
    get: (target, name) => {
      if (name === "ask") return ask;
      const value = Reflect.get(target, name, target) as unknown;
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  on = await startOver(counted, { apiKeys: [{ name: "a", key: "k", scopes: ["*"] }], auth: { rateLimit: null } });
  world = new World(on, real, key);
  for (const workflow of workflows) await world.post(`/v1/workflows/${workflow.name}`, workflow, "PUT");
  const stages = [{ kind: "checkpoint", name: "look", title: "Look" }];
  await world.post("/v1/workflows/waits", { name: "waits", version: "1.0.0", stages }, "PUT");
}, 60_000);
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

const changing = operations.filter(takesKey);
/** The others are told again as they are now: what they made is found by its id, or streamed anew. */
const isKept = ({ streams, madeByKey }: Operation): boolean =>
  streams === undefined && (madeByKey === undefined || madeByKey.unless !== undefined);
const send = (method: string, call: Call, idempotencyKey: string): Promise<Reply> =>
  on.send(method, call.path, call.body, { ...key, "idempotency-key": idempotencyKey });

test("each has a scenario here, and no other", () => {
  expect(Object.keys(scenarios).sort()).toEqual(changing.map(({ name }) => name).sort());
});

describe.each(changing.map((one) => [one.name, one] as const))("%s", (name, operation) => {
  let scenario: Scenario;
  beforeAll(async () => {
    scenario = (await scenarios[name]?.(world)) as Scenario;
  });

  test("is done once for its key; another request under it is a conflict", async () => {
    const { method } = operation;
    const idempotencyKey = fresh("key");
    const both = await Promise.all([1, 2, 3].map(() => send(method, scenario.call, idempotencyKey)));
    const first = both[0] as Reply;
    expect([first.status, first.text]).toEqual([expect.toBeOneOf([200, 201, 202]), expect.any(String)]);
    asked.length = 0;
    const again = await send(method, scenario.call, idempotencyKey);
    expect(again.status).toBe(first.status);
    if (isKept(operation)) {
      expect(both.map(({ status, text }) => [status, text])).toEqual(both.map(() => [first.status, first.text]));
      expect(again.text).toBe(first.text);
      expect(again.headers.get("idempotency-replayed")).toBe("true");
      expect(asked).toEqual([]);
    }
    const other = await send(method, scenario.other, idempotencyKey);
    expect([other.status, other.text]).toEqual([409, expect.stringMatching(/idempotency|another request/i)]);
  });

  test("a key has a limit", async () => {
    const bad = await send(operation.method, scenario.other, "x".repeat(256));
    expect([bad.status, bad.text]).toEqual([400, expect.stringContaining("Idempotency-Key")]);
  });
});

test("what was refused may be tried again under its key", async () => {
  const id = fresh("later");
  const idempotencyKey = fresh("key");
  const call = { path: `/v1/tasks/${id}` };
  expect((await send("DELETE", call, idempotencyKey)).status).toBe(404);
  await world.post("/v1/tasks", { task_id: id, task_type: "nobody", input: null });
  expect((await send("DELETE", call, idempotencyKey)).status).toBe(202);
  expect((await send("DELETE", call, idempotencyKey)).headers.get("idempotency-replayed")).toBe("true");
});

test("a large answer, and one with a secret, come again whole; no secret lies open in the store", async () => {
  const idempotencyKey = fresh("key");
  const call = { path: "/v1/callbacks/large", body: { text: "x".repeat(300_000) } };
  const first = await send("POST", call, idempotencyKey);
  expect(first.text.length).toBeGreaterThan(300_000);
  expect((await send("POST", call, idempotencyKey)).text).toBe(first.text);
  const made = await send("POST", { path: "/v1/keys", body: { name: "ci" } }, idempotencyKey);
  const id = idFromKey("a", "once keys.create", idempotencyKey);
  const kept = await real.runtime.read({ type: "idempotency", key: id });
  expect(made.body.secret).toMatch(/^tk_/);
  expect(JSON.stringify(kept)).not.toContain(made.body.secret);
});

test("without the header nothing is kept; with it on a read neither", async () => {
  const before = keys.length;
  await world.post("/v1/callbacks/none", { a: 1 });
  await on.get("/v1/tasks", { ...key, "idempotency-key": fresh("key") });
  expect(keys.length).toBe(before);
});

test("a socket's request with the key of an HTTP request gets its answer", async () => {
  const idempotencyKey = fresh("key");
  const input = { callback_id: fresh("box"), data: { a: 1 } };
  const first = await send("POST", { path: `/v1/callbacks/${input.callback_id}`, body: input.data }, idempotencyKey);
  const client = await Client.open(on.base, [], { headers: key });
  const request = { type: "request", operation: "callbacks.receive", idempotency_key: idempotencyKey };
  expect((await client.call({ ...request, id: "1", input })).result).toEqual(first.body);
  const other = await client.call({ ...request, id: "2", input: { ...input, data: 2 } });
  expect(other.error.code).toBe("idempotency_conflict");
  expect((await on.get(`/v1/callbacks/${input.callback_id}`, key)).body.count).toBe(1);
  client.close();
});
