/** Every example of contract 000's text, in order, against the real server: HTTP and sockets as one transcript. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { until } from "../support/until.ts";
import { Told } from "./socket-transcript.ts";
import { Transcript } from "./transcript.ts";

let troupe: Troupe;
beforeAll(async () => {
  troupe = await startTroupe({ TROUPE_API_KEYS: "client:your-api-key,reader:reads-only:tasks:read" });
});
afterAll(() => troupe.stop());

const key = { "X-API-Key": "your-api-key" };
const path = (name: string) => `/ninja-api/grpc/${name}`;
const unknown = { task_id: "550e8400-e29b-41d4-a716-446655440000" };

async function nobodyTakes(): Promise<string> {
  const body = JSON.stringify({ task_type: "nobody-does-this", input: {} });
  const headers = { ...key, "content-type": "application/json" };
  const reply = await fetch(`${troupe.base}/v1/tasks`, { method: "POST", headers, body });
  return ((await reply.json()) as { task: { task_id: string } }).task.task_id;
}

test("HTTP: execute, status, cancel, and each error", { timeout: 60_000 }, async () => {
  const told = new Transcript("000-http", troupe.base, { headers: key });
  const body = {
    prompt: "Create a Python function to calculate factorial",
    context: { language: "python", complexity: "medium" },
    tools: ["code_generation", "code_explanation"],
  };
  const { task_id } = (await told.http("execute a task", { path: path("execute_task"), body })).body;
  await until(async () => {
    const headers = { ...key, "content-type": "application/json" };
    const reply = await fetch(troupe.base + path("get_task_status"), {
      method: "POST",
      headers,
      body: JSON.stringify({ task_id }),
    });
    return ((await reply.json()) as { status: string }).status === "completed";
  }, 30_000);
  const done = await told.http("ask for its status", { path: path("get_task_status"), body: { task_id } });
  expect(done.body.result).toContain("No model is configured");
  await told.http("cancel it when it is done", { path: path("cancel_task"), body: { task_id } });
  const waits = await nobodyTakes();
  await told.http("the status of a task that nobody takes", {
    path: path("get_task_status"),
    body: { task_id: waits },
  });
  await told.http("cancel it", { path: path("cancel_task"), body: { task_id: waits } });
  await told.http("its status then", { path: path("get_task_status"), body: { task_id: waits } });
  await told.http("an unknown task", { path: path("get_task_status"), body: unknown });
  await told.http("cancel an unknown task", { path: path("cancel_task"), body: unknown });
  await told.http("a malformed id", { path: path("get_task_status"), body: { task_id: "" } });
  await told.http("no prompt", { path: path("execute_task"), body: {} });
  await told.http("a number for a prompt", { path: path("execute_task"), body: { prompt: 1 } });
  await told.http("no key", { path: path("execute_task"), body, headers: { "X-API-Key": "" } });
  await told.http("a wrong key", { path: path("execute_task"), body, headers: { "X-API-Key": "wrong" } });
  await told.http("a key without the scope", {
    path: path("execute_task"),
    body,
    headers: { "X-API-Key": "reads-only" },
  });
  await told.http("a path that is not there", { path: path("forget_task"), body: {} });
  told.check();
});

test("WebSocket: the key in the query, connection, updates, commands, shared state", { timeout: 60_000 }, async () => {
  const told = new Transcript("000-sockets", troupe.base, { headers: key });
  const query = "?api_key=your-api-key";
  const client = await Told.at(told, troupe.base, `/ws/agent/client-123/${query}`);
  await client.hear("connected", (m) => m.type === "connection_established");
  const prompt = { prompt: "Bees dance.", tools: ["text_statistics"] };
  const { task_id } = (await told.http("execute a task", { path: path("execute_task"), body: prompt })).body;
  const mine = (status: string) => (m: { task_id?: string; status?: string }) =>
    m.task_id === task_id && m.status === status;
  await client.hear("it was created", mine("accepted"));
  await client.hear("it runs", mine("running"));
  await client.hear("it is done", mine("completed"));
  client.say("a command", { type: "agent_command", command: "pause", params: { task_id: "task-456" } });
  await client.hear("it was received", (m) => m.type === "command_received");
  client.say("a ping", { type: "ping" });
  await client.hear("the pong", (m) => m.type === "pong");
  client.say("subscribe", { type: "subscribe", event_types: ["task_update"] });
  await client.hear("subscribed", (m) => m.type === "subscribed");
  client.say("unsubscribe", { type: "unsubscribe", event_types: ["task_update"] });
  await client.hear("unsubscribed", (m) => m.type === "unsubscribed");
  client.say("an unknown message", { type: "fly" });
  await client.hear("an error", (m) => m.type === "error");
  client.say("no command", { type: "agent_command" });
  await client.hear("an error", (m) => m.type === "error");
  client.close();
  const watcher = await Told.at(told, troupe.base, `/ws/agent/client-123/task-456/${query}`);
  await watcher.hear("connected for a task", (m) => m.type === "connection_established");
  watcher.close();
  const late = await Told.at(told, troupe.base, `/ws/agent/client-123/${task_id}/${query}`);
  await late.hear("connected for a task that is done", (m) => m.type === "connection_established");
  await late.hear("what it is at", (m) => m.type === "task_update");
  late.close();
  const state = await Told.at(told, troupe.base, `/ws/state/task/plan-1/${query}`);
  state.say("change the state", { type: "update_state", data: { phase: "planning" } });
  await state.hear("changed", (m) => m.type === "state_update");
  state.say("read the state", { type: "get_state" });
  await state.hear("as it is", (m) => m.type === "state_update");
  state.close();
  told.check();
});
