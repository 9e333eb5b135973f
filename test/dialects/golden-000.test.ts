/** Every example of contract 000's text, in order, against the real server, as one transcript over HTTP and sockets. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { until } from "../support/until.ts";
import { departures, Examples } from "./examples.ts";
import { Told } from "./socket-transcript.ts";
import { Transcript } from "./transcript.ts";

const examples = new Examples("000");
let troupe: Troupe;
beforeAll(async () => {
  troupe = await startTroupe({ TROUPE_API_KEYS: "client:your-api-key" });
}, 400_000);
afterAll(() => troupe?.stop());

const [, header = "", key = ""] = /'(X-API-Key)': '([^']+)'/.exec(examples.text("Authentication")) ?? [];
const at = (name: string) => `/ninja-api/grpc/${name}`;
/** Path and query of a `ws://` example, its placeholders filled; with the key in the query, as the text wants it. */
function socketAt(id: string, values: Record<string, string> = {}): string {
  const path = examples
    .text(id)
    .trim()
    .replace(/^ws:\/\/[^/]+/, "");
  const named = path.replace(/<([a-z_]+)>/g, (whole, name) => values[name] ?? whole);
  return named.includes("?") ? named : `${named}?api_key=${key}`;
}
const headers = { [header]: key };

test("HTTP, sockets and the client's example", { timeout: 240_000 }, async () => {
  const told = new Transcript("000", troupe.base, { headers, vary: ["client_secret"] });
  const post = (what: string, name: string, body: unknown) => told.http(what, { path: at(name), body });
  const patch = (id: string, body: object) =>
    told.http("its agent tells of it", { method: "PATCH", path: `/api/v1/tasks/${id}`, body });

  const first = await Told.at(told, troupe.base, socketAt("Authentication 2"));
  await first.hear("it is connected", (m) => m.type === "connection_established");

  await told.http("an agent for prompts comes", {
    path: "/api/v1/agents/register",
    body: { id: "prompter", type: "prompt" },
  });
  const accepted = await post("Execute Task", "execute_task", examples.json("Execute Task"));
  expect(departures(examples.json("Execute Task 2"), accepted.body)).toEqual([]);
  const { task_id } = accepted.body;
  expect(accepted.body).toEqual({ ...examples.json("Execute Task 2"), task_id });
  await told.http("its agent takes it", { path: "/api/v1/agents/prompter/tasks/next?wait=20" });
  await patch(task_id, { status: "in_progress" });

  const all = await Told.at(told, troupe.base, socketAt("Connection", { client_id: "client-123" }));
  await all.hear("it is connected", (m) => m.type === "connection_established");
  const one = await Told.at(told, troupe.base, socketAt("Connection 2", { client_id: "client-123", task_id }));
  await one.hear("it is connected", (m) => m.type === "connection_established");
  const named = { client_id: "client-123", task_id: "task-456" };
  const example = await Told.at(told, troupe.base, socketAt("Connection 2", named));
  const greeting = await example.hear("Connection Established", (m) => m.type === "connection_established");
  expect(greeting).toEqual(examples.json("Connection Established"));

  const running = await post("Get Task Status", "get_task_status", { ...examples.json("Get Task Status"), task_id });
  const { events, ...status } = examples.json("Get Task Status 2");
  expect(running.body).toMatchObject({ ...status, task_id });
  expect(running.body.events).toEqual(expect.arrayContaining(events));

  const update = examples.json("Task Update");
  await patch(task_id, { status: "in_progress", message: update.message });
  for (const socket of [first, all, one]) {
    const heard = await socket.hear("Task Update", (m) => m.message === update.message);
    expect(heard).toEqual({ ...update, task_id });
  }

  const cancelled = await post("Cancel Task", "cancel_task", { ...examples.json("Cancel Task"), task_id });
  expect(cancelled.body).toEqual({ ...examples.json("Cancel Task 2"), task_id });
  for (const socket of [all, one]) {
    await socket.hear("it is cancelled", (m) => m.type === "task_update" && m.status === "cancelled");
  }

  const alert = examples.json("Broadcast Message");
  const publication = { topic: "system.alert", source: alert.sender, data: { message: alert.message } };
  await told.http("tell all", { path: "/api/v1/publications", body: publication });
  for (const socket of [first, all, one, example]) {
    expect(await socket.hear("Broadcast Message", (m) => m.type === "broadcast")).toEqual(alert);
  }

  all.say("a ping", { type: "ping" });
  await all.hear("a pong", (m) => m.type === "pong");
  all.say("a command", { type: "agent_command", command: "pause", params: { task_id: "task-456" } });
  await all.hear("it was received", (m) => m.type === "command_received");
  all.say("unsubscribe", { type: "unsubscribe", event_types: ["task_update"] });
  await all.hear("unsubscribed", (m) => m.type === "unsubscribed");
  all.say("subscribe", { type: "subscribe", event_types: ["task_update"] });
  await all.hear("subscribed", (m) => m.type === "subscribed");
  all.say("tell of a task", { type: "task_update", task_id, status: "running", message: "as I see it" });
  await one.hear("what a client tells", (m) => m.sender === "client-123");
  all.say("an unknown message", { type: "fly" });
  await all.hear("an error", (m) => m.type === "error");
  const state = await Told.at(told, troupe.base, `/ws/state/task/plan-1/?api_key=${key}`);
  state.say("change the state", { type: "update_state", data: { phase: "planning" } });
  await state.hear("changed", (m) => m.type === "state_update");
  state.say("read the state", { type: "get_state" });
  await state.hear("as it is", (m) => m.type === "state_update");
  for (const socket of [first, all, one, example, state]) socket.close();

  const { detail } = examples.json("Error Handling");
  expect((await post("Error Handling", "get_task_status", { task_id: "" })).body).toEqual({ detail });
  await post("an unknown task", "get_task_status", examples.json("Get Task Status"));
  await post("no prompt", "execute_task", {});
  const noKey = { [header]: "" };
  await told.http("no key", { path: at("execute_task"), body: examples.json("Execute Task"), headers: noKey });
  told.check();
});

test("the client's example runs as it stands", { timeout: 240_000 }, async () => {
  await fetch(`${troupe.base}/api/v1/agents/prompter`, { method: "DELETE", headers });
  await until(async () => {
    const reply = await fetch(`${troupe.base}/api/v1/agents/prompter`, { headers });
    await reply.text();
    return reply.status === 404;
  });
  const program = examples.text("Client Example").replace("http://localhost:8000", troupe.base);
  const client = join(import.meta.dirname, "../../clients/python");
  const env = { PATH: process.env.PATH, PYTHONPATH: client };
  const child = spawn("python3", ["-B", "-c", program], { env, stdio: ["ignore", "pipe", "pipe"] });
  const told = { out: "", err: "" };
  child.stdout.on("data", (chunk: Buffer) => {
    told.out += chunk;
  });
  child.stderr.on("data", (chunk: Buffer) => {
    told.err += chunk;
  });
  const [code] = await once(child, "close");
  expect([code, told.err]).toEqual([0, ""]);
  expect(told.out).toMatch(
    /^Task submitted with ID: task_\w+\nTask completed with status: completed\nResult: No model is configured/,
  );
});

test("the request's model: a prompt, and what may be missing", async () => {
  const fields = [...examples.text("Pydantic Integration").matchAll(/^ {4}(\w+): (.*)$/gm)].map((m) => m[1]);
  expect(fields).toEqual(Object.keys(examples.json("Execute Task")));
});

test("no example is left out", () => {
  examples.pass("Generating gRPC Code", "Running the Server");
  expect(examples.left()).toEqual([]);
});
