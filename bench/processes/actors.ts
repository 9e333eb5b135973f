/**
 * What an idle actor costs in memory: very many counters in one process. Activated: as they are after a command
 * and the flush of their records. Passivated: only known from the records, as after a start.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { type Host, startHost } from "../../src/actors/host.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { counter } from "../counter.ts";
import { serve } from "../process.ts";
import type { Access } from "../store.ts";

export const handlers = { activated, passivated };
if (process.send !== undefined) serve(handlers);

const callers = 512;
const flushMs = 500;
/** Ids of commands are remembered so long; what is left is the actor. */
const logger = { debug() {}, info() {}, warn: console.error, error: console.error };
/** Actors in memory without an end. */
const settings = { leaseMs: 5_000, flushMs, replayBytes: 2 ** 20, activeMax: 10_000_000 };
const remembers = { ms: 61_000 };

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

interface Measured {
  /** Bytes of the heap and of what stands beside it, for each actor. */
  readonly heap: number;
  readonly resident: number;
}

async function begin({ url, user, pass }: Access): Promise<{ bus: NatsBus; host: Host }> {
  const bus = await connectNats({ servers: url, user, pass });
  return { bus, host: await startHost({ bus, definitions: [counter], settings, logger, name: "bench" }) };
}

/** Makes the counters, waits until they are flushed, and forgets nothing but what is forgotten by itself. */
async function activated({ store, count }: { store: Access; count: number }): Promise<Measured> {
  const { bus, host } = await begin(store);
  const before = await memory();
  let next = 0;
  const caller = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++)
      await host.runtime.ask({ type: "counter", key: `c${i}` }, { type: "add" });
  };
  await Promise.all(Array.from({ length: callers }, caller));
  await flushed(host);
  await sleep(remembers.ms);
  // Forgetting happens beside commits.
  for (let i = 0; i < callers; i++) await host.runtime.ask({ type: "counter", key: `c${i}` }, { type: "add" });
  await flushed(host);
  const after = await memory();
  await host.stop();
  await bus.close();
  return each(before, after, count);
}

/** Starts over the store that the other has filled: the actors are known from their records. `empty`: a store without. */
async function passivated({ store, empty, count }: { store: Access; empty: Access; count: number }): Promise<Measured> {
  const first = await begin(empty);
  const before = await memory();
  await first.host.stop();
  await first.bus.close();
  const { bus, host } = await begin(store);
  const found = await host.runtime.list({ type: "counter", limit: 1 });
  if (found.items.length !== 1) throw new Error("the counters are not there");
  const after = await memory();
  await host.stop();
  await bus.close();
  return each(before, after, count);
}

async function flushed(host: Host): Promise<void> {
  for (;;) {
    const { partitions } = await host.runtime.cluster();
    if (partitions.every((one) => (one as { dirty?: number }).dirty === 0)) return;
    await sleep(flushMs);
  }
}

async function memory(): Promise<{ heap: number; resident: number }> {
  for (let i = 0; i < 3; i++) {
    collect();
    await sleep(100);
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heap: heapUsed + external, resident: rss };
}

function each(before: Measured, after: Measured, count: number): Measured {
  return { heap: (after.heap - before.heap) / count, resident: (after.resident - before.resident) / count };
}
