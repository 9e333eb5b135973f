/** A store that has been worked on: filled by the real runtime, then changed behind its back. */
import { audit } from "../../src/actors/audit/audit.ts";
import type { AuditReport } from "../../src/actors/audit/report.ts";
import { decodeGroup } from "../../src/actors/group.ts";
import type { Host } from "../../src/actors/host.ts";
import { partitionOf } from "../../src/actors/placement.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import type { Faults } from "../../src/bus/memory/faults.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { hostOver } from "../actors/support.ts";
import { until } from "../support/until.ts";

export const partitions = 4;
export const layout = { partitions, streams: 2, replicas: 1 } as const;
export const at = (key: string) => ({ type: "counter", key });
export const codec = await loadCodec();

export function memoryStore(): MemoryStore {
  return new MemoryStore(layout, systemClock);
}

let born = 0;
/** `latencyMs`: without it a busy node leaves no turn to timers. */
export function busOver(store: MemoryStore, options: { latencyMs?: number; faults?: Faults } = {}): MemoryBus {
  return createMemoryBus({ clock: systemClock, store, node: `n${born++}`, payloadBytesMax: 256 * 1024, ...options });
}

/** Keys of counters by the partition that they live in. */
export function keysOf(partition: number, count: number): string[] {
  const keys: string[] = [];
  for (let i = 0; keys.length < count; i++) if (partitionOf(`k${i}`, partitions) === partition) keys.push(`k${i}`);
  return keys;
}

/** Actors, events over a page, reminders, and mail between the partitions. */
export async function fill(host: Host, rounds = 70): Promise<void> {
  const { runtime } = host;
  const keys = Array.from({ length: partitions }, (_, p) => keysOf(p, 3)).flat();
  await Promise.all(
    keys.map(async (key) => {
      for (let i = 0; i < rounds; i++) await runtime.ask(at(key), { type: "add" });
      await runtime.ask(at(key), { type: "remind_me", name: "later", inMs: 3_600_000 });
    }),
  );
  await Promise.all(
    keys.map((key, i) => runtime.ask(at(key), { type: "forward", to: [keys[(i + 4) % keys.length] as string] })),
  );
}

/** Waits until everything is in the records, so that the floor stands at the end. */
export async function settled(host: Host): Promise<void> {
  await until(() =>
    [...host.node.partitions.values()].every(
      (p) =>
        p.state.dirtyEntries.size === 0 &&
        p.state.dirtyHistories.size === 0 &&
        p.state.metaDirtySince === 0 &&
        p.state.channels.oldestSeq() === 0,
    ),
  );
}

export function check(bus: Bus, deep = false): Promise<AuditReport> {
  return audit({ bus, codec, deep });
}

/** `partition place: code` of all problems. */
export function found(report: AuditReport): string[] {
  return [...report.partitions.flatMap((p) => p.problems), ...report.problems].map(
    (p) => `${p.partition} ${p.place}: ${p.code}`,
  );
}

/** Sequence of every message of a partition's journal, with its group's number. */
export async function journalOf(bus: Bus, partition: number) {
  const last = await bus.journal.last(partition);
  const list: { seq: number; number: number; floor: number; bytes: Uint8Array }[] = [];
  for await (const m of bus.journal.read(partition, 1, last?.seq ?? 0)) {
    const group = decodeGroup(codec, m.bytes);
    list.push({ seq: m.seq, number: group.number, floor: group.body.floor, bytes: m.bytes });
  }
  return list;
}
export { hostOver, until };
