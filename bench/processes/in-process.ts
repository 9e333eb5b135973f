/**
 * Durable commands without HTTP: callers, runtime and driver in one process, the store in another. And the
 * raw limit in the same process: each caller appends to a subject of its own with the expected sequence.
 */
import { type Host, startHost } from "../../src/actors/host.ts";
import { limits } from "../../src/actors/limits.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { counter } from "../counter.ts";
import { serve } from "../process.ts";
import { RawStore } from "../raw-store.ts";
import { type Percentiles, percentiles } from "../statistics.ts";
import type { Access } from "../store.ts";

export interface Calls {
  readonly callers: number;
  /** Ends after this long, or after so many calls. */
  readonly ms?: number;
  readonly count?: number;
}

export interface Called {
  readonly perSecond: number;
  readonly latencyMs: Percentiles;
}

export interface Opened {
  readonly store: Access;
  readonly partitions?: number;
  readonly flushMs?: number;
}

export const handlers = { open, limitGroups, troupe, hot, raw, counters, close };
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

async function open({ store: access, partitions, flushMs = settings.flushMs }: Opened): Promise<void> {
  const { url, user, pass } = access;
  const layout =
    partitions === undefined ? {} : { layout: { partitions, streams: Math.min(4, partitions), replicas: 1 as const } };
  bus = await connectNats({ servers: url, user, pass, ...layout });
  host = await startHost({ bus, definitions: [counter], settings: { ...settings, flushMs }, logger, name: "bench" });
  store = await RawStore.open(access);
}

/** The bound is a constant of the runtime; only its curve moves it. */
function limitGroups({ stepsMax }: { stepsMax: number }): void {
  (limits as { groupStepsMax: number }).groupStepsMax = stepsMax;
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

/** All callers ask the same actor. */
function hot(calls: Calls): Promise<Called> {
  return loop(calls, () => host.runtime.ask({ type: "counter", key: "hot" }, { type: "add" }));
}

function raw(calls: Calls): Promise<Called> {
  return loop(calls, async (caller) => {
    lastSeqs[caller] = await store.append(store.subject(caller), rawBytes, lastSeqs[caller] ?? 0);
  });
}

async function loop(
  { callers, ms = 600_000, count = Number.POSITIVE_INFINITY }: Calls,
  call: (caller: number) => Promise<unknown>,
): Promise<Called> {
  const latencies: number[] = [];
  const begin = performance.now();
  const end = begin + ms;
  let begun = 0;
  const one = async (caller: number): Promise<void> => {
    for (let at = performance.now(); at < end && begun < count; ) {
      begun++;
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
