/** Issue 2, section 1: how Troupe starts, drains, and shares nothing, on the real processes. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { readEffects } from "./check.ts";
import { type Body, Client } from "./client.ts";
import { endOf, eventually, Troupe } from "./harness.ts";

let troupe: Troupe;
let client: Client;

beforeEach(async () => {
  troupe = await Troupe.create();
  client = new Client(troupe.base);
});
afterEach(() => troupe.dispose());

async function createTask(body: Body): Promise<string> {
  const reply = await client.send("POST", "/v1/tasks", { ...body, retry: { max_attempts: 1 } }, "the only one");
  return (reply.body.task as Body).task_id as string;
}

const begun = (task: string, attempts: number) =>
  eventually("the attempt's begin", () => (readEffects(troupe.effects).get(task)?.length ?? 0) >= attempts);

const taskIn = (id: string, status: string) =>
  eventually(`${id} ${status}`, async () => {
    const task = await client.get(`/v1/tasks/${id}`);
    return task.status === status && task;
  });

test("Ctrl-C lets a running task finish, then ends all with code 0", { timeout: 60_000 }, async () => {
  await troupe.start();
  const task = await createTask({ task_type: "chaos-slow", input: { ms: 800, value: 1 } });
  await begun(task, 1);
  expect(await troupe.interrupt()).toEqual({ code: 0, signal: null });
  expect(troupe.natsPid()).toBeNull();
  await troupe.start();
  const { status, attempts, output } = await client.get(`/v1/tasks/${task}`);
  expect({ status, output, results: (attempts as Body[]).map((attempt) => attempt.result) }).toEqual({
    status: "completed",
    output: { value: 1 },
    results: ["completed"],
  });
});

test("Ctrl-C gives back what does not finish in time, and charges nothing", { timeout: 60_000 }, async () => {
  await troupe.start({ TROUPE_DRAIN_MS: "200" });
  const task = await createTask({ task_type: "chaos-hanging", input: null });
  await begun(task, 1);
  expect(await troupe.interrupt()).toEqual({ code: 0, signal: null });
  expect(troupe.natsPid()).toBeNull();
  await troupe.start();
  await begun(task, 2);
  const { attempts } = await taskIn(task, "running");
  expect((attempts as Body[]).map(({ attempt, result }) => ({ attempt, result }))).toEqual([
    { attempt: 1, result: "lost" },
  ]);
  expect(
    readEffects(troupe.effects)
      .get(task)
      ?.map(({ attempt }) => attempt),
  ).toEqual([1, 2]);
});

test("a second Troupe on the same data directory says so and ends with code 1", { timeout: 60_000 }, async () => {
  await troupe.start();
  const nats = troupe.natsPid();
  const second = troupe.launch({ PORT: "0" });
  expect(await endOf(second)).toEqual({ code: 1, signal: null });
  expect(troupe.log()).toContain(`Another Troupe (process ${troupe.pid}) runs on the data directory`);
  expect(troupe.natsPid()).toBe(nats);
  const reply = await client.once("GET", "/readyz");
  expect(reply?.status).toBe(200);
});

test("a nats-server left behind by kill -9 is taken over", { timeout: 60_000 }, async () => {
  await troupe.start();
  const nats = troupe.natsPid();
  expect(nats).not.toBeNull();
  await troupe.kill();
  expect(troupe.natsPid()).toBe(nats);
  await troupe.start();
  expect(troupe.natsPid()).toBe(nats);
});
