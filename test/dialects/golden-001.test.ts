/** Every example of contract 001's text, against the real server, as one transcript over HTTP and sockets. */
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { code001 } from "../../src/gateway/error-shape.ts";
import { type ErrorCode, errorKinds } from "../../src/machines/errors.ts";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { departures, Examples } from "./examples.ts";
import { Told } from "./socket-transcript.ts";
import { type Sent, Transcript } from "./transcript.ts";

const examples = new Examples("001");
const secret = "a shared secret of at least thirty-two bytes";
const names: Record<string, string> = {};
let troupe: Troupe;
let told: Transcript;
let headers: Record<string, string>;
let query: string;

beforeAll(async () => {
  troupe = await startTroupe({ TROUPE_JWT_SECRET: secret });
  const token = await new SignJWT({})
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setSubject("orchestrator")
    .setExpirationTime("1h")
    .sign(new TextEncoder().encode(secret));
  names[token] = "token";
  query = `?api_key=${token}`;
  const [name = "", value = ""] = examples.text("Authentication").split(": ");
  expect(`Bearer ${token}`.startsWith(value.replace(/\.\.\.$/, "."))).toBe(true);
  headers = { [name]: `Bearer ${token}` };
  told = new Transcript("001", troupe.base, {
    headers,
    names,
    vary: ["client_secret", "access_token", "hash", "trace_id"],
  });
}, 400_000);
afterAll(() => troupe?.stop());

const at = (what: string, path: string, body?: unknown, method?: string) =>
  told.http(what, { path, ...(body !== undefined && { body }), ...(method !== undefined && { method }) } as Sent);
const patch = (what: string, id: string, body: unknown) => at(what, `/api/v1/tasks/${id}`, body, "PATCH");
const event = (type: string, more: (m: { payload: Record<string, unknown> }) => boolean = () => true) => {
  // biome-ignore lint/suspicious/noExplicitAny: any message
  return (m: any) => m.event_type === type && more(m);
};
/** Takes the agent's next task and completes it. */
async function work(agent: string, output: unknown): Promise<string> {
  const { body } = await at("its agent takes it", `/api/v1/agents/${agent}/tasks/next?wait=30`);
  const done = await patch("and completes it", body.task.id, { status: "completed", output_data: output });
  expect(done.status).toBe(200);
  return body.task.id;
}

test("HTTP and sockets", { timeout: 240_000 }, async () => {
  const [, endpoint = ""] = /endpoint: "(.+)"/.exec(examples.text("Base Configuration")) ?? [];
  const [, base = ""] = /base_url: "(.+)"/.exec(examples.text("Base Configuration")) ?? [];
  const [, limit] = /rate_limit: (\d+)\/minute/.exec(examples.text("Base Configuration")) ?? [];
  const first = await at("Rate Limiting", `${base}/tasks`);
  const shown = examples
    .text("Rate Limiting")
    .split("\n")
    .map((line) => line.split(": ")[0] as string);
  const [most, left, reset] = shown.map((name) => Number(first.headers.get(name)));
  expect([most, left]).toEqual([Number(limit), Number(limit) - 1]);
  expect(reset).toBeGreaterThan(Date.now() / 1000 - 1);

  const eventTypes = Object.keys(examples.json("WebSocket Event Types").event_types);
  const watcher = await Told.at(told, troupe.base, `${endpoint}${query}`);
  watcher.say("hear every type of event", { subscription: { agent_id: "orchestrator-001", topics: eventTypes } });
  await watcher.hear("acknowledged", (m) => m.ack);

  const registered = await told.http("Register Agent", examples.http("Register Agent"));
  expect(registered.body).toMatchObject(examples.http("Register Agent").body as object);
  await watcher.hear("WebSocket Event Types: agent.registered", event("agent.registered"));
  const beat = await told.http("Agent Heartbeat", examples.http("Agent Heartbeat", { agent_id: "agent-001" }));
  expect(beat.body.performance_metrics).toEqual(
    (examples.http("Agent Heartbeat").body as { performance_metrics: object }).performance_metrics,
  );
  const found = await told.http("Get Available Agents", examples.http("Get Available Agents"));
  expect(found.body.map((one: { id: string }) => one.id)).toEqual(["agent-001"]);

  const task = examples.http("Create Task");
  await at("what it depends on", "/api/v1/tasks", { id: "task-002", type: "code_generation", priority: 3 });
  await watcher.hear("WebSocket Event Types: task.created", event("task.created"));
  const made = await told.http("Create Task", task);
  expect(made.body).toMatchObject(task.body as object);
  const early = await patch("begin it before what it depends on", "task-001", { status: "in_progress" });
  expect(early.body.error.code).toBe("DEPENDENCY_NOT_MET");

  const { agent_credentials: given } = registered.body;
  expect(departures({ client_id: "", client_secret: "" }, given)).toEqual([]);
  const { agent_credentials } = examples.json("Agent Authentication");
  expect(Object.keys(agent_credentials)).toEqual(expect.arrayContaining(Object.keys(given)));
  names[given.client_secret] = "client_secret";
  const { access_token } = (
    await at("Agent Authentication", `${base}/auth/token`, { agent_credentials: { ...agent_credentials, ...given } })
  ).body;
  names[access_token] = "access_token";
  const agent = await Told.at(told, troupe.base, `${base}${endpoint}?api_key=${access_token}`);
  agent.say("a heartbeat", { heartbeat: { id: 1, agent_id: "agent-001", status: "active", current_tasks: 0 } });
  await agent.hear("acknowledged", (m) => m.ack);
  await agent.hear(
    "its first task",
    event("task.created", (m) => m.payload.id === "task-002"),
  );
  agent.say("done", { report: { id: 2, task_id: "task-002", status: "completed", output_data: { ok: true } } });
  await agent.hear("acknowledged", (m) => m.ack?.id === 2);
  await watcher.hear("WebSocket Event Types: task.completed", event("task.completed"));
  await agent.hear(
    "its second task",
    event("task.created", (m) => m.payload.id === "task-001"),
  );

  const update = examples.http("Update Task Status", { task_id: "task-001" });
  const updated = await told.http("Update Task Status", update);
  expect(updated.body).toMatchObject(update.body as object);
  await watcher.hear("WebSocket Event Types: task.progress", event("task.progress"));
  const format = examples.json("WebSocket Message Format");
  const { progress, status, details } = format.payload;
  await patch("as in the message of the text", "task-001", { status, progress, details });
  const message = await watcher.hear("WebSocket Message Format", event("task.progress"));
  expect(message).toEqual({
    ...format,
    id: expect.any(String),
    timestamp: expect.any(String),
    topic: "task.code_generation.progress",
    payload: { ...message.payload, ...format.payload },
  });
  await patch("it fails", "task-001", { status: "failed", error: { message: "no disk", retryable: false } });
  await watcher.hear("WebSocket Event Types: task.failed", event("task.failed"));
  agent.close();

  for (const type of ["requirement_analysis", "architecture_planning"]) {
    await at("an agent for a stage", "/api/v1/agents/register", { id: type, type });
  }
  await at("one says that it is busy", "/api/v1/agents/requirement_analysis/heartbeat", { status: "busy" });
  await watcher.hear("WebSocket Event Types: agent.status_changed", event("agent.status_changed"));
  await at("and active again", "/api/v1/agents/requirement_analysis/heartbeat", { status: "active" });
  await watcher.hear("once more", event("agent.status_changed"));
  await watcher.hear("one more agent", event("agent.registered"));
  await watcher.hear("and another", event("agent.registered"));
  const workflow = examples.http("Create Workflow");
  const begun = await told.http("Create Workflow", workflow);
  expect(begun.body).toMatchObject({ ...(workflow.body as object), id: "workflow-123" });
  await watcher.hear("WebSocket Event Types: workflow.started", event("workflow.started"));
  for (const [doer, n] of [
    ["requirement_analysis", 1],
    ["architecture_planning", 2],
    ["agent-001", 3],
  ] as const) {
    await work(doer, { n });
    await watcher.hear("WebSocket Event Types: workflow.stage_completed", event("workflow.stage_completed"));
  }
  expect((await at("it is done", "/api/v1/workflows/workflow-123?wait=20")).body.status).toBe("completed");

  const { request, response } = examples.json("Request-Response Pattern");
  await at("the agent that is asked", "/api/v1/agents/register", { id: request.target, type: "generator" });
  const asked = await Told.at(told, troupe.base, `${endpoint}${query}&agent_id=${request.target}`);
  const asker = await Told.at(told, troupe.base, `${endpoint}${query}`);
  asker.say("Request-Response Pattern: request", { request });
  await asker.hear("acknowledged", (m) => m.ack);
  const heard = await asked.hear("Request-Response Pattern: request", (m) => m.request);
  const { callback_url, ...shownRequest } = request;
  expect(heard.request).toMatchObject(shownRequest);
  asked.say("Request-Response Pattern: response", { response });
  await asked.hear("acknowledged", (m) => m.ack);
  const called = await callback(callback_url);
  expect(called).toMatchObject(response);
  const again = { ...request, id: "req-002", callback_url: undefined };
  asker.say("without a callback", { request: again });
  await asker.hear("acknowledged", (m) => m.ack?.id === "req-002");
  await asked.hear("the request", (m) => m.request?.id === "req-002");
  const second = { ...response, id: "resp-002", request_id: "req-002" };
  asked.say("the response", { response: second });
  expect(await asker.hear("comes back", (m) => m.response)).toEqual({ response: second });
  asked.close();

  const { subscription, publication } = examples.json("Publish-Subscribe Pattern");
  asker.say("Publish-Subscribe Pattern: subscription", { subscription });
  await asker.hear("acknowledged", (m) => m.ack?.type === "subscription");
  const about = { priority: "high", project_id: subscription.filters.project_id };
  asker.say("Publish-Subscribe Pattern: publication", { publication });
  await asker.hear("acknowledged", (m) => m.ack?.type === "publication");
  asker.say("one that passes the filters", { publication: { ...publication, attributes: about } });
  const published = await asker.hear("comes", (m) => m.topic === publication.topic);
  expect(published).toMatchObject({ target_agent: subscription.agent_id, payload: publication.data });
  asker.say("an alert", { publication: { topic: "system.alerts", data: { text: "disk" }, attributes: about } });
  await asker.hear("comes by a topic of the text", (m) => m.topic === "system.alerts");
  await watcher.hear("WebSocket Event Types: system.alert", event("system.alert"));
  asker.close();

  await at("it leaves", `/api/v1/agents/${request.target}`, undefined, "DELETE");
  const refused = await at("Standard Error Response", `${base}/requests`, { request: { ...again, id: "req-003" } });
  expect(refused.status).toBe(503);
  expect(departures(examples.json("Standard Error Response"), refused.body)).toEqual([]);
  const { error } = examples.json("Standard Error Response");
  expect(refused.body.error).toMatchObject({ code: error.code, correlation_id: error.correlation_id });
  expect(refused.body.error.details).toMatchObject({ agent_id: error.details.agent_id, retry_after: 60 });

  const metrics = await at("Metrics Collection", examples.http("Metrics Collection").path);
  const wanted = examples.answer("Metrics Collection") as { system_metrics: object; agent_metrics: object };
  expect(departures(wanted.system_metrics, metrics.body.system_metrics)).toEqual([]);
  expect(departures(Object.values(wanted.agent_metrics)[0], metrics.body.agent_metrics["agent-001"])).toEqual([]);
  watcher.close();
  told.check();
});

/** What was called back, as soon as it was. */
async function callback(path: string): Promise<unknown> {
  for (;;) {
    const reply = await fetch(troupe.base + path, { headers });
    const body = (await reply.json()) as { response?: unknown };
    if (reply.status === 200 && body.response !== undefined && body.response !== null) return body.response;
  }
}

test("the codes have the statuses of the text", () => {
  const statuses = Object.fromEntries(
    (Object.keys(errorKinds) as ErrorCode[]).map((code) => [code001(code), errorKinds[code].status]),
  );
  expect(statuses).toMatchObject(examples.json("Error Codes").error_codes);
});

test("no example is left out", () => {
  examples.pass("Message Flow Pattern");
  expect(examples.left()).toEqual([]);
});
