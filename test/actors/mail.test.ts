/** Invariant 4: mail between two actors arrives in the order sent, once. Dead letters. */
import { expect, test } from "vitest";
import { type Effect, send } from "../../src/machines/effects.ts";
import { Cluster, codeOf, counterAt, probeAt, type TestNode } from "./cluster.ts";
import { doing } from "./probe.ts";

const texts = (n: number) => Array.from({ length: n }, (_, i) => `t${i}`);
const hear = (key: string, text: string): Effect => send(counterAt(key), { type: "hear", text });

async function relay(cluster: Cluster, node: TestNode, from: string, to: string, list: readonly string[]) {
  for (const text of list) await cluster.ask(node, probeAt(from), doing([hear(to, text)]));
}

test("arrives in order and once between partitions, through lost, late and doubled messages", async () => {
  const cluster = new Cluster({ partitions: 8, streams: 2 });
  const a = await cluster.start("a");
  const b = await cluster.start("b");
  await cluster.clock.advance(15_000);
  const list = texts(60);
  let n = 0;
  cluster.fault = (call) => {
    if (call.port !== "wire" || !call.about.startsWith("mail.")) return undefined;
    n++;
    if (n % 4 === 0) return { kind: "drop" };
    if (n % 4 === 1) return { kind: "duplicate" };
    return n % 4 === 2 ? { kind: "delay", ms: 70 } : undefined;
  };
  const owned = (node: TestNode) => cluster.keyIn([...node.host.node.partitions.keys()][0] as number);
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const)
    await relay(cluster, a, owned(from), `${owned(to)}~target`, list);
  await cluster.clock.advance(60_000);
  expect(n).toBeGreaterThan(10);
  for (const node of [a, b]) expect((await cluster.view(b, counterAt(`${owned(node)}~target`))).heard).toEqual(list);
});

test("arrives in order and once when both nodes are replaced in the middle", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const [from, to] = [cluster.keyIn(0), cluster.keyIn(1)];
  const list = texts(40);
  let node = await cluster.start("n0");
  for (let i = 0; i < 40; i += 10) {
    // The receiver's journal stands still: letters pile up at the sender, and some are applied without an answer.
    cluster.fault = (call) =>
      call.operation === "append" && call.about === "1" ? { kind: i % 20 === 0 ? "drop" : "answer_lost" } : undefined;
    await relay(cluster, node, from, to, list.slice(i, i + 10));
    if (i === 20) await cluster.clock.advance(3000);
    cluster.kill(node);
    cluster.fault = undefined;
    node = await cluster.start(`n${i + 1}`);
    if (i === 10) await cluster.clock.advance(2000);
  }
  await cluster.clock.advance(10_000);
  expect((await cluster.view(node, counterAt(to))).heard).toEqual(list);
});

test("sends to an actor that is not in memory stay in order with later ones", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  await cluster.ask(first, counterAt("sleeper"), { type: "hear", text: "awake" });
  await cluster.clock.advance(1000);
  await cluster.until(first.host.stop());
  const node = await cluster.start("second");
  // Slow to load: the first send waits for it in the partition's channel to itself.
  cluster.fault = (call) =>
    call.port === "records" && call.about.includes("sleeper") ? { kind: "delay", ms: 500 } : undefined;
  const list = texts(20);
  const asks = list.map((text) => node.runtime.ask(probeAt("w"), doing([hear("sleeper", text), hear("other", text)])));
  await cluster.until(Promise.all(asks));
  await cluster.clock.advance(5000);
  expect((await cluster.view(node, counterAt("sleeper"))).heard).toEqual(["awake", ...list]);
  expect((await cluster.view(node, counterAt("other"))).heard).toEqual(list);
});

test("asks that wait for an actor to load keep their order with those behind them", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  await cluster.ask(first, counterAt("s"), { type: "hear", text: "awake" });
  await cluster.until(first.host.stop());
  const node = await cluster.start("second");
  await cluster.clock.advance(1000);
  const list = texts(200);
  node.host.node.partitions.get(0)?.state.entries.clear();
  const asks: Promise<unknown>[] = [];
  for (const [i, text] of list.entries()) {
    asks.push(node.runtime.ask(counterAt("s"), { type: "hear", text }));
    asks.push(node.runtime.ask(counterAt(`x${i}`), { type: "add" }));
    if (i % 5 === 0) await Promise.resolve();
    if (i % 20 === 0) await cluster.clock.advance(0.5);
  }
  await cluster.until(Promise.all(asks));
  expect((await cluster.view(node, counterAt("s"))).heard).toEqual(["awake", ...list]);
});

test("a letter whose step throws becomes an event, and the channel goes on", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const node = await cluster.start("only");
  const [from, to] = [cluster.keyIn(0), cluster.keyIn(1)];
  await cluster.ask(node, probeAt(to), doing([]));
  const bad = { type: "do", throws: "boom" };
  const rest = doing([], { keep: "after" });
  await cluster.ask(node, probeAt(from), doing([send(probeAt(to), bad), send(probeAt(to), rest)]));
  await cluster.clock.advance(2000);
  expect((await cluster.view(node, probeAt(to))).kept).toBe("after");
  const { events } = await cluster.until(node.runtime.history(to, 0, 10));
  expect(events.map((e) => [e.name, e.data])).toEqual([["dead_lettered", { command: bad, error: "Error: boom" }]]);
});

test("a dead letter leaves no actor behind that was not there", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const node = await cluster.start("only");
  const [from, to] = [cluster.keyIn(0), cluster.keyIn(1)];
  const bad = { type: "burst", throws: "boom" };
  await cluster.ask(node, probeAt(from), doing([send(probeAt(to), bad), send(probeAt(`${from}~local`), bad)]));
  await cluster.clock.advance(2000);
  for (const at of [probeAt(to), probeAt(`${from}~local`)])
    expect(await cluster.until(codeOf(node.runtime.read(at)))).toBe("not_found");
  expect((await cluster.until(node.runtime.history(to, 0, 10))).events.map((e) => e.name)).toEqual(["dead_lettered"]);
  cluster.kill(node);
  const next = await cluster.start("next");
  expect(await cluster.until(codeOf(next.runtime.read(probeAt(to))))).toBe("not_found");
  expect((await cluster.until(next.runtime.history(to, 0, 10))).last).toBe(1);
  expect((await cluster.until(next.runtime.list({ type: "probe", limit: 10 }))).items.length).toBe(1);
});

test("letters too large to travel together travel in parts", async () => {
  const cluster = new Cluster({ partitions: 8, streams: 2 });
  const settings = { payloadBytesMax: 100_000 };
  const a = await cluster.start("a", settings);
  const b = await cluster.start("b", settings);
  await cluster.clock.advance(15_000);
  let largest = 0;
  const { wire } = a.bus;
  const plain = wire.request.bind(wire);
  wire.request = (subject, bytes, timeoutMs) => {
    largest = Math.max(largest, bytes.length);
    const tooLarge = bytes.length > settings.payloadBytesMax;
    return tooLarge ? Promise.reject(new Error("too large for the server")) : plain(subject, bytes, timeoutMs);
  };
  const away = [...b.host.node.partitions.keys()][0] as number;
  const [from, to] = [cluster.keyIn([...a.host.node.partitions.keys()][0] as number), cluster.keyIn(away)];
  cluster.fault = (call) => (call.operation === "append" && call.about === String(away) ? { kind: "drop" } : undefined);
  const list = texts(20).map((t) => t.padEnd(9_000, "."));
  await relay(cluster, a, from, to, list);
  cluster.fault = undefined;
  await cluster.clock.advance(30_000);
  const heard = (await cluster.view(b, counterAt(to))).heard as string[];
  expect(heard.map((text) => text.slice(0, 3))).toEqual(list.map((text) => text.slice(0, 3)));
  expect(largest).toBeGreaterThan(9_000);
});

test("a send follows earlier ones that wait behind another actor's loading", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  for (const key of ["slow", "quick"]) await cluster.ask(first, counterAt(key), { type: "hear", text: "awake" });
  await cluster.until(first.host.stop());
  const node = await cluster.start("second");
  await cluster.clock.advance(1000);
  cluster.fault = (call) =>
    call.port === "records" && call.about.includes("slow") ? { kind: "delay", ms: 800 } : undefined;
  await cluster.ask(node, probeAt("w"), doing([hear("slow", "1"), hear("quick", "1")]));
  expect((await cluster.view(node, counterAt("quick"))).heard).toEqual(["awake"]);
  await cluster.ask(node, probeAt("w"), doing([hear("quick", "2")]));
  await cluster.clock.advance(3000);
  expect((await cluster.view(node, counterAt("quick"))).heard).toEqual(["awake", "1", "2"]);
});
