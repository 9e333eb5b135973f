/** Invariant 5: a reminder fires at most once per arming, never early, and not after it was forgotten. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { type DueReminder, ReminderHeap } from "../../src/actors/reminders.ts";
import { MemoryClock } from "../../src/bus/memory/clock.ts";
import { forget, remind, send } from "../../src/machines/effects.ts";
import { Cluster, counterAt, probeAt, type TestNode } from "./cluster.ts";
import { doing } from "./probe.ts";

const me = (name: string, inMs: number) => ({ type: "remind_me", name, inMs });
const heardBy = async (cluster: Cluster, node: TestNode, key: string) =>
  (await cluster.view(node, counterAt(key))).heard as string[];

test("fires once, not early, and not after it was forgotten", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  await cluster.ask(node, counterAt("a"), me("kept", 1000));
  await cluster.ask(node, counterAt("a"), me("dropped", 1000));
  await cluster.ask(node, counterAt("a"), { type: "forget_me", name: "dropped" });
  await cluster.clock.advance(950);
  expect(await heardBy(cluster, node, "a")).toEqual([]);
  await cluster.clock.advance(60_000);
  expect(await heardBy(cluster, node, "a")).toEqual(["reminder kept"]);
});

test("armed again, only the last arming counts, earlier or later", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  await cluster.ask(node, counterAt("a"), me("later", 500));
  await cluster.ask(node, counterAt("a"), me("later", 5000));
  await cluster.ask(node, counterAt("a"), me("sooner", 9000));
  await cluster.ask(node, counterAt("a"), me("sooner", 300));
  await cluster.clock.advance(2000);
  expect(await heardBy(cluster, node, "a")).toEqual(["reminder sooner"]);
  await cluster.clock.advance(20_000);
  expect(await heardBy(cluster, node, "a")).toEqual(["reminder sooner", "reminder later"]);
});

test("survives passivation and take-over, each once", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const settings = { activeMax: 1, flushMs: 100 };
  let node = await cluster.start("n0", settings);
  const keys = Array.from({ length: 30 }, (_, i) => `a${i}`);
  for (const [i, key] of keys.entries()) await cluster.ask(node, counterAt(key), me("r", 4000 + i * 400));
  for (const key of keys) await cluster.ask(node, counterAt(key), me("gone", 12_000));
  for (const key of keys) await cluster.ask(node, counterAt(key), { type: "forget_me", name: "gone" });
  for (let i = 0; i < 150; i++) await cluster.ask(node, counterAt(`noise${i % 2}`), { type: "add" });
  await cluster.clock.advance(1000);
  const active = node.runtime.status().counters.active_actors as number;
  expect(active).toBeLessThan(keys.length);
  for (let n = 1; n <= 4; n++) {
    await cluster.clock.advance(2500);
    cluster.kill(node);
    node = await cluster.start(`n${n}`, settings);
  }
  await cluster.clock.advance(30_000);
  for (const key of keys) expect([key, await heardBy(cluster, node, key)]).toEqual([key, ["reminder r"]]);
});

test("forgotten in the very group in which it falls due, it does not fire; refused, it is gone", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  const at = cluster.clock.now() + 1000;
  await cluster.ask(node, probeAt("a"), doing([remind("r", at, doing([], { keep: "fired" }))]));
  await cluster.ask(node, probeAt("b"), doing([remind("odd", at, { type: "nonsense" })]));
  await cluster.clock.advance(900);
  // Holds the loop until the reminder waits behind the command that forgets it.
  node.gate.closed = true;
  const blocker = node.runtime.ask(counterAt("x"), { type: "add" });
  await cluster.clock.advance(10);
  const asked = node.runtime.ask(probeAt("b"), doing([send(probeAt("a"), doing([forget("r")], { keep: "forgot" }))]));
  await cluster.clock.advance(500);
  node.gate.open();
  await cluster.until(Promise.all([blocker, asked]));
  await cluster.clock.advance(5000);
  expect((await cluster.view(node, probeAt("a"))).kept).toBe("forgot");
  for (const entry of node.host.node.partitions.get(0)?.state.entries.values() ?? [])
    expect(entry.reminders?.size ?? 0).toBe(0);
});

test("the heap gives what is due, earliest first, as a sorted list would", async () => {
  const times = fc.array(
    fc.record({ inMs: fc.integer({ min: 0, max: 300 }), after: fc.integer({ min: 0, max: 50 }) }),
    {
      maxLength: 60,
    },
  );
  await fc.assert(
    fc.asyncProperty(times, async (list) => {
      const clock = new MemoryClock();
      const fired: { at: number; when: number; arming: number }[] = [];
      const heap = new ReminderHeap(clock, (due: DueReminder[]) => {
        for (const { at, arming } of due) fired.push({ at, arming, when: clock.now() });
      });
      const all: number[] = [];
      for (const [arming, { inMs, after }] of list.entries()) {
        all.push(clock.now() + inMs);
        heap.add({ at: clock.now() + inMs, address: counterAt("a"), name: "r", arming });
        await clock.advance(after);
      }
      await clock.advance(400);
      expect(fired.map((f) => f.arming).sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
      for (const f of fired) {
        expect(f.at).toBe(all[f.arming]);
        expect(f.when).toBe(f.at);
      }
      expect(fired.map((f) => f.at)).toEqual([...all].sort((a, b) => a - b));
      expect(heap.size).toBe(0);
    }),
    { numRuns: 60 },
  );
});

test("a due arming that was replaced meanwhile does nothing, even with the same due time", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  const at = cluster.clock.now() + 1000;
  const arm = (keep: string, when: number) => doing([remind("r", when, doing([], { keep }))]);
  await cluster.ask(node, probeAt("a"), arm("first", at));
  // The first arming falls due while the second one waits for its commit, with the same due time.
  node.gate.closed = true;
  const again = node.runtime.ask(probeAt("a"), arm("second", at));
  await cluster.clock.advance(1500);
  node.gate.open();
  await cluster.until(again);
  await cluster.clock.advance(100);
  const { kept, steps } = await cluster.view(node, probeAt("a"));
  expect([kept, steps]).toEqual(["second", 3]);
});
