/** A root's stored events: numbered without holes, in pages, whatever comes between. */
import { expect, test } from "vitest";
import { emit, remind } from "../../src/machines/effects.ts";
import { Cluster, counterAt, probeAt, type TestNode } from "./cluster.ts";
import { doing } from "./probe.ts";

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1);
const many = (n: number) => doing(Array.from({ length: n }, () => emit("e")));

async function numbers(cluster: Cluster, node: TestNode, root: string, after = 0, limit = 1000): Promise<number[]> {
  return (await cluster.until(node.runtime.history(root, after, limit))).events.map((e) => e.no);
}

/** Lets an idle history leave memory: other groups pass, then a flush. */
async function forgetIdle(cluster: Cluster, node: TestNode): Promise<void> {
  for (let i = 0; i < 70; i++) await cluster.ask(node, counterAt("noise"), { type: "add" });
  await cluster.clock.advance(500);
  await cluster.ask(node, counterAt("noise"), { type: "add" });
}

test("is numbered on over pages, flushes, idle times and new owners", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  let node = await cluster.start("n0");
  let total = 0;
  for (const [round, count] of [1, 62, 1, 1, 130, 63, 64, 3].entries()) {
    await cluster.ask(node, probeAt("a"), many(count));
    total += count;
    expect(await numbers(cluster, node, "a")).toEqual(upTo(total));
    if (round % 3 === 0) await cluster.clock.advance(700);
    if (round % 3 === 1) await forgetIdle(cluster, node);
    if (round % 2 === 1) {
      cluster.kill(node);
      node = await cluster.start(`n${round + 1}`);
    }
    expect(await numbers(cluster, node, "a")).toEqual(upTo(total));
  }
  expect(await numbers(cluster, node, "a", 60, 10)).toEqual(upTo(70).slice(60));
  expect(await numbers(cluster, node, "a", total)).toEqual([]);
});

test("is read whole while memory lets go of it and flushes move it into pages", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only", { flushMs: 100 });
  await cluster.ask(node, probeAt("a"), many(100));
  let total = 100;
  await forgetIdle(cluster, node);
  cluster.fault = (call) =>
    call.port === "records" && call.operation === "get" ? { kind: "delay", ms: 250 } : undefined;
  for (let round = 0; round < 8; round++) {
    const reads = [node.runtime.history("a", 0, 1000), node.runtime.history("a", 70, 1000)];
    await cluster.clock.advance(60);
    if (round % 2 === 0) {
      await cluster.ask(node, probeAt("a"), many(21));
      total += 21;
    }
    await forgetIdle(cluster, node);
    for (const read of reads) {
      const { events, last } = await cluster.until(read);
      const first = events[0]?.no ?? 0;
      expect(events.map((e) => e.no)).toEqual(upTo(last).slice(first - 1));
    }
  }
  expect([...node.host.node.faults]).toEqual([]);
  cluster.fault = undefined;
  cluster.kill(node);
  expect(await numbers(cluster, await cluster.start("next"), "a")).toEqual(upTo(total));
});

test("a snapshot beyond a message's size lies in parts and comes back, with its reminders", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const settings = { payloadBytesMax: 60_000, flushMs: 100 };
  const node = await cluster.start("only", settings);
  for (let i = 0; i < 20; i++) await cluster.ask(node, counterAt("a"), { type: "hear", text: `${i}`.repeat(4_000) });
  const far = cluster.clock.now() + 1e9;
  for (let i = 0; i < 5; i++)
    await cluster.ask(
      node,
      probeAt("b"),
      doing([remind(`r${i}`, far, { type: "do", keep: "x".repeat(10_000) })], { keep: "y".repeat(4_000) }),
    );
  await cluster.ask(node, probeAt("b"), doing([], { keep: "z".repeat(12_000) }));
  await cluster.clock.advance(2000);
  expect([...node.host.node.faults]).toEqual([]);
  const dirty = node.runtime.status().partitions[0]?.dirty;
  expect(dirty).toBe(0);
  cluster.kill(node);
  const next = await cluster.start("next", settings);
  expect((await cluster.view(next, probeAt("b"))).kept).toBe("z".repeat(12_000));
  const { heard } = await cluster.view(next, counterAt("a"));
  expect((heard as string[]).map((t) => t.length)).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`.length * 4_000));
});

test("a list is the same after a take-over, and while actors come and go during the scan", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const list = async (node: TestNode, parity: string) => {
    const where = { parity };
    const page = await cluster.until(node.runtime.list({ type: "counter", where, limit: 200 }));
    return page.items.map((i) => i.address.key);
  };
  const first = await cluster.start("first", { activeMax: 2, flushMs: 50 });
  for (let i = 0; i < 60; i++) {
    await cluster.ask(first, counterAt(`c${i}`), { type: "add" });
    if (i % 3 === 0) await cluster.ask(first, counterAt(`c${i}`), { type: "add" });
  }
  await cluster.clock.advance(500);
  const before = [await list(first, "even"), await list(first, "odd")];
  expect(before.map((l) => l.length)).toEqual([20, 40]);
  cluster.kill(first);
  const second = await cluster.start("second", { activeMax: 1, flushMs: 20 });
  expect([await list(second, "even"), await list(second, "odd")]).toEqual(before);
});
