/** The store has no room: commands are refused by name, nothing is half-done, what is there can be read; with room all goes on. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Process, post, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let both: Process;

beforeAll(async () => {
  cluster = await TestCluster.create();
  both = await (await cluster.spawn("all")).ready();
}, 120_000);
afterAll(() => cluster?.dispose(), 60_000);

/** Bounds every journal stream to what it holds (and a little), or frees it again. */
async function room(free: boolean): Promise<void> {
  const nc = await connect({ servers: cluster.nats.url });
  const manager = await jetstreamManager(nc);
  for await (const { config, state } of manager.streams.list()) {
    if (!config.name.startsWith("TROUPE_JOURNAL")) continue;
    await manager.streams.update(config.name, { max_bytes: free ? -1 : state.bytes + 10 });
  }
  await nc.close();
}

const create = () => post(both.base, "/v1/tasks", { task_type: "nobody", input: null });
const listed = async () => (await both.json<{ data: unknown[] }>("/v1/tasks?limit=100")).data.length;

test("a full journal refuses commands with storage_full and keeps what it has", { timeout: 120_000 }, async () => {
  const first = await create();
  expect(first.status).toBe(201);
  const { task } = first.body as { task: { task_id: string } };
  const before = await listed();
  await room(false);
  for (let i = 0; i < 10; i++) {
    expect(await create()).toMatchObject({ status: 507, body: { error: { code: "storage_full", retryable: true } } });
  }
  expect(await listed()).toBe(before);
  expect(await both.status(`/v1/tasks/${task.task_id}`)).toBe(200);
  await room(true);
  expect((await create()).status).toBe(201);
  expect(await listed()).toBe(before + 1);
});
