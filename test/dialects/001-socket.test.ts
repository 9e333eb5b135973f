/** Contract 001's socket as its clients see it: subscriptions, publications, requests, heartbeats, tasks and reports. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { Client, type Message } from "../gateway/support/socket.ts";
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

const timestamp = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
const register = (agent: object) => on.send("POST", "/v1/agents", agent);
/** Sends, and gives the ack or the error. */
const say = (client: Client, message: object): Promise<Message> => client.after((m) => m.ack || m.error, message);

test("an agent's day: heartbeat, the task as task.created, reports, each acknowledged; a subscriber hears it", async () => {
  await register({ agent_id: "agent-001", agent_type: "code_generation", max_concurrent_tasks: 2 });
  const [agent, watcher] = [await Client.at(on.base, "/ws"), await Client.at(on.base, "/api/v1/ws")];
  const topics = ["task.code_generation.>"];
  const heard = await say(watcher, { subscription: { id: "s1", agent_id: "orchestrator-001", topics } });
  expect(heard.ack).toMatchObject({ id: "s1", type: "subscription", agent_id: "orchestrator-001", topics });
  const beat = { agent_id: "agent-001", status: "active", current_tasks: 0 };
  expect((await say(agent, { heartbeat: beat })).ack).toMatchObject({ agent_id: "agent-001", cancelled_tasks: [] });
  const made = await on.send("POST", "/v1/tasks", { task_type: "code_generation", input: { entities: ["User"] } });
  const id: string = made.body.task.task_id;
  const given = await agent.next((m) => m.event_type === "task.created");
  expect(given).toMatchObject({ timestamp, target_agent: "agent-001" });
  expect(given.payload).toMatchObject({ id, type: "code_generation", input_data: { entities: ["User"] } });
  const start = { report: { task_id: id, agent_id: "agent-001", status: "in_progress", progress: 45 } };
  expect((await say(agent, start)).ack).toEqual({ type: "report", task_id: id, status: "in_progress" });
  const progress = await watcher.next((m) => m.event_type === "task.progress");
  expect(progress).toMatchObject({ target_agent: "orchestrator-001", topic: "task.code_generation.progress" });
  expect(progress.payload).toMatchObject({ task_id: id, progress: 45, status: "in_progress" });
  const done = { report: { task_id: id, agent_id: "agent-001", status: "completed", output_data: { files: 12 } } };
  expect((await say(agent, done)).ack.status).toBe("completed");
  const completed = await watcher.next((m) => m.event_type === "task.completed");
  expect(completed.payload).toMatchObject({ task_id: id, status: "completed", progress: 100 });
  expect((await say(watcher, { unsubscription: { topics } })).ack.topics).toEqual(topics);
  agent.close();
  watcher.close();
});

test("publish and subscribe with a wildcard and a filter: a list means any of them", async () => {
  const client = await Client.at(on.base, "/ws/");
  await say(client, { subscription: { topics: ["task.*.completed"], filters: { priority: ["high", "critical"] } } });
  for (const priority of ["low", "high"]) {
    const publication = { topic: "task.code_review.completed", data: { task_id: priority, priority } };
    expect((await say(client, { publication })).ack).toMatchObject({ type: "publication", topic: publication.topic });
  }
  const told = await client.next((m) => m.topic === "task.code_review.completed");
  expect(told.payload).toEqual({ task_id: "high", priority: "high" });
  expect(client.messages.filter((m) => m.event_type !== undefined)).toHaveLength(1);
  client.close();
});

test("a request reaches its target, whose response comes back to who asked", async () => {
  await register({ agent_id: "code-gen-001", agent_type: "generator" });
  const [asker, target] = [await Client.at(on.base, "/ws"), await Client.at(on.base, "/ws?agent_id=code-gen-001")];
  await say(target, { heartbeat: { agent_id: "code-gen-001" } });
  const request = {
    id: "req-001",
    type: "generate_code",
    source: "orchestrator-001",
    target: "code-gen-001",
    correlation_id: "workflow-123",
    data: { n: 1 },
    timeout: 60,
  };
  expect((await say(asker, { request })).ack).toMatchObject({ id: "req-001", request_id: "req-001" });
  expect((await target.next((m) => m.request)).request).toEqual(request);
  const response = { id: "resp-001", request_id: "req-001", status: "success", data: { files: 2 }, errors: [] };
  expect((await say(target, { response })).ack).toMatchObject({ type: "response", request_id: "req-001" });
  expect((await asker.next((m) => m.response)).response).toEqual(response);
  const unknown = { ...request, id: "req-002", target: "nobody" };
  expect((await say(asker, { request: unknown })).error).toMatchObject({ id: "req-002", code: "AGENT_UNAVAILABLE" });
  asker.close();
  target.close();
});

test("a durable subscription gives what was missed while its agent was away", async () => {
  const subscription = { agent_id: "away-1", topics: ["news.>"], durable: true };
  const first = await Client.at(on.base, "/ws");
  expect((await say(first, { subscription })).ack.subscription_id).toEqual(expect.any(String));
  first.close();
  await first.closed;
  const other = await Client.at(on.base, "/ws");
  await say(other, { publication: { topic: "news.today", data: { n: 1 } } });
  const again = await Client.at(on.base, "/ws");
  await say(again, { subscription });
  expect((await again.next((m) => m.topic === "news.today")).payload).toEqual({ n: 1 });
  again.close();
  other.close();
});

test.each([
  "nonsense",
  "[]",
  "{}",
  '{"fly":{}}',
  '{"subscription":{}}',
  '{"subscription":{"topics":["a..b"]}}',
  '{"subscription":{"topics":["a"]},"heartbeat":{"agent_id":"x"}}',
  '{"heartbeat":{"agent_id":5}}',
  '{"report":{"task_id":"none","status":"flying"}}',
  '{"report":{"task_id":"none","status":"completed"}}',
  '{"publication":{"topic":"a","__proto__":{}}}',
  '{"response":{"request_id":"none"}}',
])("%s is answered with the contract's error, and the socket stays", async (text) => {
  const client = await Client.at(on.base, "/ws");
  client.send(text);
  const { error } = await client.next((m) => m.error);
  expect(error).toMatchObject({
    code: expect.stringMatching(/^[A-Z_]+$/),
    correlation_id: expect.any(String),
    timestamp,
  });
  expect((await say(client, { publication: { topic: "still.here" } })).ack.type).toBe("publication");
  client.close();
});
