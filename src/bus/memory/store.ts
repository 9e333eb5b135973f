/**
 * The memory driver's server: what all simulated nodes share. Streams of messages with sequences
 * and expected-sequence checks, records, registry, blobs. Does nothing by itself and knows no
 * network; the ports bring calls to it through their links.
 */
import { BusError, type Layout } from "../bus.ts";
import type { Clock } from "../clock.ts";
import type { JournalMessage } from "../journal.ts";
import { MemoryBroker } from "./broker.ts";

export type Stored = { readonly kind: "stored"; readonly seq: number };
export type Refused = { readonly kind: "refused"; readonly lastSeq: number };

/** One journal stream: its partitions' messages under one sequence. */
export class MemoryStream {
  lastSeq = 0;
  /** By sequence, ascending: maps keep the order of insertion. */
  private readonly messages = new Map<number, JournalMessage>();
  /** Ascending sequences by partition. */
  private readonly byPartition = new Map<number, number[]>();
  private readonly listeners = new Set<() => void>();

  append(partition: number, bytes: Uint8Array, expectedLastSeq: number, at: number): Stored | Refused {
    const lastSeq = this.last(partition)?.seq ?? 0;
    if (lastSeq !== expectedLastSeq) return { kind: "refused", lastSeq };
    const seq = ++this.lastSeq;
    this.messages.set(seq, { partition, seq, bytes: bytes.slice(), at });
    const list = this.byPartition.get(partition);
    if (list) list.push(seq);
    else this.byPartition.set(partition, [seq]);
    for (const listener of [...this.listeners]) listener();
    return { kind: "stored", seq };
  }

  last(partition: number): JournalMessage | null {
    return this.get(this.byPartition.get(partition)?.at(-1) ?? 0);
  }

  get(seq: number): JournalMessage | null {
    return this.messages.get(seq) ?? null;
  }

  get firstSeq(): number {
    return this.messages.keys().next().value ?? 0;
  }

  range(partition: number, fromSeq: number, toSeq: number): JournalMessage[] {
    const list = this.byPartition.get(partition) ?? [];
    return list.filter((seq) => seq >= fromSeq && seq <= toSeq).flatMap((seq) => this.get(seq) ?? []);
  }

  trim(partition: number, beforeSeq: number): void {
    const list = this.byPartition.get(partition) ?? [];
    const kept = list.filter((seq) => seq >= beforeSeq);
    for (const seq of list) if (seq < beforeSeq) this.messages.delete(seq);
    this.byPartition.set(partition, kept);
  }

  /** Called after each append; gives the way to stop that. */
  onAppend(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }
}

export interface MemoryRecord {
  readonly name: readonly string[];
  readonly bytes: Uint8Array;
  readonly seq: number;
}

export interface MemoryKey {
  /** null: deleted; the marker keeps its revision. */
  readonly value: Uint8Array | null;
  readonly revision: number;
}

export class MemoryStore {
  readonly journals: readonly MemoryStream[];
  readonly broker = new MemoryBroker();
  readonly blobs = new Map<string, Uint8Array>();
  readonly keys = new Map<string, MemoryKey>();
  private readonly records = new Map<number, Map<string, MemoryRecord>>();
  private readonly recordSeqs: number[];
  private revision = 0;

  constructor(
    readonly layout: Layout,
    /** The server's own clock. */
    readonly clock: Pick<Clock, "now">,
  ) {
    this.journals = Array.from({ length: layout.streams }, () => new MemoryStream());
    this.recordSeqs = Array.from({ length: layout.streams }, () => 0);
  }

  journal(stream: number): MemoryStream {
    const journal = this.journals[stream];
    if (!journal) throw new BusError("failed", `There is no stream ${stream}.`);
    return journal;
  }

  append(partition: number, bytes: Uint8Array, expectedLastSeq: number): Stored | Refused {
    this.check(partition);
    return this.journal(partition % this.layout.streams).append(partition, bytes, expectedLastSeq, this.clock.now());
  }

  recordsOf(partition: number): Map<string, MemoryRecord> {
    this.check(partition);
    let records = this.records.get(partition);
    if (!records) {
      records = new Map();
      this.records.set(partition, records);
    }
    return records;
  }

  lastRecordSeq(partition: number): number {
    this.check(partition);
    return this.recordSeqs[partition % this.layout.streams] ?? 0;
  }

  putRecord(partition: number, name: readonly string[], bytes: Uint8Array, expectedSeq: number): Stored | Refused {
    const records = this.recordsOf(partition);
    const key = name.join("\0");
    const lastSeq = records.get(key)?.seq ?? 0;
    if (lastSeq !== expectedSeq) return { kind: "refused", lastSeq };
    const stream = partition % this.layout.streams;
    const seq = (this.recordSeqs[stream] ?? 0) + 1;
    this.recordSeqs[stream] = seq;
    // Deleted first, so that the map's order is the order of sequences.
    records.delete(key);
    records.set(key, { name: [...name], bytes: bytes.slice(), seq });
    return { kind: "stored", seq };
  }

  /** Writes a registry key over exactly this revision (0: it never was). */
  putKey(key: string, value: Uint8Array | null, revision: number): Stored | Refused {
    const lastSeq = this.keys.get(key)?.revision ?? 0;
    if (lastSeq !== revision) return { kind: "refused", lastSeq };
    this.keys.set(key, { value: value?.slice() ?? null, revision: ++this.revision });
    return { kind: "stored", seq: this.revision };
  }

  private check(partition: number): void {
    if (!(Number.isInteger(partition) && partition >= 0 && partition < this.layout.partitions)) {
      throw new BusError("failed", `There is no partition ${partition}.`);
    }
  }
}
