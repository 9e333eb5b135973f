/** Every example of contract 004's text, against the real server, as one transcript over HTTP and sockets. */
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { departures, Examples } from "./examples.ts";
import { Told } from "./socket-transcript.ts";
import { type Got, Transcript } from "./transcript.ts";

const examples = new Examples("004");
/** The text's placeholders for credentials work as they stand: each is a key here, or the secret. */
const keys = "text:your-token-here,curl:your-token,client:your-api-key";
const [, secret = "", alg = ""] =
  /jwt\.encode\(payload, "([^"]+)", algorithm="([^"]+)"\)/.exec(examples.text("JWT Authentication")) ?? [];
const [, subject = ""] = /"sub": "([^"]+)"/.exec(examples.text("JWT Authentication")) ?? [];
const token = { headers: { authorization: "Bearer your-token" } };
let troupe: Troupe;
let told: Transcript;
beforeAll(async () => {
  troupe = await startTroupe({ TROUPE_API_KEYS: keys, TROUPE_JWT_SECRET: secret });
  told = new Transcript("004", troupe.base, { vary: ["client_secret", "uptime_seconds"] });
}, 400_000);
afterAll(() => troupe?.stop());

// biome-ignore lint/suspicious/noExplicitAny: answers and messages are any JSON
type Any = any;
/** Agents that run inside the node have names of the machine, and come in any order. */
const ours = (list: Any) => (Array.isArray(list) ? list.filter((one) => !/-[a-z0-9]{8}$/.test(one.id)) : list);

/** The commands of a block, one after another; each succeeds. */
async function run(id: string, values: Record<string, string> = {}, shown: (body: Any) => unknown = ours) {
  const answers: Got[] = [];
  for (const sent of examples.curl(id, values)) {
    const got = await told.http(id, sent, shown);
    expect([id, sent.path, got.status]).toEqual([id, sent.path, 200]);
    answers.push(got);
  }
  expect(answers).not.toEqual([]);
  return answers.map(({ body }) => body);
}
const bodyIn = (id: string) => examples.curl(id)[0]?.body as Record<string, Any>;
const ids = (list: Any): string[] => list.map((one: { id: string }) => one.id);
const socketAt = (id: string): string =>
  `${/wss?:\/\/[^/]+(\/[^' \n]*)/.exec(examples.text(id))?.[1]}?api_key=your-api-key`;
/** What a program of the text sends. */
const saidIn = (id: string): Any =>
  JSON.parse(/(?:stringify|send_json)\((\{[\s\S]*?\})\)/.exec(examples.text(id))?.[1] ?? "");

const format = examples.json("Message Format");
async function hear(socket: Told, type: string, what = `Event Types: ${type}`): Promise<Any> {
  const message = await socket.hear(what, (m) => m.type === type);
  expect([departures(format, message), Object.keys(message)]).toEqual([[], Object.keys(format)]);
  return message.data;
}
/** Takes the agent's next task and completes it. */
async function work(agent: string): Promise<void> {
  const { body } = await told.http("the agent takes a task", {
    ...token,
    path: `/api/v1/agents/${agent}/tasks/next?wait=30`,
  });
  await told.http("and completes it", {
    ...token,
    method: "PATCH",
    path: `/api/v1/tasks/${body.task.id}`,
    body: { status: "completed", output_data: { rows: 3 } },
  });
}

const agentFields = { id: "", name: "", capabilities: [""], resources: {}, metadata: {}, status: "", created_at: "" };
const taskFields = {
  ...{ id: "", title: "", description: "", priority: 8, required_capabilities: [""], resources: {}, deadline: "" },
  ...{ metadata: {}, status: "", assigned_agent: null, created_at: "", completed_at: null },
};

/** Names that the text lists outside of its examples. */
const metricNames = [
  "http_requests_total",
  "http_request_duration_seconds",
  "agent_platform_active_agents_total",
  "agent_platform_active_tasks_total",
  "websocket_connections_total",
];

test("HTTP and sockets", { timeout: 240_000 }, async () => {
  await run("Authentication");
  const ws = await Told.at(told, troupe.base, socketAt("Connection"));
  ws.say("Subscription", saidIn("Subscription"));
  const confirmed = await ws.hear("confirmed", (m) => m.type === "subscription_confirmed");
  expect(confirmed).toEqual({ ...saidIn("Subscription"), type: "subscription_confirmed" });

  const [agent] = await run("Register Agent");
  expect(departures(agentFields, agent)).toEqual([]);
  expect(agent).toMatchObject({ ...bodyIn("Register Agent"), status: "active" });
  const agent_id: string = agent.id;
  expect((await hear(ws, "agent_registered")).agent_id).toBe(agent_id);
  for (const list of await run("List Agents")) expect(ids(list)).toContain(agent_id);
  const [details] = await run("Get Agent Details", { agent_id });
  expect(departures(agentFields, details)).toEqual([]);
  await run("API Key Authentication");
  const signed = await new SignJWT({})
    .setProtectedHeader({ alg })
    .setSubject(subject)
    .setExpirationTime("24h")
    .sign(new TextEncoder().encode(secret));
  const byToken = { path: "/api/v1/agents", headers: { authorization: `Bearer ${signed}` } };
  expect((await told.http("JWT Authentication", byToken, ours)).status).toBe(200);

  const [task] = await run("Submit Task");
  expect(departures(taskFields, task)).toEqual([]);
  expect(task).toMatchObject({ ...bodyIn("Submit Task"), status: "pending" });
  const task_id: string = task.id;
  expect(await hear(ws, "task_submitted")).toMatchObject({ task_id });
  expect(await hear(ws, "task_assigned")).toMatchObject({ task_id, agent_id });
  for (const list of await run("List Tasks")) expect(ids(list)).toEqual([task_id]);
  await run("Get Task Details", { task_id });
  await work(agent_id);
  expect(await hear(ws, "task_completed")).toMatchObject({ task_id, status: "completed", agent_id });

  const [resource] = await run("Register Resource");
  expect(resource).toMatchObject({ ...bodyIn("Register Resource"), status: "available" });
  for (const list of await run("List Resources")) expect(ids(list)).toEqual([resource.id]);
  const [conflict] = await run("Report Conflict");
  expect(conflict).toMatchObject({ ...bodyIn("Report Conflict"), status: "open" });
  expect(await hear(ws, "conflict_reported")).toMatchObject({ conflict_id: conflict.id });
  for (const list of await run("List Conflicts")) expect(ids(list)).toEqual([conflict.id]);
  const resolving = { strategy: "manual", note: "the second one waits" };
  await told.http("resolve it", { ...token, path: `/api/v1/conflicts/${conflict.id}/resolve`, body: resolving });
  expect(await hear(ws, "conflict_resolved")).toMatchObject({ conflict_id: conflict.id });

  const [gone] = await run("Deregister Agent", { agent_id });
  expect(Object.keys(gone)).toEqual(["message"]);
  expect(await hear(ws, "agent_deregistered")).toMatchObject({ agent_id });

  const [workflow] = await run("Create Workflow");
  const { steps: _, ...sent } = bodyIn("Create Workflow");
  expect(workflow).toMatchObject({ ...sent, status: "created" });
  const [execution] = await run("Execute Workflow", { workflow_id: workflow.id });
  expect(execution).toMatchObject({ execution_id: expect.any(String), workflow_id: workflow.id });
  const doer = { name: "doer", id: "agent-123", capabilities: ["data_ingestion", "data_processing", "result_export"] };
  await told.http("an agent for its steps", { ...token, path: "/api/v1/agents", body: doer });
  for (const step of bodyIn("Create Workflow").steps) {
    await work("agent-123");
    await hear(ws, "task_completed", `step ${step.name}: task_completed`);
  }
  const done = await told.http("it is done", { ...token, path: `/api/v1/workflows/${workflow.id}?wait=20` });
  expect(done.body.status).toBe("completed");

  await run("Get Performance Metrics", {}, Object.keys);
  const [summary] = await run("Get Dashboard Summary");
  const counts = { total: 0, pending: 0, in_progress: 0, completed: 0, failed: 0 };
  expect(
    departures(
      {
        agents: { total: 0, active: 0, idle: 0, busy: 0 },
        tasks: counts,
        resources: { total: 0, available: 0, in_use: 0 },
        conflicts: { total: 0, open: 0, resolved: 0 },
        websocket_connections: 0,
      },
      summary,
    ),
  ).toEqual([]);
  const [activity] = await run("Get Dashboard Activity", {}, (list) => list.slice(0, 3));
  for (const one of activity) expect(departures(format, one)).toEqual([]);
  const times = activity.map((one: Any) => Date.parse(one.timestamp));
  expect(times).toEqual([...times].sort((a, b) => b - a));

  const client = await Told.at(told, troupe.base, socketAt("Example WebSocket Client"));
  client.say("Example WebSocket Client", saidIn("Example WebSocket Client"));
  await client.hear("confirmed", (m) => m.type === "subscription_confirmed");
  await told.http("somebody comes", { ...token, path: "/api/v1/agents", body: { name: "late", id: "late" } });
  await hear(client, "agent_registered");
  const metrics = { type: "subscribe", subscriptions: ["system_metrics"] };
  client.say("Event Types: system_metrics", metrics);
  await client.hear("confirmed", (m) => m.type === "subscription_confirmed" && m.subscriptions.length === 1);
  expect(await hear(client, "system_metrics")).toMatchObject({ active_agents: expect.any(Number) });
  const plain = await Told.at(told, troupe.base, socketAt("WebSocket Connection Issues"));
  for (const socket of [ws, client, plain]) socket.close();

  const [exposed] = await run("Prometheus Metrics", {}, () => metricNames);
  for (const name of metricNames)
    expect(exposed).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`, "m"));
  expect((await run("High Response Times", {}, () => "text"))[0]).toContain("http_request_duration_seconds_bucket");
  const [health] = await run("Health Check");
  expect(departures(examples.json("Health Check 2"), health)).toEqual([]);
  expect(health).toMatchObject({ status: "healthy", components: examples.json("Health Check 2").components });
  await run("Installation 6");
  const docs = await told.http("Installation 6: the documentation", { path: "/docs" }, () => "a page");
  expect([docs.status, docs.headers.get("content-type")]).toEqual([200, expect.stringContaining("text/html")]);
  told.check();
});

test("no example is left out", () => {
  const install = ["Installation", "Installation 2", "Installation 3", "Installation 4", "Installation 5"];
  const elsewhere = ["Docker Deployment", "Kubernetes Deployment", "Running Tests", "Code Quality"];
  const trouble = ["API Server Won't Start", "Redis Connection Issues", "Memory Issues", "Debug Mode"];
  examples.pass(...install, ...elsewhere, ...trouble, "Adding New Endpoints");
  expect(examples.left()).toEqual([]);
});
