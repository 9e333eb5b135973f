/** Work while partitions move: it goes on where it runs, is given back where it has not begun, and is lost with its process. */
import { beforeEach, expect, test } from "vitest";
import type { Host } from "../../src/actors/host.ts";
import type { Executor, Work } from "../../src/actors/work.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { MemoryClock } from "../../src/bus/memory/clock.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import type { Address } from "../../src/machines/address.ts";
import { hostOver } from "../actors/support.ts";

class Hands implements Executor {
  readonly kind = "test";
  readonly held = new Map<string, "running" | "waiting">();
  readonly aborted: string[] = [];
  constructor(private readonly begins: boolean) {}
  start(work: Work): void {
    this.held.set(work.address.key, this.begins ? "running" : "waiting");
  }
  holds(address: Address): "running" | "waiting" | undefined {
    return this.held.get(address.key);
  }
  abort(address: Address): void {
    if (this.held.delete(address.key)) this.aborted.push(address.key);
  }
  async drain(): Promise<void> {}
}

let clock: MemoryClock;
let store: MemoryStore;
const keys = Array.from({ length: 12 }, (_, i) => `w${i}`);

async function born(name: string, hands: Hands): Promise<{ bus: MemoryBus; host: Host; hands: Hands }> {
  const bus = createMemoryBus({ clock, store, node: name, seed: name.length * 7 + name.charCodeAt(0), latencyMs: 1 });
  const host = await clock.wait(hostOver(bus, { flushMs: 100, leaseMs: 1000, executors: [hands] }), 20_000);
  return { bus, host, hands };
}

const ask = (host: Host, key: string, command: { type: string; [field: string]: unknown }) =>
  clock.wait(host.runtime.ask({ type: "counter", key }, command), 20_000);
const heard = async (host: Host, key: string) =>
  (await clock.wait(host.runtime.read({ type: "counter", key }), 20_000)).view as { heard: string[]; count: number };

async function workOn(host: Host): Promise<void> {
  for (const key of keys) {
    await ask(host, key, { type: "add" });
    await ask(host, key, { type: "work", id: "one" });
  }
}

/** Those whose work was lost: the test's machine hears that, once each. */
const lost = async (host: Host) => {
  const told: string[] = [];
  for (const key of keys) for (const _ of (await heard(host, key)).heard) told.push(key);
  return told;
};

beforeEach(async () => {
  await loadCodec();
  clock = new MemoryClock();
  store = new MemoryStore({ partitions: 8, streams: 2, replicas: 1 }, clock);
});

test("running work outlives the move of its partition, and is lost when its process dies", async () => {
  const a = await born("a", new Hands(true));
  await workOn(a.host);
  const b = await born("bb", new Hands(true));
  await clock.advance(10_000);
  const moved = b.host.node.partitions.size;
  expect(moved).toBeGreaterThan(0);
  expect(moved).toBeLessThan(8);
  expect(a.hands.aborted).toEqual([]);
  expect(await lost(b.host)).toEqual([]);
  a.bus.setLink("dead");
  for (const partition of a.host.node.partitions.values()) partition.abandon();
  a.host.node.membership.abandon();
  await clock.advance(10_000);
  expect(await lost(b.host)).toEqual(keys);
});

test("work that has not begun is given back, and its result elsewhere counts once", async () => {
  const a = await born("a", new Hands(false));
  await workOn(a.host);
  const b = await born("bb", new Hands(true));
  await clock.advance(10_000);
  const back = await lost(b.host);
  expect(back.length).toBeGreaterThan(0);
  expect(back.length).toBeLessThan(keys.length);
  expect(a.hands.aborted.sort()).toEqual(back.slice().sort());
});

test("what was settled by the new owner is stopped where it runs", async () => {
  const a = await born("a", new Hands(true));
  await workOn(a.host);
  const b = await born("bb", new Hands(true));
  await clock.advance(10_000);
  for (const key of keys) await ask(b.host, key, { type: "work_done", id: "one" });
  await clock.advance(1000);
  expect([...a.hands.held.keys()]).toEqual([]);
  expect(await lost(b.host)).toEqual([]);
});
