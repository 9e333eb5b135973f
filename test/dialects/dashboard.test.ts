/** Contract 004's dashboard, health and metrics, and contract 001's metrics, over the real runtime: true numbers in their words. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { type Started, startOver } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

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

async function task(type: string): Promise<string> {
  const reply = await on.send("POST", "/v1/tasks", { task_type: type, input: 1 });
  expect(reply.status).toBe(201);
  return reply.body.task.task_id;
}

const get = async (path: string) => {
  const reply = await on.get(path);
  expect([path, reply.status]).toEqual([path, 200]);
  return reply.body;
};

test("the summary counts what there is, and the list of tasks agrees with it", async () => {
  const before = (await get("/api/v1/dashboard/summary")).tasks;
  expect(before).toEqual({ total: 0, pending: 0, in_progress: 0, completed: 0, failed: 0, cancelled: 0 });
  const [done, waiting, dropped] = [await task("echo"), await task("nobody-does-this"), await task("nobody-does-this")];
  await on.send("DELETE", `/v1/tasks/${dropped}`);
  const wanted = { total: 3, pending: 1, in_progress: 0, completed: 1, failed: 0, cancelled: 1 };
  await until(async () => (await get("/api/v1/dashboard/summary")).tasks.completed === 1, 20_000);
  const summary = await get("/api/v1/dashboard/summary");
  expect(summary.tasks).toEqual(wanted);
  expect(summary).toMatchObject({
    agents: { total: expect.any(Number), active: expect.any(Number), idle: 0, busy: 0 },
    resources: { total: 0, available: 0, in_use: 0 },
    conflicts: { total: 0, open: 0, resolved: 0 },
    websocket_connections: 0,
  });
  const ids = async (query: string) => (await get(`/api/v1/tasks?${query}`)).map((t: { id: string }) => t.id);
  expect(await ids("status_filter=pending")).toEqual([waiting]);
  expect(await ids("status_filter=completed")).toEqual([done]);
  expect(await ids("status_filter=cancelled&priority_filter=5")).toEqual([dropped]);
  expect(await ids("priority_filter=8")).toEqual([]);
  expect(await ids("status_filter=nonsense")).toEqual([]);
  expect(await ids("unknown_filter=1&limit=1")).toEqual([dropped]);
  expect((await on.get("/api/v1/tasks?priority_filter=urgent")).status).toBe(400);
});

test("the activity is newest first, in contract 004's message types", async () => {
  const id = await task("echo");
  const types = async () =>
    (await get("/api/v1/dashboard/activity?limit=50"))
      .filter((one: { data: { task_id?: string } }) => one.data.task_id === id)
      .map((one: { type: string }) => one.type);
  await until(async () => (await types()).length >= 2, 20_000);
  expect((await types()).at(-1)).toBe("task_submitted");
  expect((await types())[0]).toBe("task_completed");
  const all = await get("/api/v1/dashboard/activity?limit=2");
  expect(all).toHaveLength(2);
  for (const one of all) expect(Object.keys(one).sort()).toEqual(["data", "timestamp", "type"]);
  expect(all[0].timestamp >= all[1].timestamp).toBe(true);
});

test("health has contract 004's components and those that play their parts", async () => {
  expect(await get("/api/v1/health")).toEqual({
    status: "healthy",
    components: { platform: "healthy", redis: "healthy", database: "healthy", nats: "healthy", jetstream: "healthy" },
    metrics: {
      active_agents: expect.any(Number),
      active_tasks: expect.any(Number),
      active_connections: expect.any(Number),
    },
    timestamp: expect.stringMatching(/Z$/),
  });
});

test("metrics in contract 001's and 004's fields", async () => {
  await task("echo");
  await until(async () => Object.keys((await get("/api/v1/metrics")).agent_metrics).length > 0, 20_000);
  const metrics = await get("/api/v1/metrics");
  expect(Object.keys(metrics.system_metrics).sort()).toEqual(
    ["active_agents", "average_response_time", "completed_workflows", "error_rate", "pending_tasks"].sort(),
  );
  for (const value of Object.values(metrics.system_metrics)) expect(value).toEqual(expect.any(Number));
  const [agent] = Object.keys(metrics.agent_metrics) as [string];
  expect(metrics.agent_metrics[agent]).toMatchObject({ success_rate: 1, average_execution_time: expect.any(Number) });
  const performance = await get("/api/v1/metrics/performance?time_range=1h");
  expect(performance).toMatchObject({ agent_id: null, time_range: "1h", tasks_failed: 0 });
  expect(performance.tasks_completed).toBeGreaterThan(0);
  expect((await on.get("/api/v1/metrics/performance?agent_id=agent-123")).status).toBe(404);
  expect((await on.get("/api/v1/metrics/performance?time_range=century")).status).toBe(400);
});
