/** Contract 000 as its clients see it: every example of its text over HTTP and WebSocket, on the real runtime. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { Client } from "../gateway/support/socket.ts";
import { type Started, startOver } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

let real: Real;
let on: Started<Real["runtime"]>;
beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime, { limits: { wsMessageBytesMax: 65_536 } });
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

const post = (name: string, body: unknown, headers = {}) => on.send("POST", `/ninja-api/grpc/${name}`, body, headers);
const execute = async (body: object): Promise<string> => (await post("execute_task", body)).body.task_id;
const statusOf = async (task_id: string) => (await post("get_task_status", { task_id })).body;
async function ended(taskId: string) {
  await until(async () => ["completed", "failed", "cancelled"].includes((await statusOf(taskId)).status));
  return statusOf(taskId);
}
/** A task that nobody takes, so that it stays as it is. */
const waiting = async () =>
  (await on.send("POST", "/v1/tasks", { task_type: "nobody-does-this", input: 1 })).body.task.task_id as string;

const example = {
  prompt: "Create a Python function to calculate factorial",
  context: { language: "python", complexity: "medium" },
  tools: ["code_generation", "code_explanation"],
};

describe("HTTP", () => {
  test("execute, status, result: the examples of the text", async () => {
    const accepted = await post("execute_task", example);
    expect(accepted.status).toBe(200);
    expect(accepted.body).toEqual({
      task_id: expect.any(String),
      status: "accepted",
      message: "Task submitted for execution",
    });
    const done = await ended(accepted.body.task_id);
    expect(done).toEqual({
      task_id: accepted.body.task_id,
      status: "completed",
      result: expect.stringContaining("No model is configured"),
      events: ["Task created", "Processing started", "Task completed"],
    });
    expect(done.result).toContain("code_generation, code_explanation");
  });

  test("what waits is accepted, its result null; cancelled it is cancelled, and stays so", async () => {
    const task_id = await waiting();
    expect(await statusOf(task_id)).toEqual({ task_id, status: "accepted", result: null, events: ["Task created"] });
    const cancelled = await post("cancel_task", { task_id });
    expect([cancelled.status, cancelled.body]).toEqual([
      200,
      { task_id, status: "cancelled", message: "Task cancelled successfully" },
    ]);
    expect(await statusOf(task_id)).toEqual({
      task_id,
      status: "cancelled",
      result: null,
      events: ["Task created", "Task cancelled"],
    });
    expect((await post("cancel_task", { task_id })).body.status).toBe("cancelled");
  });

  test("what is done is not cancelled any more, and that is said", async () => {
    const task_id = await execute({ prompt: "hello" });
    await ended(task_id);
    expect((await post("cancel_task", { task_id })).body).toEqual({
      task_id,
      status: "completed",
      message: "Task is completed already",
    });
  });

  test("context and tools may be null, as Python's None is", async () => {
    const reply = await post("execute_task", { prompt: "hello", context: null, tools: null, more: 1 });
    expect(reply.status).toBe(200);
    expect((await ended(reply.body.task_id)).status).toBe("completed");
  });

  test("the same idempotency key makes one task", async () => {
    const headers = { "idempotency-key": "prompt-1" };
    const [a, b] = [await post("execute_task", example, headers), await post("execute_task", example, headers)];
    expect(a.body.task_id).toBe(b.body.task_id);
    expect((await post("execute_task", { prompt: "other" }, headers)).status).toBe(409);
  });

  test.each([
    ["execute_task", {}, 400],
    ["execute_task", { prompt: "" }, 400],
    ["execute_task", { prompt: 5 }, 400],
    ["execute_task", { prompt: "x", context: { a: 1 } }, 400],
    ["execute_task", { prompt: "x", tools: "echo" }, 400],
    ["execute_task", [], 400],
    ["execute_task", '{"prompt":"x","prompt":', 400],
    ["execute_task", '{"prompt":"x","context":{"__proto__":"y"}}', 400],
    ["get_task_status", { task_id: "550e8400-e29b-41d4-a716-446655440000" }, 404],
    ["get_task_status", { task_id: "" }, 400],
    ["get_task_status", { task_id: 5 }, 400],
    ["cancel_task", { task_id: "'; DROP TABLE tasks; --" }, 404],
    ["cancel_task", { task_id: "a\u0000b" }, 400],
    ["cancel_task", {}, 400],
  ])("%s with %j is %i, with a detail and nothing else", async (name, body, status) => {
    const reply = await post(name, body);
    expect([reply.status, Object.keys(reply.body)]).toEqual([status, ["detail"]]);
    expect(typeof reply.body.detail).toBe("string");
  });

  test("the error of the text", async () => {
    expect((await post("get_task_status", { task_id: "" })).body).toEqual({ detail: "Invalid task_id format" });
  });
});

describe("the agent's socket", () => {
  test("connected, told of every task, answered: the examples of the text", async () => {
    const client = await Client.at(on.base, "/ws/agent/client-123/");
    expect(await client.next(() => true)).toEqual({
      type: "connection_established",
      message: "Connected as client-123",
      client_id: "client-123",
      task_id: null,
    });
    const task_id = await execute({ prompt: "hello", tools: ["echo"] });
    await client.next((m) => m.type === "task_update" && m.task_id === task_id && m.status === "completed");
    expect(client.messages.filter((m) => m.task_id === task_id && m.type === "task_update")).toEqual([
      { type: "task_update", task_id, status: "accepted", message: "Task created", sender: "system" },
      { type: "task_update", task_id, status: "running", message: "Processing started", sender: "system" },
      { type: "task_update", task_id, status: "completed", message: "Task completed", sender: "system" },
    ]);
    expect(await client.after(() => true, { type: "ping" })).toEqual({ type: "pong" });
    const command = { type: "agent_command", command: "pause", params: { hard: true } };
    expect(await client.after(() => true, command)).toEqual({
      type: "command_received",
      command: "pause",
      params: { hard: true },
      message: "Command pause received",
    });
    client.close();
  });

  test("a task's socket hears that task alone, and what it is at now", async () => {
    const task_id = await waiting();
    const client = await Client.at(on.base, `/ws/agent/client-123/${task_id}/`);
    expect(await client.next(() => true)).toMatchObject({ type: "connection_established", task_id });
    expect(await client.next((m) => m.type === "task_update")).toMatchObject({ task_id, status: "accepted" });
    await ended(await execute({ prompt: "another" }));
    await post("cancel_task", { task_id });
    await client.next((m) => m.status === "cancelled");
    expect(client.messages.filter((m) => m.type === "task_update").map((m) => [m.task_id, m.status])).toEqual([
      [task_id, "accepted"],
      [task_id, "cancelled"],
    ]);
    client.close();
  });

  test("a socket for a task that is not there is connected and hears nothing", async () => {
    const client = await Client.at(on.base, "/ws/agent/client-123/task-456");
    expect(await client.next(() => true)).toEqual({
      type: "connection_established",
      message: "Connected as client-123",
      client_id: "client-123",
      task_id: "task-456",
    });
    expect(await client.after(() => true, { type: "ping" })).toEqual({ type: "pong" });
    client.close();
  });

  test("what one client tells of a task, those who watch it hear, with its name; the task is as it was", async () => {
    const task_id = await waiting();
    const watcher = await Client.at(on.base, `/ws/agent/watcher/${task_id}/`);
    const all = await Client.at(on.base, "/ws/agent/all/");
    const other = await Client.at(on.base, "/ws/agent/other/task-456/");
    for (const client of [watcher, all, other]) await client.next((m) => m.type === "connection_established");
    const update = { type: "task_update", task_id, status: "running", message: "Processing step 2 of 5" };
    all.send(update);
    for (const client of [watcher, all]) {
      expect(await client.next((m) => m.sender === "all")).toEqual({ ...update, sender: "all" });
    }
    expect((await statusOf(task_id)).status).toBe("accepted");
    expect(await other.after(() => true, { type: "ping" })).toEqual({ type: "pong" });
    expect(await all.after((m) => m.type === "error", { type: "task_update", status: "running" })).toEqual({
      type: "error",
      message: "Missing task_id",
    });
    for (const client of [watcher, all, other]) client.close();
  });

  test("event types are subscribed to and left", async () => {
    const client = await Client.at(on.base, "/ws/agent/c%20%C3%BC/");
    expect((await client.next(() => true)).client_id).toBe("c ü");
    expect(await client.after(() => true, { type: "unsubscribe", event_types: ["task_update"] })).toEqual({
      type: "unsubscribed",
      event_types: ["task_update"],
    });
    await ended(await execute({ prompt: "unheard" }));
    expect(await client.after(() => true, { type: "subscribe", event_types: ["task_update"] })).toEqual({
      type: "subscribed",
      event_types: ["task_update"],
    });
    expect(client.messages.filter((m) => m.type === "task_update")).toEqual([]);
    await execute({ prompt: "heard" });
    await client.next((m) => m.type === "task_update");
    client.close();
  });
});

const hostile: readonly (readonly [string, string | Buffer])[] = [
  ["no JSON", "nonsense"],
  ["half of it", '{"type":"ping"'],
  ["a list", "[]"],
  ["null", "null"],
  ["an unknown type", '{"type":"fly"}'],
  ["no type", "{}"],
  ["a type that is none", '{"type":{"type":"ping"}}'],
  ["a prototype", '{"type":"ping","__proto__":{"type":"pong"}}'],
  ["deep nesting", `{"type":"agent_command","command":"x","params":${'{"a":'.repeat(200)}1${"}".repeat(200)}}`],
  ["bytes that are not UTF-8", Buffer.from([0x7b, 0xff, 0xfe, 0x7d])],
  ["half of a surrogate pair", '{"type":"agent_command","command":"\\ud800"}'],
  ["something huge", JSON.stringify({ type: "ping", pad: "x".repeat(100_000) })],
];

describe.each([
  ["/ws/agent/client-123/", { type: "ping" }, "pong"],
  ["/ws/state/hostile/one/", { type: "get_state" }, "state_update"],
  ["/api/v1/ws/client-123", { type: "subscribe", subscriptions: ["task_activity"] }, "subscription_confirmed"],
])("bad messages at %s are answered, the socket stays, nothing has changed", (path, good, answer) => {
  test.each(hostile)("%s", async (_, message) => {
    const client = await Client.at(on.base, path);
    const error = client.next((m) => m.type === "error");
    client.socket.send(message);
    expect(typeof (await error).message).toBe("string");
    expect((await client.after((m) => m.type === answer, good)).data ?? {}).toEqual({});
    expect(client.messages.filter((m) => m.type === "error")).toHaveLength(1);
    client.close();
  });
});

describe("the shared state's socket", () => {
  test("what one sets, all see; who comes later sees it at once", async () => {
    const path = "/ws/state/shared/plan/";
    const [a, b] = [await Client.at(on.base, path), await Client.at(on.base, path)];
    const first = { type: "state_update", state_type: "shared", state_id: "plan", data: { phase: "one", n: 1 } };
    expect(await a.after(() => true, { type: "get_state" })).toEqual({ ...first, data: {} });
    await b.after(() => true, { type: "get_state" });
    const heard = b.after((m) => m.data.phase === "one");
    expect(await a.after((m) => m.data.phase === "one", { type: "update_state", data: first.data })).toEqual(first);
    expect(await heard).toEqual(first);
    const second = a.after((m) => m.data.phase === "two");
    b.send({ type: "update_state", data: { phase: "two", who: "b" } });
    expect(await second).toEqual({ ...first, data: { phase: "two", n: 1, who: "b" } });
    const late = await Client.at(on.base, path);
    expect(await late.next(() => true)).toEqual({ ...first, data: { phase: "two", n: 1, who: "b" } });
    for (const client of [a, b, late]) client.close();
  });

  test("many changes at once are all kept", async () => {
    const path = "/ws/state/shared/counts/";
    const clients = await Promise.all(Array.from({ length: 5 }, () => Client.at(on.base, path)));
    for (const [c, client] of clients.entries()) {
      for (let i = 0; i < 10; i++) client.send({ type: "update_state", data: { [`${c}-${i}`]: i } });
    }
    await Promise.all(clients.map((client) => client.next((m) => Object.keys(m.data ?? {}).length === 50)));
    for (const client of clients) client.close();
  });

  test("a state that would grow over its bound is refused, and stays", async () => {
    const client = await Client.at(on.base, "/ws/state/shared/large/");
    for (let i = 0; i < 6; i++) client.send({ type: "update_state", data: { [`k${i}`]: "x".repeat(60_000) } });
    expect((await client.next((m) => m.type === "error")).message).toContain("262144");
    const state = await client.after((m) => m.type === "state_update", { type: "get_state" });
    expect(Object.keys(state.data)).toEqual(["k0", "k1", "k2", "k3"]);
    client.close();
  });

  test("names that mean something inside are refused", async () => {
    const client = await Client.at(on.base, "/ws/state/a%7Eb/x/");
    expect((await client.next(() => true)).type).toBe("error");
    expect((await client.after((m) => m.type === "error", { type: "update_state", data: { a: 1 } })).type).toBe(
      "error",
    );
    client.close();
  });
});
