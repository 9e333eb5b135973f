/** The newest things that happened: from what was there before, and live from then on. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { type Real, startReal } from "./support/real-runtime.ts";
import { type Started, startOver } from "./support/start.ts";

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

interface Item {
  readonly type: string;
  readonly name: string;
  readonly key: string;
  readonly at: string;
}

const newest = async (limit: number): Promise<Item[]> => (await on.get(`/v1/activity?limit=${limit}`)).body.data;

async function task(): Promise<string> {
  const { body } = await on.send("POST", "/v1/tasks", { task_type: "echo", input: 1 });
  const id = body.task.task_id;
  await until(async () => (await on.get(`/v1/tasks/${id}`)).body.status === "completed", 20_000);
  return id;
}

test("newest first, what was before the first question and what came after it", async () => {
  const before = await task();
  const seeded = await newest(100);
  const names = (items: Item[], key: string) => items.filter((one) => one.key === key).map((one) => one.name);
  expect(names(seeded, before)).toEqual(["completed", "created"]);
  const after = await task();
  await until(async () => (await newest(100)).some((one) => one.key === after && one.name === "completed"), 20_000);
  const now = await newest(100);
  expect(names(now, after)).toEqual(["completed", "created"]);
  expect(names(now, before)).toEqual(["completed", "created"]);
  const times = now.map((one) => one.at);
  expect([...times].sort().reverse()).toEqual(times);
  expect(await newest(1)).toEqual([now[0]]);
  expect((await on.get("/v1/activity?limit=0")).status).toBe(400);
});
