/** An agent that speaks plain NATS and nothing else: registers, takes its task, reports, leaves. */
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { startTroupe, type Troupe } from "./support/troupe.ts";

let server: TestNatsServer;
let troupe: Troupe;
let nats: NatsConnection;
beforeAll(async () => {
  server = await startNatsServer();
  troupe = await startTroupe({ NATS_URL: server.url });
  nats = await connect({ servers: server.url });
}, 400_000);
afterAll(async () => {
  await nats?.close();
  await troupe?.stop();
  await server?.stop();
});

async function ask(subject: string, body?: unknown) {
  const bytes = body === undefined ? "" : typeof body === "string" ? body : JSON.stringify(body);
  return (await nats.request(subject, bytes, { timeout: 60_000 })).json<Record<string, never>>();
}
const post = async (path: string, body: unknown) => {
  const headers = { "content-type": "application/json" };
  const reply = await fetch(troupe.base + path, { method: "POST", headers, body: JSON.stringify(body) });
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  return (await reply.json()) as any;
};

test("an agent's day over NATS alone", { timeout: 120_000 }, async () => {
  const registered = await ask("agents.nat-1.register", { agent_type: "nats_work", capabilities: ["pipes"] });
  expect(registered).toMatchObject({ agent: { agent_id: "nat-1", agent_type: "nats_work" }, client_secret: null });
  const waiting = ask("agents.nat-1.next", { wait: 30 });
  const { task } = await post("/v1/tasks", { task_type: "nats_work", input: { n: 1 } });
  expect(await waiting).toMatchObject({ task: { task_id: task.task_id, input: { n: 1 }, status: "assigned" } });
  const begun = await ask("agents.nat-1.report", { task_id: task.task_id, status: "running", progress: 0.5 });
  expect(begun).toMatchObject({ status: "running", progress: { fraction: 0.5 } });
  expect(await ask("agents.nat-1.heartbeat", { tasks: [task.task_id] })).toMatchObject({ cancelled: [] });
  const done = { task_id: task.task_id, status: "completed", output: { n: 2 } };
  expect(await ask("agents.nat-1.report", done)).toMatchObject({ status: "completed", output: { n: 2 } });
  expect(await ask("agents.nat-1.next")).toEqual({ task: null });
  expect(await ask("agents.nat-1.get")).toMatchObject({ status: "idle", current_tasks: [] });
  expect(await ask("agents.nat-1.deregister")).toMatchObject({ status: "gone" });
});

test("what is wrong is answered as over HTTP, and a subject speaks for its agent alone", async () => {
  const code = async (subject: string, body?: unknown) =>
    ((await ask(subject, body)) as unknown as { error: { code: string } }).error.code;
  const { task } = await post("/v1/tasks", { task_type: "nobody_does_this", input: 1, assigned_agent: "other" });
  await ask("agents.nat-2.register", {});
  expect(await code("agents.nat-2.report", { task_id: task.task_id, status: "completed" })).toBe("forbidden");
  expect(await code("agents.nat-2.fly", {})).toBe("not_found");
  expect(await code("agents.nat-2.constructor", {})).toBe("not_found");
  expect(await code("agents.nobody.next")).toBe("not_found");
  expect(await code("agents.nat-2.next", "nonsense")).toBe("invalid_input");
  expect(await code("agents.nat-2.next", [])).toBe("invalid_input");
  expect(await code("agents.nat-2.next", { wait: "long" })).toBe("invalid_input");
  expect(await code("agents.=ZZ.heartbeat")).toBe("not_found");
});
