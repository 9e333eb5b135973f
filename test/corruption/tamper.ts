/** Changes the memory driver's store behind everyone's back, as a disk or a wrong hand would. */
import type { JournalMessage } from "../../src/bus/journal.ts";
import type { MemoryRecord, MemoryStore } from "../../src/bus/memory/store.ts";

interface StreamInside {
  readonly messages: Map<number, JournalMessage>;
  readonly byPartition: Map<number, number[]>;
}

function inside(store: MemoryStore, partition: number): StreamInside {
  return store.journal(partition % store.layout.streams) as unknown as StreamInside;
}

/** Writes other bytes over a journal message. */
export function rewrite(store: MemoryStore, partition: number, seq: number, change: (bytes: Uint8Array) => Uint8Array) {
  const { messages } = inside(store, partition);
  const message = messages.get(seq);
  if (message === undefined) throw new Error(`no message ${seq}`);
  messages.set(seq, { ...message, bytes: change(message.bytes) });
}

/** Takes a message away, as the server's own message delete does. */
export function removeMessage(store: MemoryStore, partition: number, seq: number): void {
  const { messages, byPartition } = inside(store, partition);
  messages.delete(seq);
  byPartition.set(
    partition,
    (byPartition.get(partition) ?? []).filter((one) => one !== seq),
  );
}

export function recordNamed(store: MemoryStore, partition: number, name: string): MemoryRecord {
  const record = store.recordsOf(partition).get(name.replaceAll("/", "\0"));
  if (record === undefined) throw new Error(`no record ${name}`);
  return record;
}

export function recordNames(store: MemoryStore, partition: number): string[] {
  return [...store.recordsOf(partition).keys()].map((key) => key.replaceAll("\0", "/"));
}

export function rewriteRecord(
  store: MemoryStore,
  partition: number,
  name: string,
  change: (bytes: Uint8Array) => Uint8Array,
): void {
  const record = recordNamed(store, partition, name);
  store.recordsOf(partition).set(name.replaceAll("/", "\0"), { ...record, bytes: change(record.bytes) });
}

export function removeRecord(store: MemoryStore, partition: number, name: string): void {
  store.recordsOf(partition).delete(name.replaceAll("/", "\0"));
}

/** One bit of one byte turned over; negative: from the end. */
export const flip =
  (index: number, bit = 0) =>
  (bytes: Uint8Array): Uint8Array => {
    const copy = bytes.slice();
    const at = index < 0 ? bytes.length + index : index;
    copy[at] = (copy[at] ?? 0) ^ (1 << bit);
    return copy;
  };

export const cut =
  (length: number) =>
  (bytes: Uint8Array): Uint8Array =>
    bytes.slice(0, length < 0 ? bytes.length + length : length);
