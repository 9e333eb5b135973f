/** What a new owner must find, and what it must not lose while it still loads. */
import { expect, test } from "vitest";
import { Loader } from "../../src/actors/loader.ts";
import { PartitionState } from "../../src/actors/state.ts";
import { names } from "../../src/actors/stored.ts";
import { completeIndex, takeOver } from "../../src/actors/takeover.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import { createMemoryBus } from "../../src/bus/memory/bus.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import { execute, send } from "../../src/machines/effects.ts";
import { Cluster, codeOf, counterAt, Notebook, probeAt } from "./cluster.ts";
import { doing } from "./probe.ts";

test("the floor does not pass changes that a new owner has not loaded yet", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 60_000 });
  const keys = Array.from({ length: 300 }, (_, i) => `a${i}`);
  for (const key of keys) await cluster.ask(first, counterAt(key), { type: "hear", text: "old" });
  await cluster.until(first.host.stop());
  // All of them have records now, and a change in the tail.
  const second = await cluster.start("second", { flushMs: 60_000 });
  for (const key of keys) await cluster.ask(second, counterAt(key), { type: "hear", text: "new" });
  cluster.kill(second);
  // Loading takes longer than some flushes.
  cluster.fault = (call) =>
    call.operation === "get" && call.port === "records" ? { kind: "delay", ms: 300 } : undefined;
  const third = await cluster.start("third", { flushMs: 50 });
  await cluster.ask(third, counterAt("late"), { type: "hear", text: "x" });
  await cluster.clock.advance(600);
  cluster.kill(third);
  cluster.fault = undefined;
  const fourth = await cluster.start("fourth");
  for (const key of keys) expect((await cluster.view(fourth, counterAt(key))).heard).toEqual(["old", "new"]);
});

test("who reads the journal's end twice begins where the floor has come to meanwhile", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  const hear = (text: string) => cluster.ask(first, counterAt("a"), { type: "hear", text });
  for (let i = 0; i < 5; i++) await hear(`old ${i}`);
  const state = new PartitionState(0, new Map());
  const codec = await loadCodec();
  const { bus } = first;
  let tries = 0;
  let goOn: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  const append: typeof bus.journal.append = async (...args) => {
    if (tries++ === 0) await held;
    return bus.journal.append(...args);
  };
  const journal = Object.create(bus.journal, { append: { value: append } }) as typeof bus.journal;
  const loader = new Loader(state, bus.records, codec);
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const env = { bus: { ...bus, journal }, codec, state, loader, boot: "second", logger, stopped: () => false };
  const taken = takeOver(env);
  // The other owner is still there: it writes its records, moves the floor, and goes on.
  await cluster.clock.advance(1_000);
  for (let i = 0; i < 5; i++) await hear(`new ${i}`);
  goOn();
  await cluster.until(taken);
  expect(tries).toBe(2);
  expect(state.floor).toBeGreaterThan(5);
  expect(loader.oldestTail()).toBeGreaterThanOrEqual(state.floor);
});

test.each([
  ["before", 400],
  ["after", 6_000],
])("a record that a frozen former owner writes late harms nothing, %s the new one's own", async (_, lateMs) => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  const keys = Array.from({ length: 20 }, (_, i) => `a${i}`);
  for (const key of keys) await cluster.ask(first, counterAt(key), { type: "hear", text: "one" });
  await cluster.clock.advance(1_000);
  for (const key of keys) await cluster.ask(first, counterAt(key), { type: "hear", text: "two" });
  let late = 0;
  cluster.fault = (call) => {
    if (call.port !== "records" || call.operation !== "put" || call.node !== "first") return undefined;
    late++;
    return { kind: "stored_late", ms: lateMs };
  };
  await cluster.clock.advance(200);
  cluster.kill(first);
  expect(late).toBeGreaterThan(keys.length);
  const second = await cluster.start("second", { flushMs: 100, activeMax: 1 });
  for (const key of keys.slice(0, 10)) await cluster.ask(second, counterAt(key), { type: "hear", text: "three" });
  await cluster.clock.advance(10_000);
  for (const key of keys) await cluster.ask(second, counterAt(key), { type: "hear", text: "four" });
  await cluster.clock.advance(1_000);
  cluster.kill(second);
  const third = await cluster.start("third");
  for (const [i, key] of keys.entries()) {
    const heard = i < 10 ? ["one", "two", "three", "four"] : ["one", "two", "four"];
    expect((await cluster.view(third, counterAt(key))).heard).toEqual(heard);
  }
  expect(second.host.node.faults.size + third.host.node.faults.size).toBe(0);
});

test("an older copy that a lagging server tells first is not what is listed", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  for (let i = 0; i < 3; i++) await cluster.ask(first, counterAt(`a${i}`), { type: "add" });
  await cluster.clock.advance(1_000);
  const old = await cluster.until(first.bus.records.get(0, names.actor(counterAt("a1"))));
  await cluster.ask(first, counterAt("a1"), { type: "remind_me", name: "late", inMs: 5_000 });
  await cluster.until(first.host.stop());
  const state = new PartitionState(0, new Map());
  const codec = await loadCodec();
  const bus = createMemoryBus({ clock: cluster.clock, store: cluster.store, node: "second" });
  const stale = async function* (...args: Parameters<typeof bus.records.scan>): ReturnType<typeof bus.records.scan> {
    if (args[1][0] === "a" && old !== null) yield { name: names.actor(counterAt("a1")), ...old };
    yield* bus.records.scan(...args);
  };
  const records = Object.create(bus.records, { scan: { value: stale } }) as typeof bus.records;
  const loader = new Loader(state, records, codec);
  const logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const env = { bus: { ...bus, records }, codec, state, loader, boot: "second", logger, stopped: () => false };
  await cluster.until(takeOver(env));
  const found = new Map<string, number>();
  const load = async () => {};
  await cluster.until(completeIndex(env, load, (one) => found.set(one.address.key, one.reminders.length)));
  expect(Object.fromEntries(found)).toEqual({ a0: 0, a1: 1, a2: 0 });
});

test("a store that has lost the records on which the floor rests is not served", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { flushMs: 100 });
  for (let i = 0; i < 5; i++) await cluster.ask(first, counterAt("a"), { type: "add" });
  await cluster.clock.advance(1_000);
  await cluster.ask(first, counterAt("a"), { type: "add" });
  await cluster.until(first.host.stop());
  const lost = new MemoryStore(cluster.layout, cluster.clock);
  const kept = createMemoryBus({ clock: cluster.clock, store: cluster.store, node: "kept" });
  let seq = 0;
  for await (const { bytes } of kept.journal.read(0, 1, Number.MAX_SAFE_INTEGER)) {
    const stored = lost.append(0, bytes, seq);
    if (stored.kind === "stored") seq = stored.seq;
  }
  const second = new Cluster(cluster.layout);
  Object.assign(second, { store: lost, clock: cluster.clock });
  const node = await second.start("second");
  await second.clock.advance(20_000);
  expect([...node.host.node.faults.values()].map(String).join()).toMatch(/lost their end/);
});

test("work is lost exactly once when its process dies", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const first = await cluster.start("first", { executors: [new Notebook()] });
  await cluster.ask(first, counterAt("a"), { type: "add" });
  await cluster.ask(first, counterAt("a"), { type: "work", id: "w1" });
  await cluster.clock.advance(1000);
  cluster.kill(first);
  const second = await cluster.start("second", { executors: [new Notebook()] });
  await cluster.clock.advance(5000);
  cluster.kill(second);
  const third = await cluster.start("third");
  await cluster.clock.advance(5000);
  const history = await cluster.until(third.runtime.history("a", 0, 100));
  expect(history.events.map((e) => e.name)).toEqual(["counted", "worked"]);
});

test("a store that does not answer for a while stops no partition for good", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const node = await cluster.start("only", { activeMax: 1 });
  await cluster.ask(node, counterAt("a"), { type: "add" });
  await cluster.clock.advance(1000);
  // A read in an outage that outlasts every deadline.
  for (const p of node.host.node.partitions.values()) p.state.entries.clear();
  cluster.fault = (call) => (call.port === "records" ? { kind: "drop" } : undefined);
  const asked = codeOf(node.runtime.ask(counterAt("a"), { type: "add" }, { timeoutMs: 60_000 }));
  await cluster.clock.advance(25_000);
  cluster.fault = undefined;
  expect(await cluster.until(asked)).toMatchObject({ reply: 2 });
  expect([...node.host.node.faults.keys()]).toEqual([]);
});

test("a take-over that the store does not answer is tried again", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const first = await cluster.start("first");
  await cluster.ask(first, counterAt("a"), { type: "add" });
  cluster.kill(first);
  cluster.fault = (call) => (call.port === "journal" && call.operation === "last" ? { kind: "drop" } : undefined);
  const second = await cluster.start("second");
  await cluster.clock.advance(25_000);
  cluster.fault = undefined;
  await cluster.clock.advance(5_000);
  expect((await cluster.ask(second, counterAt("a"), { type: "add" })).reply).toBe(2);
});

test("a send to a type that nobody knows fails at its source and blocks nothing", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const node = await cluster.start("only");
  const away = doing([send({ type: "nobody", key: cluster.keyIn(1) }, { type: "x" })]);
  expect(await cluster.until(codeOf(node.runtime.ask(probeAt(cluster.keyIn(0)), away)))).toBe("internal");
  const here = doing([send({ type: "nobody", key: cluster.keyIn(0) }, { type: "x" })]);
  expect(await cluster.until(codeOf(node.runtime.ask(probeAt(cluster.keyIn(0)), here)))).toBe("internal");
  expect(await cluster.until(codeOf(node.runtime.read(probeAt(cluster.keyIn(0)))))).toBe("not_found");
});

test("a letter to a type that this version lacks is passed over, and what follows arrives", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const known = { ...(await import("./probe.ts")).probe, type: "novelty" };
  const { probe } = await import("./probe.ts");
  const { counter } = await import("./counter.ts");
  const first = await cluster.start("first", { definitions: [counter, probe, known] });
  const [from, to] = [cluster.keyIn(0), cluster.keyIn(1)];
  // The receiver's partition does not answer, so that the letters wait.
  cluster.fault = (call) => (call.operation === "append" && call.about === "1" ? { kind: "drop" } : undefined);
  await cluster.ask(
    first,
    probeAt(from),
    doing([send({ type: "novelty", key: to }, doing([])), send(probeAt(to), doing([], { keep: "after" }))]),
  );
  cluster.kill(first);
  cluster.fault = undefined;
  const second = await cluster.start("second");
  await cluster.clock.advance(3000);
  expect((await cluster.view(second, probeAt(to))).kept).toBe("after");
  expect(cluster.complaints.some((c) => c.level === "error" && c.message === "dead letter")).toBe(true);
});

test("work given in a group is not lost when it is settled in the same group", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const notebook = new Notebook("probe");
  const node = await cluster.start("only", { executors: [notebook] });
  const both = [execute("w", "probe", {}), { type: "settle", id: "w" } as const];
  await cluster.ask(node, probeAt("a"), doing(both));
  expect(notebook.started).toEqual([]);
});
