/** A thousand WebSocket clients at once, in another process, on the real thing: each event once, in order. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Handlers } from "./support/clients.ts";
import { startTroupe, type Troupe } from "./support/troupe.ts";

const clientsCount = 1_000;
const workflowsCount = 60;
const pattern = "event.*.run.>";
const names = ["started", "stage_started", "stage_completed", "completed"];
/** What one idle client may cost the node, all in all. */
const clientBytesMax = 48 * 1024;

const workflows = Array.from({ length: workflowsCount }, (_, i) => `echo-${i}`);
let troupe: Troupe;
let clients: ChildProcess;
/** Before the first run. */
let beginning: string;

beforeAll(async () => {
  clients = fork(join(import.meta.dirname, "support/clients.ts"), { execArgv: ["--import", "tsx"] });
  troupe = await startTroupe();
});
afterAll(async () => {
  clients.kill();
  await troupe.stop();
});

async function call<K extends keyof Handlers>(
  name: K,
  ...[input]: Parameters<Handlers[K]>
): Promise<Awaited<ReturnType<Handlers[K]>>> {
  const answer = once(clients, "message");
  clients.send({ call: name, input: input ?? null });
  const [{ result, error }] = (await answer) as [{ result: Awaited<ReturnType<Handlers[K]>>; error?: string }];
  if (error !== undefined) throw new Error(error);
  return result;
}

async function send(method: string, path: string, body: unknown): Promise<number> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(troupe.base + path, { method, headers, body: JSON.stringify(body) });
  await response.arrayBuffer();
  return response.status;
}

/** Several at once, all of them. */
async function each<T>(items: readonly T[], atOnce: number, act: (item: T) => Promise<unknown>): Promise<void> {
  const left = [...items];
  const worker = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** One run of each workflow. */
const runAll = (): Promise<void> =>
  each(workflows, 16, async (name) => {
    expect(await send("POST", "/v1/runs", { workflow: { name }, input: { pad: "x".repeat(500) } })).toBe(201);
  });

test("1,000 clients: every event once and in order; a slow one is told and closed, others go on", async () => {
  await each(workflows, 16, async (name) => {
    const definition = { name, version: "1.0.0", stages: [{ name: "say", agent_type: "echo" }] };
    expect(await send("PUT", `/v1/workflows/${name}`, definition)).toBe(200);
  });
  const own = names.flatMap((name) => workflows.map((workflow) => `event.*.run.${workflow}.*.${name}`));
  const before = troupe.memory();
  const began = performance.now();
  const { cursor } = await call("open", { base: troupe.base, count: clientsCount, pattern, names, own });
  beginning = cursor;
  const connectedMs = performance.now() - began;
  const after = troupe.memory();
  await call("openSlow", { base: troupe.base, subscriptions: 64 });
  const posted = performance.now();
  await runAll();
  const counted = await call("seen", { runs: workflowsCount, waitMs: 15_000 });
  const heardMs = performance.now() - posted;
  expect(counted).toEqual({
    events: clientsCount * workflowsCount * names.length,
    runsMin: workflowsCount,
    runsMax: workflowsCount,
    own: own.length,
    wrong: [],
  });
  const slow = await call("resumeSlow");
  expect(slow).toMatchObject({ code: 1013, told: "overloaded" });
  expect(await call("seen", { runs: workflowsCount, waitMs: 0 })).toEqual(counted);
  const perClient = before === undefined || after === undefined ? undefined : (after - before) / clientsCount;
  const peak = (troupe.memory() ?? 0) / 2 ** 20;
  console.log(
    `connected in ${Math.round(connectedMs)} ms, ${counted.events} events heard in ${Math.round(heardMs)} ms, ` +
      `${Math.round((perClient ?? 0) / 1024)} KiB a client, ${Math.round(peak)} MiB at the end`,
  );
  if (perClient !== undefined) expect(perClient).toBeLessThan(clientBytesMax);
  await call("close");
});

test("400 clients come back with a cursor while runs go on: what they missed, then live, once and in order", async () => {
  const began = performance.now();
  const open = call("open", { base: troupe.base, count: 400, pattern, names, own: [], since: beginning });
  await runAll();
  expect((await open).cursor).toBe(beginning);
  const resumedMs = performance.now() - began;
  const counted = await call("seen", { runs: 2 * workflowsCount, waitMs: 10_000 });
  expect(counted).toMatchObject({ runsMin: 2 * workflowsCount, runsMax: 2 * workflowsCount, wrong: [] });
  console.log(`resumed in ${Math.round(resumedMs)} ms, heard all after ${Math.round(performance.now() - began)} ms`);
  await call("close");
  expect(
    troupe
      .errors()
      .split("\n")
      .filter((line) => line !== "" && !line.includes("a slow WebSocket client")),
  ).toEqual([]);
});
