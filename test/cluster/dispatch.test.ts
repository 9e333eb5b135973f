/**
 * Work finds its agent wherever that is: hosted by one node only, or outside of all; and stays with it when the
 * node that looked for it dies.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { type Process, post, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let able: Process;
let plain: Process;

beforeAll(async () => {
  cluster = await TestCluster.create();
  able = await cluster.spawn("all", "able");
  plain = await cluster.spawn("all", "plain", { TROUPE_AGENTS: "" });
  await Promise.all([able.ready(), plain.ready()]);
  await until(
    async () => {
      const { members } = await plain.json<{ members: { partitions: number }[] }>("/v1/cluster");
      return members.length === 2 && members.every(({ partitions }) => partitions > 0);
    },
    60_000,
    "both nodes to own partitions",
  );
}, 180_000);
afterAll(() => cluster?.dispose(), 60_000);

interface Task {
  readonly task_id: string;
  readonly status: string;
  readonly attempt: number;
  readonly agent: string | null;
  readonly output: unknown;
}

const read = (at: Process, id: string) => at.json<Task>(`/v1/tasks/${id}`);

async function patch(at: Process, id: string, body: object): Promise<{ status: number; body: Task }> {
  const answer = await fetch(`${at.base}/v1/tasks/${id}`, {
    method: "PATCH",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000),
  });
  return { status: answer.status, body: (await answer.json()) as Task };
}

test("a node that lacks an agent gets its tasks done by the node that hosts it", { timeout: 120_000 }, async () => {
  const ids = Array.from({ length: 40 }, (_, i) => `far-${i}`);
  for (const [i, task_id] of ids.entries()) {
    const made = await post(plain.base, "/v1/tasks", {
      task_id,
      task_type: "chaos-slow",
      input: { ms: 20, value: i },
    });
    expect(made.status).toBe(201);
  }
  for (const [i, id] of ids.entries()) {
    await until(async () => (await read(plain, id)).status === "completed", 60_000, `${id} to complete`);
    expect(await read(plain, id)).toMatchObject({ output: { value: i }, agent: "chaos-slow-able", attempt: 1 });
    expect(cluster.effectsOf(id).map(({ phase }) => phase)).toEqual(["begin", "end"]);
  }
  const agent = await plain.json<{ current_tasks: string[] }>("/v1/agents/chaos-slow-able");
  expect(agent.current_tasks).toEqual([]);
});

test("a cancelled task is taken from the node that runs it, and its slot comes back", {
  timeout: 120_000,
}, async () => {
  const ids = Array.from({ length: 16 }, (_, i) => `hang-${i}`);
  for (const task_id of ids) await post(plain.base, "/v1/tasks", { task_id, task_type: "chaos-hanging", input: null });
  for (const id of ids) {
    await until(async () => (await read(plain, id)).status === "running", 60_000, `${id} to run`);
    const answer = await fetch(`${plain.base}/v1/tasks/${id}`, { method: "DELETE" });
    expect(answer.status).toBe(202);
  }
  await until(
    async () => {
      const { current_tasks: tasks } = await plain.json<{ current_tasks: string[] }>("/v1/agents/chaos-hanging-able");
      const { hosted } = await able.json<{ hosted: { type: string; running: number }[] }>("/v1/status");
      return tasks.length === 0 && hosted.find(({ type }) => type === "chaos-hanging")?.running === 0;
    },
    60_000,
    "no slot and no function to be taken",
  );
});

test("an agent from outside keeps its attempt when the node of its task dies; new work still finds it", {
  timeout: 180_000,
}, async () => {
  const registered = await post(able.base, "/v1/agents", {
    agent_id: "outside",
    agent_type: "outside",
    max_concurrent_tasks: 8,
    heartbeat_ms: 60_000,
  });
  expect(registered.status).toBe(201);
  const ids = Array.from({ length: 8 }, (_, i) => `out-${i}`);
  for (const task_id of ids) {
    expect((await post(able.base, "/v1/tasks", { task_id, task_type: "outside", input: null })).status).toBe(201);
  }
  const taken = new Map<string, number>();
  while (taken.size < ids.length) {
    const { task } = await able.json<{ task: Task | null }>("/v1/agents/outside/tasks/next?wait=10");
    if (task === null) continue;
    expect(taken.has(task.task_id)).toBe(false);
    taken.set(task.task_id, task.attempt);
    expect((await patch(able, task.task_id, { status: "running", agent_id: "outside" })).status).toBe(200);
  }
  const further = Array.from({ length: 4 }, (_, i) => `later-${i}`);
  for (const task_id of further) await post(able.base, "/v1/tasks", { task_id, task_type: "outside", input: null });
  await plain.end("SIGKILL");
  for (const id of ids) {
    await until(
      async () => (await patch(able, id, { status: "completed", agent_id: "outside", output: id })).status === 200,
      60_000,
      `${id} to be reported`,
    );
    const done = await read(able, id);
    expect(done).toMatchObject({ status: "completed", output: id, attempt: taken.get(id) });
  }
  const rest = new Set(further);
  const deadline = performance.now() + 90_000;
  while (rest.size > 0 && performance.now() < deadline) {
    const { task } = await able.json<{ task: Task | null }>("/v1/agents/outside/tasks/next?wait=5");
    if (task === null) continue;
    await patch(able, task.task_id, { status: "completed", agent_id: "outside" });
    rest.delete(task.task_id);
  }
  expect([...rest]).toEqual([]);
  await until(
    async () => (await able.json<{ current_tasks: string[] }>("/v1/agents/outside")).current_tasks.length === 0,
    60_000,
    "all slots to come back",
  );
});
