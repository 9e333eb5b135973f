/**
 * One core under all contracts: a task made in one is worked on through another and read in a third; whoever
 * listens anywhere hears it in its own words.
 */
import { EventSourceParserStream } from "eventsource-parser/stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { Client, type Message } from "../gateway/support/socket.ts";
import { type Started, startOver } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

let real: Real;
let on: Started<Real["runtime"]>;
/** One listener for each contract with a socket, and Troupe's own. */
let hear: { readonly "000": Client; readonly "001": Client; readonly "004": Client; readonly v1: Client };

beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime);
  hear = {
    "000": await Client.at(on.base, "/ws/agent/watcher/"),
    "001": await Client.at(on.base, "/ws"),
    "004": await Client.at(on.base, "/api/v1/ws/watcher"),
    v1: await Client.open(on.base),
  };
  await hear["000"].next((m) => m.type === "connection_established");
  const topics = ["agent.>", "task.>", "workflow.>"];
  await hear["001"].after((m) => m.ack, { subscription: { agent_id: "watcher", topics } });
  const subscriptions = ["agent_activity", "task_activity"];
  await hear["004"].after((m) => m.type === "subscription_confirmed", { type: "subscribe", subscriptions });
  await hear.v1.call({ type: "subscribe", id: "all", pattern: "event.>" });
}, 120_000);
afterAll(async () => {
  for (const client of Object.values(hear)) client.close();
  await on.gateway.close(100);
  await real.stop();
});

const ok = async (method: string, path: string, body?: unknown): Promise<Message> => {
  const reply = await on.send(method, path, body);
  expect([method, path, reply.status < 300, reply.status < 300 ? "" : reply.text]).toEqual([method, path, true, ""]);
  return reply.body;
};
const get = (path: string) => ok("GET", path);
const post = (path: string, body: unknown) => ok("POST", path, body);
const ids = (list: readonly { id: string }[]) => list.map((one) => one.id);

/** What each contract says of a task now. */
async function told(task_id: string): Promise<Record<string, string>> {
  const at = `tasks/${encodeURIComponent(task_id)}`;
  return {
    "000": (await post("/ninja-api/grpc/get_task_status", { task_id })).status,
    "001": (await get(`/api/v1/${at}`)).status,
    "004": (await get("/api/v1/tasks")).find((one: { id: string }) => one.id === task_id)?.status,
    v1: (await get(`/v1/${at}`)).status,
  };
}

/** All listeners have heard of this task: in contract 000's status, 001's event, 004's type, Troupe's name. */
async function heard(task_id: string, words: readonly [string, string, string | null, string]): Promise<void> {
  const [status, event, type, name] = words;
  await hear["000"].next((m) => m.type === "task_update" && m.task_id === task_id && m.status === status);
  await hear["001"].next((m) => m.event_type === event && m.payload.task_id === task_id);
  if (type !== null) await hear["004"].next((m) => m.type === type && m.data.task_id === task_id);
  await hear.v1.next((m) => m.type === "event" && m.event.name === name && m.event.key === task_id);
}

/** The run's events as contract 002 streams them, to their end. */
async function streamed(runId: string): Promise<string[]> {
  const response = await fetch(`${on.base}/v1/runs/${runId}/events`, { headers: { accept: "text/event-stream" } });
  const types: string[] = [];
  const events = (response.body as ReadableStream<Uint8Array>)
    .pipeThrough(new TextDecoderStream())
    .pipeThrough(new EventSourceParserStream());
  for await (const { event } of events) if (event !== undefined) types.push(event);
  return types;
}

test("made by 002, done by an agent of 004 through 001, read by 000", { timeout: 60_000 }, async () => {
  const definition = { name: "crossing", version: "1.0.0", stages: [{ name: "only", agent_type: "crosser" }] };
  await ok("PUT", "/v1/workflows/crossing", definition);
  const { run } = await post("/v1/runs", { workflow: { name: "crossing" }, input: { rows: 3 } });
  const stream = streamed(run.run_id);
  const task_id = `${run.run_id}~only`;
  await heard(task_id, ["accepted", "task.created", "task_submitted", "created"]);
  expect(await told(task_id)).toEqual({ "000": "accepted", "001": "pending", "004": "pending", v1: "ready" });
  expect((await get(`/api/v1/tasks/${encodeURIComponent(task_id)}`)).parent_workflow_id).toBe("crossing");

  const agent = await post("/api/v1/agents", { name: "C", type: "crosser", capabilities: ["crossing"] });
  expect(ids(await get("/api/v1/agents?type=crosser&status=active"))).toEqual([agent.id]);
  expect(ids(await get("/api/v1/agents?capability_filter=crossing"))).toEqual([agent.id]);
  expect((await get(`/v1/agents/${agent.id}`)).agent_type).toBe("crosser");
  await hear["001"].next((m) => m.event_type === "agent.registered" && m.payload.agent_id === agent.id);
  await hear["004"].next((m) => m.type === "agent_registered" && m.data.agent_id === agent.id);
  await hear.v1.next((m) => m.type === "event" && m.event.name === "registered" && m.event.key === agent.id);

  const { task } = await get(`/api/v1/agents/${agent.id}/tasks/next?wait=30`);
  expect(task).toMatchObject({ id: task_id, input_data: { rows: 3 } });
  await hear["004"].next((m) => m.type === "task_assigned" && m.data.task_id === task_id);
  await ok("PATCH", `/api/v1/tasks/${encodeURIComponent(task_id)}`, { status: "in_progress", progress: 50 });
  await heard(task_id, ["running", "task.progress", null, "progressed"]);
  expect(await told(task_id)).toEqual({ "000": "running", "001": "in_progress", "004": "in_progress", v1: "running" });

  const worker = await Client.at(on.base, `/ws?agent_id=${agent.id}`);
  const report = { task_id, agent_id: agent.id, status: "completed", output_data: { text: "across" } };
  expect((await worker.after((m) => m.ack || m.error, { report })).ack).toMatchObject({ status: "completed" });
  worker.close();
  await heard(task_id, ["completed", "task.completed", "task_completed", "completed"]);
  await hear["001"].next((m) => m.event_type === "workflow.completed" && m.correlation_id === "crossing");
  expect(await told(task_id)).toEqual({ "000": "completed", "001": "completed", "004": "completed", v1: "completed" });
  expect((await post("/ninja-api/grpc/get_task_status", { task_id })).result).toBe("across");
  expect(await get(`/v1/runs/${run.run_id}`)).toMatchObject({ status: "succeeded", output: { text: "across" } });
  expect(await stream).toEqual(["run.started", "step.started", "step.completed", "run.completed"]);
});

test("made by 000, pushed to an agent on Troupe's own socket, updated by 001", { timeout: 60_000 }, async () => {
  await post("/api/v1/agents/register", { id: "prompter", type: "prompt", capabilities: ["talk"] });
  const worker = await Client.open(on.base);
  const serving = await worker.call({ type: "serve", id: "s", agent_id: "prompter" });
  expect(serving).toEqual({ type: "serving", id: "s", agent_id: "prompter" });
  const { task_id } = await post("/ninja-api/grpc/execute_task", { prompt: "Which way?", tools: ["map"] });
  const given = await worker.next((m) => m.type === "task");
  expect(given).toMatchObject({ id: "s", agent_id: "prompter", task: { task_id, status: "assigned" } });
  expect(given.task.input).toEqual({ prompt: "Which way?", context: {}, tools: ["map"] });
  const begin = { type: "request", id: "u", operation: "tasks.update", input: { task_id, agent_id: "prompter" } };
  expect((await worker.call(begin)).result.status).toBe("running");
  await heard(task_id, ["running", "task.started", null, "started"]);
  await ok("PATCH", `/api/v1/tasks/${task_id}`, { status: "completed", output_data: "North." });
  await heard(task_id, ["completed", "task.completed", "task_completed", "completed"]);
  expect(await post("/ninja-api/grpc/get_task_status", { task_id })).toMatchObject({ result: "North." });

  const second = (await post("/ninja-api/grpc/execute_task", { prompt: "And back?" })).task_id;
  await worker.next((m) => m.type === "task" && m.task.task_id === second);
  await ok("DELETE", `/api/v1/tasks/${second}`);
  expect(await worker.next((m) => m.type === "withdrawn")).toEqual({
    type: "withdrawn",
    id: "s",
    agent_id: "prompter",
    task_id: second,
  });
  expect(await worker.call({ type: "unsubscribe", id: "s" })).toEqual({ type: "unsubscribed", id: "s" });
  worker.close();
  await ok("DELETE", "/api/v1/agents/prompter");
});

test("made by 004 without a word about who shall do it, taken by any agent of 001, cancelled by 000", async () => {
  const { id } = await post("/api/v1/tasks", { title: "Anything", description: "for anybody", priority: 9 });
  await heard(id, ["accepted", "task.created", "task_submitted", "created"]);
  await post("/api/v1/agents/register", { id: "anybody", type: "odd_jobs" });
  await until(async () => (await get(`/api/v1/tasks/${id}`)).assigned_agent !== null, 30_000);
  const { assigned_agent } = await get(`/api/v1/tasks/${id}`);
  expect((await get(`/v1/agents/${assigned_agent}`)).hosted).toBe(false);
  const cancelled = await post("/ninja-api/grpc/cancel_task", { task_id: id });
  expect(cancelled).toEqual({ task_id: id, status: "cancelled", message: "Task cancelled successfully" });
  await heard(id, ["cancelled", "task.cancelled", "task_completed", "cancelled"]);
  expect(await told(id)).toEqual({ "000": "cancelled", "001": "cancelled", "004": "cancelled", v1: "cancelled" });
});

test("a workflow of 001 is a run of 002: cancelled there, it is cancelled here", async () => {
  const stages = [{ name: "one", agent_type: "nobody_does_this" }];
  await post("/api/v1/workflows", { id: "workflow-9", name: "Nine", stages, project_id: "proj-9" });
  const { data } = await get("/v1/runs?workflow_name=workflow-9");
  expect(data).toHaveLength(1);
  const [run] = data;
  expect((await get("/api/v1/workflows/workflow-9")).execution_id).toBe(run.run_id);
  await hear["001"].next((m) => m.event_type === "workflow.started" && m.payload.execution_id === run.run_id);
  await ok("DELETE", `/v1/runs/${run.run_id}`);
  await hear["001"].next((m) => m.event_type === "workflow.cancelled" && m.payload.execution_id === run.run_id);
  await until(async () => (await get("/api/v1/workflows/workflow-9")).status === "cancelled");
  const task_id = `${run.run_id}~one`;
  await heard(task_id, ["cancelled", "task.cancelled", "task_completed", "cancelled"]);
});

test("an agent that can take no more is busy, for listeners and lists of both contracts", async () => {
  const configuration = { max_concurrent_tasks: 1 };
  await post("/api/v1/agents/register", { id: "single", type: "single_job", configuration });
  const { id } = await post("/api/v1/tasks", { type: "single_job" });
  const change = (client: Client, status: string) =>
    client.next((m) => {
      const about = m.event_type === "agent.status_changed" ? m.payload : m.type === "agent_status_changed" && m.data;
      return about && about.agent_id === "single" && about.status === status;
    });
  for (const client of [hear["001"], hear["004"]]) await change(client, "busy");
  expect(ids(await get("/api/v1/agents?status=busy"))).toEqual(["single"]);
  await ok("PATCH", `/api/v1/tasks/${id}`, { status: "completed" });
  for (const client of [hear["001"], hear["004"]]) await change(client, "active");
  await post("/api/v1/agents/single/heartbeat", { status: "idle" });
  for (const client of [hear["001"], hear["004"]]) await change(client, "idle");
  expect(ids(await get("/api/v1/agents?status_filter=idle"))).toEqual(["single"]);
});
