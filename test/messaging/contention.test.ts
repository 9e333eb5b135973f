/** Two tasks that want one exclusive resource, in a real Troupe: found by the runtime, told, and decided by priority. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { until } from "../support/until.ts";

let troupe: Troupe;
beforeAll(async () => {
  troupe = await startTroupe();
}, 60_000);
afterAll(() => troupe.stop());

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
async function send(method: string, path: string, body?: unknown): Promise<any> {
  const response = await fetch(troupe.base + path, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  const text = await response.text();
  expect([path, response.status < 300, text]).toEqual([path, true, text]);
  return text === "" ? undefined : JSON.parse(text);
}

test("the lower one gives the resource back, uncharged, and the higher one gets it; subscribers hear of it", async () => {
  const worker = { agent_id: "w", agent_type: "trainer", max_concurrent_tasks: 2 };
  expect((await send("POST", "/v1/agents", worker)).client_id).toBe("w");
  const gpu = { resource_id: "gpu-001", name: "GPU", resource_type: "gpu", capacity: { gpus: 1 } };
  await send("POST", "/v1/resources", { ...gpu, metadata: { exclusive: true } });
  await send("POST", "/v1/subscriptions", { subscription_id: "alerts", topics: ["conflict.*"] });
  const create = (priority: number) =>
    send("POST", "/v1/tasks", { task_type: "trainer", input: 1, priority, resources: { gpus: 1 } });
  const next = () => send("GET", "/v1/agents/w/tasks/next?wait=20");
  const low = (await create(2)).task.task_id;
  expect((await next()).task.task_id).toBe(low);
  await send("PATCH", `/v1/tasks/${low}`, { status: "running", agent_id: "w" });
  const high = (await create(9)).task.task_id;
  let conflict: { conflict_id: string; tasks: string[] } | undefined;
  await until(async () => {
    [conflict] = (await send("GET", "/v1/conflicts?conflict_type=resource_contention&status=open")).data;
    return conflict !== undefined;
  }, 30_000);
  expect(new Set(conflict?.tasks)).toEqual(new Set([low, high]));
  expect(conflict).toMatchObject({ reported_by: "runtime", metadata: { resource_id: "gpu-001" } });
  const path = `/v1/conflicts/${conflict?.conflict_id}/resolve`;
  const resolved = await send("POST", path, { strategy: "priority" });
  expect(resolved.resolution).toMatchObject({ winner: high, losers: [low] });
  await until(async () => (await send("GET", "/v1/resources/gpu-001")).held_by[0] === high, 30_000);
  expect((await next()).task.task_id).toBe(high);
  await send("PATCH", `/v1/tasks/${high}`, { status: "completed", agent_id: "w", output: { done: true } });
  // Then the other has its turn, in a new attempt that is not charged.
  expect((await next()).task.task_id).toBe(low);
  await send("PATCH", `/v1/tasks/${low}`, { status: "completed", agent_id: "w" });
  const ended = await send("GET", `/v1/tasks/${low}`);
  expect([ended.status, ended.attempts[0].result]).toEqual(["completed", "lost"]);
  await until(async () => (await send("GET", "/v1/resources/gpu-001")).held_by.length === 0, 30_000);
  const heard = (await send("GET", "/v1/subscriptions/alerts/messages")).data.map((m: { topic: string }) => m.topic);
  expect(heard.slice(0, 2)).toEqual(["conflict.reported", "conflict.resolved"]);
}, 120_000);
