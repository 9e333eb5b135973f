/** Gateways hold nothing: a stream goes on at another one. And all of it waits, and says so, while NATS is away. */
import { createParser } from "eventsource-parser";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { until } from "../support/until.ts";
import { type Process, post, TestCluster } from "./harness.ts";

let cluster: TestCluster;
let node: Process;
let one: Process;
let two: Process;

beforeAll(async () => {
  cluster = await TestCluster.create();
  node = await cluster.spawn("node");
  one = await cluster.spawn("gateway");
  two = await cluster.spawn("gateway");
  await Promise.all([node, one, two].map((p) => p.ready()));
}, 120_000);
afterAll(() => cluster?.dispose(), 60_000);

/** Ids of the events of a run, read from a gateway after an event; at most so many. */
async function eventsOf(gateway: Process, run: string, after?: string, max = Number.POSITIVE_INFINITY) {
  const stop = new AbortController();
  const answer = await fetch(`${gateway.base}/v1/runs/${run}/events`, {
    headers: { accept: "text/event-stream", ...(after === undefined ? {} : { "last-event-id": after }) },
    signal: AbortSignal.any([stop.signal, AbortSignal.timeout(20_000)]),
  });
  expect(answer.status).toBe(200);
  const ids: string[] = [];
  let ended = false;
  const parser = createParser({
    onEvent({ id = "", event }) {
      if (ids.length < max) ids.push(id);
      if (event === "run.completed" || ids.length >= max) ended = true;
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of answer.body as unknown as AsyncIterable<Uint8Array>) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    if (ended) break;
  }
  stop.abort();
  return ids;
}

test("a run's stream goes on at another gateway, without gap or double, wherever it was cut", async () => {
  const created = await post(one.base, "/v1/runs", { workflow: { name: "echo", version: "0.1.0" }, input: { a: 1 } });
  expect(created.status).toBe(201);
  const run = (created.body as { run?: { run_id: string } }).run?.run_id ?? "";
  const whole = await eventsOf(one, run);
  expect(whole.length).toBeGreaterThan(3);
  expect(new Set(whole).size).toBe(whole.length);
  for (let cut = 1; cut < whole.length; cut++) {
    const first = await eventsOf(one, run, undefined, cut);
    const rest = await eventsOf(two, run, first.at(-1));
    expect([...first, ...rest]).toEqual(whole);
  }
});

/** What a subscription to a run's events tells, from a cursor on; until so many have come, or the run has completed. */
function subscribed(
  gateway: Process,
  run: string,
  since: string,
  max: number,
): Promise<{ no: number; cursor: string }[]> {
  return new Promise((resolve, reject) => {
    const told: { no: number; cursor: string }[] = [];
    const socket = new WebSocket(`${gateway.base.replace("http", "ws")}/v1/ws`);
    const timer = setTimeout(() => socket.terminate(), 20_000);
    socket.on("error", reject);
    socket.on("open", () =>
      socket.send(JSON.stringify({ type: "subscribe", id: "s", pattern: `event.${run}.>`, since })),
    );
    socket.on("message", (data) => {
      const { event, cursor, type, error } = JSON.parse(String(data));
      if (type === "error") reject(new Error(JSON.stringify(error)));
      if (event === undefined || told.length >= max) return;
      told.push({ no: event.no, cursor });
      if (told.length >= max || (event.type === "run" && event.name === "completed")) socket.close();
    });
    socket.on("close", () => {
      clearTimeout(timer);
      resolve(told);
    });
  });
}

test("a subscription goes on at another gateway with its cursor, wherever it was cut", async () => {
  const begun = await new Promise<string>((resolve, reject) => {
    const socket = new WebSocket(`${one.base.replace("http", "ws")}/v1/ws`);
    socket.on("error", reject);
    socket.on("open", () => socket.send(JSON.stringify({ type: "subscribe", id: "s", pattern: "event.>" })));
    socket.on("message", (data) => {
      const { type, cursor } = JSON.parse(String(data));
      if (type !== "subscribed") return;
      resolve(cursor);
      socket.close();
    });
  });
  const created = await post(one.base, "/v1/runs", { workflow: { name: "echo", version: "0.1.0" }, input: { a: 2 } });
  const run = (created.body as { run?: { run_id: string } }).run?.run_id ?? "";
  const whole = await subscribed(one, run, begun, Number.POSITIVE_INFINITY);
  const numbers = whole.map(({ no }) => no);
  expect(numbers.length).toBeGreaterThan(3);
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));
  for (let cut = 1; cut < whole.length; cut++) {
    const first = await subscribed(one, run, begun, cut);
    const rest = await subscribed(two, run, first.at(-1)?.cursor ?? "", Number.POSITIVE_INFINITY);
    expect([...first, ...rest].map(({ no }) => no)).toEqual(numbers);
  }
});

test("while NATS is away: 503 with its reason; afterwards all goes on by itself", { timeout: 120_000 }, async () => {
  await cluster.nats.kill9();
  await until(async () => (await one.status("/readyz")) === 503 && (await node.status("/readyz")) === 503, 10_000);
  expect(await one.status("/healthz")).toBe(200);
  const refused = await post(one.base, "/v1/tasks", { task_type: "nobody", input: null });
  expect(refused).toMatchObject({ status: 503, body: { error: { code: "unavailable" } } });
  const waiting = post(two.base, "/v1/tasks", { task_type: "nobody", input: null });
  await cluster.nats.restart();
  expect((await waiting).status).toBe(201);
  const restarted = performance.now();
  await Promise.all([node, one, two].map((p) => p.ready()));
  console.log(`ready again ${Math.round(performance.now() - restarted)} ms after the request that waited was answered`);
  expect((await post(one.base, "/v1/tasks", { task_type: "nobody", input: null })).status).toBe(201);
});
