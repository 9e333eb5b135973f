/** Nodes come, go and die under a load over HTTP: partitions move, no request fails, work is neither lost nor done twice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { type ClusterView, Load, type Process, post, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let gateway: Process;
let load: Load;

const view = () => gateway.json<ClusterView>("/v1/cluster");
const bootOf = async (name: string) => (await view()).members.find((m) => m.node === name)?.boot;
const task = (id: string) => gateway.json<{ status: string }>(`/v1/tasks/${id}`);

/** Creates slow tasks until each of the partitions' owners runs one. */
async function slowTasks(count: number, ms: number): Promise<string[]> {
  const body = { task_type: "chaos-slow", input: { ms, value: 1 } };
  const replies = await Promise.all(Array.from({ length: count }, () => post(gateway.base, "/v1/tasks", body)));
  const ids = replies.map((reply) => reply.body.task?.task_id ?? `failed with ${reply.status}`);
  await until(() => ids.every((id) => cluster.effectsOf(id).length > 0), 20_000, "the tasks to begin");
  return ids;
}

async function allCompleted(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await until(async () => (await task(id)).status === "completed", 40_000, `${id} to complete`);
  }
}

/** By the luck of its hash a node may be given no partition at all: then another one is started. */
async function nodeWithPartitions(name: string): Promise<{ node: Process; boot: string; owned: Set<number> }> {
  for (let tries = 0; ; tries++) {
    const node = await (await cluster.spawn("node", `${name}-${tries}`)).ready();
    const boot = (await bootOf(node.name)) ?? "";
    let owned = new Set<number>();
    const settled = async () => {
      const { partitions } = await view();
      owned = new Set(partitions.filter((p) => p.node === boot).map((p) => p.partition));
      return partitions.every((p) => p.state === "serving");
    };
    await until(settled, 30_000, "every partition's owner");
    if (owned.size > 0) return { node, boot, owned };
    await node.end("SIGTERM");
  }
}

beforeAll(async () => {
  cluster = await TestCluster.create();
  const a = await cluster.spawn("node", "a");
  gateway = await cluster.spawn("gateway", "g");
  await a.ready();
  await gateway.ready();
  load = new Load(gateway.base);
}, 120_000);
afterAll(async () => {
  await load?.stop();
  await cluster?.dispose();
}, 60_000);

test("a gateway owns nothing, a node serves nothing but its health", async () => {
  const { members, partitions } = await view();
  expect(members.map(({ node, role, partitions: n }) => [node, role, n])).toEqual([
    ["a", "node", 8],
    ["g", "gateway", 0],
  ]);
  expect(partitions.every((p) => p.state === "serving")).toBe(true);
});

test("a node joins: partitions move, no request fails, running work goes on", { timeout: 120_000 }, async () => {
  const slow = await slowTasks(8, 8000);
  load.take();
  const b = await cluster.spawn("node", "b");
  expect(await b.status("/v1/status")).not.toBe(200);
  await b.ready();
  expect(await b.status("/healthz")).toBe(200);
  expect(await b.status("/v1/tasks")).toBe(404);
  const moved = (await view()).members.find((m) => m.node === "b")?.partitions ?? 0;
  await allCompleted(slow);
  const { done, failed, longestMs } = load.take();
  console.log(`join: ${moved} of 8 partitions moved, ${done} requests, longest ${longestMs} ms`);
  expect(failed).toEqual([]);
  expect(moved).toBeGreaterThan(0);
  expect(moved).toBeLessThan(8);
  for (const id of slow) {
    expect(cluster.effectsOf(id)).toEqual([
      { attempt: 1, phase: "begin" },
      { attempt: 1, phase: "end" },
    ]);
  }
});

test("a node drains: no request fails, running work is finished", { timeout: 120_000 }, async () => {
  const c = await (await cluster.spawn("node", "c")).ready();
  const slow = await slowTasks(8, 3000);
  load.take();
  expect(await c.end("SIGTERM")).toBe(0);
  await allCompleted(slow);
  const { done, failed, longestMs } = load.take();
  console.log(`drain: ${done} requests, longest ${longestMs} ms`);
  expect(failed).toEqual([]);
  for (const id of slow) expect(cluster.effectsOf(id).filter((e) => e.phase === "begin")).toHaveLength(1);
});

test("a node dies: its partitions are taken over, its work is a new attempt", { timeout: 180_000 }, async () => {
  const times: number[] = [];
  for (let round = 0; round < 3; round++) {
    const { node: d, boot, owned } = await nodeWithPartitions(`d${round}`);
    const slow = await slowTasks(8, 4000);
    load.take();
    const killed = performance.now();
    await d.end("SIGKILL");
    await until(
      async () => (await view()).partitions.every((p) => !owned.has(p.partition) || (p.node ?? boot) !== boot),
      30_000,
      "the take-over",
    );
    times.push(Math.round(performance.now() - killed));
    await allCompleted(slow);
    const { done, failed, longestMs } = load.take();
    console.log(
      `kill -9: ${owned.size} partitions taken over in ${times.at(-1)} ms, ${done} requests, longest ${longestMs} ms`,
    );
    expect(failed).toEqual([]);
    for (const id of slow) {
      const begun = cluster.effectsOf(id).filter((e) => e.phase === "begin");
      expect(begun.map((e) => e.attempt)).toEqual(begun.length === 1 ? [1] : [1, 2]);
      // The first may have come to its end just before the kill, its report unheard.
      const ended = cluster.effectsOf(id).filter((e) => e.phase === "end" && e.attempt === begun.length);
      expect(ended).toHaveLength(1);
    }
  }
  expect(Math.max(...times)).toBeLessThan(10_000);
});
