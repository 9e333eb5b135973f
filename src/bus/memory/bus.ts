/**
 * The memory driver: several buses (one per simulated node) over one store, on any clock, with
 * faults on demand. Behaves as the NATS driver does as far as the contract suite can tell.
 */
import type { Bus, Layout } from "../bus.ts";
import type { Clock } from "../clock.ts";
import { MemoryBlobs } from "./blobs.ts";
import type { Faults } from "./faults.ts";
import { MemoryJournal } from "./journal.ts";
import { Link, type LinkState } from "./link.ts";
import { SeededRandom } from "./random.ts";
import { MemoryRecords } from "./records.ts";
import { MemoryRegistry } from "./registry.ts";
import { MemoryStore } from "./store.ts";
import { MemoryWire } from "./wire.ts";

export interface MemoryBusOptions {
  /** Simulated (`MemoryClock`) or real (`systemClock`). */
  readonly clock: Clock;
  readonly layout?: Layout;
  /** Shared by the nodes of one cluster; its layout wins. */
  readonly store?: MemoryStore;
  /** Names the node for faults and varies its randomness. Default `node`. */
  readonly node?: string;
  readonly seed?: number | string;
  readonly faults?: Faults;
  /** One way through the network. Default 0: no time passes. */
  readonly latencyMs?: number;
  readonly writeTimeoutMs?: number;
  readonly readTimeoutMs?: number;
  readonly payloadBytesMax?: number;
}

export interface MemoryBus extends Bus {
  readonly layout: Layout;
  readonly serverVersion: string;
  readonly store: MemoryStore;
  /** Breaks or heals the node's connection; `dead` is for good: nothing of it is heard again. */
  setLink(state: LinkState): void;
}

const DEFAULT_LAYOUT: Layout = { partitions: 8, streams: 4, replicas: 1 };
const PAYLOAD_BYTES_MAX = 8 * 1024 * 1024 - 1024;

export function createMemoryBus(options: MemoryBusOptions): MemoryBus {
  const { clock, node = "node", payloadBytesMax = PAYLOAD_BYTES_MAX } = options;
  const store = options.store ?? new MemoryStore(options.layout ?? DEFAULT_LAYOUT, clock);
  const link = new Link({
    node,
    clock,
    faults: options.faults,
    latencyMs: options.latencyMs ?? 0,
    writeTimeoutMs: options.writeTimeoutMs ?? 2_000,
    readTimeoutMs: options.readTimeoutMs ?? 10_000,
  });
  const random = new SeededRandom(`${options.seed ?? 1}/${node}`, clock);
  const wire = new MemoryWire(store, link, random);
  return {
    layout: store.layout,
    serverVersion: "memory",
    store,
    clock,
    random,
    journal: new MemoryJournal(store, link, payloadBytesMax),
    records: new MemoryRecords(store, link, payloadBytesMax),
    registry: new MemoryRegistry(store, link),
    blobs: new MemoryBlobs(store, link),
    wire,
    setLink: (state) => {
      link.set(state);
      if (state === "dead") wire.close();
    },
    close: async () => wire.close(),
  };
}
