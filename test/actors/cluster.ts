/**
 * Several nodes of the real runtime over one memory store and a clock that stands still until a test moves it:
 * with gates on the journal, scripted faults, and nodes that die. Checks nothing by itself.
 */
import { type Host, startHost } from "../../src/actors/host.ts";
import type { Logger } from "../../src/actors/limits.ts";
import { partitionOf } from "../../src/actors/placement.ts";
import type { TroupeRuntime } from "../../src/actors/runtime.ts";
import type { Executor, Work } from "../../src/actors/work.ts";
import type { Layout } from "../../src/bus/bus.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import type { AppendOutcome } from "../../src/bus/journal.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { MemoryClock } from "../../src/bus/memory/clock.ts";
import type { Fault, FaultCall } from "../../src/bus/memory/faults.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import { type Address, formatAddress } from "../../src/machines/address.ts";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import type { Json } from "../../src/machines/effects.ts";
import { counter } from "./counter.ts";
import { probe } from "./probe.ts";

export const counterAt = (key: string): Address => ({ type: "counter", key });
export const probeAt = (key: string): Address => ({ type: "probe", key });

/** Holds appends back while it is closed. */
export class Gate {
  readonly #waiting: (() => void)[] = [];
  closed = false;
  get waiting(): number {
    return this.#waiting.length;
  }
  pass(): Promise<void> | undefined {
    return this.closed ? new Promise((resolve) => this.#waiting.push(resolve)) : undefined;
  }
  open(): void {
    this.closed = false;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** Takes work and does nothing but write down what it was given. */
export class Notebook implements Executor {
  readonly kind: string;
  readonly started: Work[] = [];
  readonly aborted: string[] = [];
  constructor(kind = "test") {
    this.kind = kind;
  }
  start(work: Work): void {
    this.started.push(work);
  }
  /** What it was given and not told to stop runs on. */
  holds(address: Address, id: string): "running" | undefined {
    const given = this.started.some((w) => w.id === id && formatAddress(w.address) === formatAddress(address));
    return given && !this.aborted.some((text) => text.startsWith(`${id}: `)) ? "running" : undefined;
  }
  abort(_address: Address, id: string, reason: string): void {
    this.aborted.push(`${id}: ${reason}`);
  }
  async drain(): Promise<void> {}
}

export interface NodeSettings {
  readonly flushMs?: number;
  readonly replayBytes?: number;
  readonly activeMax?: number;
  readonly leaseMs?: number;
  readonly payloadBytesMax?: number;
  readonly executors?: readonly Executor[];
  readonly definitions?: readonly ActorDefinition[];
}

export interface TestNode {
  readonly name: string;
  readonly bus: MemoryBus;
  readonly host: Host;
  readonly runtime: TroupeRuntime;
  readonly gate: Gate;
  /** Every append that left this node. */
  readonly appends: { readonly partition: number; readonly bytes: Uint8Array; readonly outcome: AppendOutcome }[];
}

export class Cluster {
  readonly clock = new MemoryClock();
  readonly store: MemoryStore;
  readonly complaints: { level: string; message: string; fields: object }[] = [];
  /** Scripted faults; undefined: none. */
  fault: ((call: FaultCall) => Fault | undefined) | undefined;
  readonly layout: Layout;

  constructor(layout: Partial<Layout> = {}) {
    this.layout = { partitions: 4, streams: 2, replicas: 1, ...layout };
    this.store = new MemoryStore(this.layout, this.clock);
  }

  async start(name: string, settings: NodeSettings = {}): Promise<TestNode> {
    await loadCodec();
    const { flushMs = 200, replayBytes = 1 << 20, activeMax = 1000, leaseMs = 1000 } = settings;
    const bus = createMemoryBus({
      clock: this.clock,
      store: this.store,
      node: name,
      latencyMs: 1,
      faults: { next: (call) => this.fault?.(call) },
      ...(settings.payloadBytesMax === undefined ? {} : { payloadBytesMax: settings.payloadBytesMax }),
    });
    const gate = new Gate();
    const appends: TestNode["appends"] = [];
    const plain = bus.journal;
    const append = async (partition: number, bytes: Uint8Array, expected: number): Promise<AppendOutcome> => {
      await gate.pass();
      const outcome = await plain.append(partition, bytes, expected);
      appends.push({ partition, bytes, outcome });
      return outcome;
    };
    const journal = Object.create(plain, { append: { value: append } }) as typeof plain;
    const gated: MemoryBus = { ...bus, journal };
    const host = await this.until(
      startHost({
        bus: gated,
        definitions: settings.definitions ?? [counter, probe],
        settings: { leaseMs, flushMs, replayBytes, activeMax },
        logger: this.#logger(),
        name,
        executors: () => settings.executors ?? [],
      }),
    );
    return { name, bus: gated, host, runtime: host.runtime, gate, appends };
  }

  /** As `kill -9`: nothing of it is heard again, and it does nothing more. */
  kill(node: TestNode): void {
    node.bus.setLink("dead");
    for (const partition of node.host.node.partitions.values()) partition.abandon();
    node.host.node.membership.abandon();
  }

  /** Lets time pass until the promise has settled. */
  until<T>(promise: Promise<T>, limitMs = 120_000): Promise<T> {
    return this.clock.wait(promise, limitMs);
  }

  ask(node: TestNode, to: Address, command: { type: string; [field: string]: unknown }, timeoutMs = 30_000) {
    return this.until(node.runtime.ask(to, command, { timeoutMs }));
  }

  async view(node: TestNode, at: Address): Promise<{ [key: string]: Json }> {
    return (await this.until(node.runtime.read(at, { timeoutMs: 30_000 }))).view as { [key: string]: Json };
  }

  /** The `n`th key that lives in this partition. */
  keyIn(partition: number, n = 0): string {
    for (let i = 0, found = 0; ; i++) {
      if (partitionOf(`k${i}`, this.layout.partitions) === partition && found++ === n) return `k${i}`;
    }
  }

  #logger(): Logger {
    const note = (level: string) => (fields: object, message: string) => {
      this.complaints.push({ level, message, fields });
      if (process.env.TROUPE_TEST_LOG) console.log(this.clock.monotonic(), level, message, fields);
    };
    return { debug: () => {}, info: () => {}, warn: note("warn"), error: note("error") };
  }
}

/** The outcome of a promise that may fail: its error's code, or its value. */
export function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    (value) => value,
    (error: { code?: string }) => error.code ?? String(error),
  );
}
