/**
 * Durable commands without HTTP: callers, runtime and driver in one process, the store in another. And the
 * raw limit in the same process: each caller appends to a subject of its own with the expected sequence.
 */
import { type Host, startHost } from "../../src/actors/host.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { counter } from "../counter.ts";
import { serve } from "../process.ts";
import { RawStore } from "../raw-store.ts";
import { type Percentiles, percentiles } from "../statistics.ts";
import type { Access } from "../store.ts";

export interface Calls {
  readonly callers: number;
  readonly ms: number;
}

export interface Called {
  readonly perSecond: number;
  readonly latencyMs: Percentiles;
}

export const handlers = { open, troupe, raw, counters, close };
if (process.send !== undefined) serve(handlers);

const actors = 1000;
/** About what one step of the counter adds to the journal. */
const rawBytes = Buffer.alloc(100, "x");
const settings = { leaseMs: 2000, flushMs: 1000, replayBytes: 64 * 2 ** 20, activeMax: 20_000 };
const logger = { debug() {}, info() {}, warn: console.error, error: console.error };

let bus: NatsBus;
let host: Host;
let store: RawStore;
/** Last sequence of each raw writer's subject. */
const lastSeqs: number[] = [];

async function open({ url, user, pass }: Access): Promise<void> {
  const access = { servers: url, user, pass };
  bus = await connectNats(access);
  host = await startHost({ bus, definitions: [counter], settings, logger, name: "bench" });
  store = await RawStore.open({ url, user, pass });
}

function counters(_: null): Readonly<Record<string, number>> {
  return host.runtime.status().counters;
}

function troupe(calls: Calls): Promise<Called> {
  let turn = 0;
  // A prime stride: neighbours in time are strangers in place.
  return loop(calls, () => {
    turn = (turn + 7919) % actors;
    return host.runtime.ask({ type: "counter", key: `c${turn}` }, { type: "add" });
  });
}

function raw(calls: Calls): Promise<Called> {
  return loop(calls, async (caller) => {
    lastSeqs[caller] = await store.append(store.subject(caller), rawBytes, lastSeqs[caller] ?? 0);
  });
}

async function loop({ callers, ms }: Calls, call: (caller: number) => Promise<unknown>): Promise<Called> {
  const latencies: number[] = [];
  const begin = performance.now();
  const end = begin + ms;
  const one = async (caller: number): Promise<void> => {
    for (let at = performance.now(); at < end; ) {
      await call(caller);
      const now = performance.now();
      latencies.push(now - at);
      at = now;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, caller) => one(caller)));
  return { perSecond: latencies.length / ((performance.now() - begin) / 1000), latencyMs: percentiles(latencies) };
}

async function close(_: null): Promise<void> {
  await host.stop();
  await bus.close();
  await store.close();
}
