/** Three copies on three servers, NATS_URL with all of them: any one server may die under a load. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { Load, type Process, post, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let gateway: Process;

beforeAll(async () => {
  cluster = await TestCluster.create(3);
  const node = await cluster.spawn("node", "node");
  gateway = await cluster.spawn("gateway", "gateway");
  await node.ready();
  await gateway.ready();
}, 150_000);
afterAll(() => cluster?.dispose(), 60_000);

test("a server at a time dies and comes back: what waits up to 30 s succeeds", { timeout: 240_000 }, async () => {
  for (const server of cluster.servers) {
    const load = new Load(gateway.base, 2);
    await until(() => load.done > 20, 60_000, "20 requests");
    await server.kill9();
    // As a client that tries again for 30 s: whatever the single answers were.
    const deadline = performance.now() + 30_000;
    let status = 0;
    while (status !== 201 && performance.now() < deadline) {
      status = (await post(gateway.base, "/v1/tasks", { task_type: "nobody", input: null })).status;
    }
    expect(status).toBe(201);
    const before = load.done;
    await until(() => load.done > before + 20, 60_000, "20 requests more");
    await load.stop();
    const { done, failed, longestMs } = load.take();
    console.log(
      `a nats-server died: ${done} requests, ${failed.length} failed (${failed.slice(0, 3)}), longest ${longestMs} ms`,
    );
    expect(failed.every((text) => /^(503|504) (unavailable|moved|timed_out)$/.test(text))).toBe(true);
    await server.restart();
    await until(async () => (await gateway.status("/readyz")) === 200, 60_000, "readiness");
  }
});
