/**
 * The form of the records: an actor, a root's history (head and pages), a partition's own record.
 * Owns names and layout; when they are written is the flush's business. Record kinds and versions
 * are the codec's.
 */
import { type Codec, CodecError, pack, unpack } from "../bus/codec.ts";
import type { RecordName } from "../bus/records.ts";
import type { Address } from "../machines/address.ts";
import type { IndexFields, Snapshot } from "../machines/definition.ts";
import type { Command, JsonObject } from "../machines/effects.ts";
import type { AskerChange } from "./group.ts";
import type { PackedEvent } from "./histories.ts";

export const recordKinds = { actor: 2, history: 3, page: 4, partition: 5, chunk: 6 } as const;

export const names = {
  actors: ["a"] as RecordName,
  histories: ["h"] as RecordName,
  actor: (a: Address): RecordName => ["a", a.type, a.key],
  history: (root: string): RecordName => ["h", root],
  page: (root: string, page: number): RecordName => ["e", root, String(page)],
  chunk: (a: Address, step: number, part: number): RecordName => ["c", a.type, a.key, String(step), String(part)],
  chunks: (a: Address): RecordName => ["c", a.type, a.key],
  partition: ["m"] as RecordName,
};

/** The journal group that a record reflects. */
export interface Reflects {
  readonly number: number;
  readonly seq: number;
  readonly checksum: string;
}

export interface ActorRecord extends Reflects {
  readonly step: number;
  readonly version: number;
  readonly fields: IndexFields | null;
  readonly reminders: readonly (readonly [name: string, at: number, arming: number, command: Command])[];
  readonly work: readonly (readonly [id: string, kind: string, spec: JsonObject, boot: string])[];
  /** The packed snapshot; empty when it lies in `chunks` parts beside. */
  readonly snapshot: Uint8Array;
  readonly chunks: number;
}

export function encodeActor(codec: Codec, r: ActorRecord): Uint8Array {
  const value = [r.number, r.seq, r.checksum, r.step, r.version, r.fields, r.reminders, r.work, r.snapshot, r.chunks];
  return codec.seal(recordKinds.actor, value).bytes;
}

export function decodeActor(codec: Codec, bytes: Uint8Array): ActorRecord {
  const [number, seq, checksum, step, version, fields, reminders, work, snapshot, chunks] = openAs(
    codec,
    bytes,
    recordKinds.actor,
  ) as [
    number,
    number,
    string,
    number,
    number,
    IndexFields | null,
    ActorRecord["reminders"],
    ActorRecord["work"],
    Uint8Array,
    number,
  ];
  return { number, seq, checksum, step, version, fields, reminders, work, snapshot, chunks };
}

export function packSnapshot(snapshot: Snapshot): Uint8Array {
  return pack([snapshot.value, snapshot.context]);
}

export function unpackSnapshot(bytes: Uint8Array): Snapshot {
  const [value, context] = unpack(bytes) as [Snapshot["value"], JsonObject];
  return { value, context };
}

export interface HistoryRecord extends Reflects {
  readonly last: number;
  readonly pages: number;
  readonly tail: readonly PackedEvent[];
}

export function encodeHistory(codec: Codec, r: HistoryRecord): Uint8Array {
  return codec.seal(recordKinds.history, [r.number, r.seq, r.checksum, r.last, r.pages, r.tail]).bytes;
}

export function decodeHistory(codec: Codec, bytes: Uint8Array): HistoryRecord {
  const [number, seq, checksum, last, pages, tail] = openAs(codec, bytes, recordKinds.history) as [
    number,
    number,
    string,
    number,
    number,
    PackedEvent[],
  ];
  return { number, seq, checksum, last, pages, tail };
}

export function encodePage(codec: Codec, events: readonly PackedEvent[]): Uint8Array {
  return codec.seal(recordKinds.page, events).bytes;
}

export function decodePage(codec: Codec, bytes: Uint8Array): PackedEvent[] {
  return openAs(codec, bytes, recordKinds.page) as PackedEvent[];
}

export function encodeChunk(codec: Codec, part: Uint8Array): Uint8Array {
  return codec.seal(recordKinds.chunk, part).bytes;
}

export function decodeChunk(codec: Codec, bytes: Uint8Array): Uint8Array {
  return openAs(codec, bytes, recordKinds.chunk) as Uint8Array;
}

export interface PartitionRecord extends Reflects {
  readonly time: number;
  readonly out: readonly (readonly [to: number, last: number, acked: number])[];
  readonly cursors: readonly (readonly [from: number, number: number])[];
  readonly askers: readonly AskerChange[];
}

export function encodePartition(codec: Codec, r: PartitionRecord): Uint8Array {
  return codec.seal(recordKinds.partition, [r.number, r.seq, r.checksum, r.time, r.out, r.cursors, r.askers]).bytes;
}

export function decodePartition(codec: Codec, bytes: Uint8Array): PartitionRecord {
  const [number, seq, checksum, time, out, cursors, askers] = openAs(codec, bytes, recordKinds.partition) as [
    number,
    number,
    string,
    number,
    [number, number, number][],
    [number, number][],
    AskerChange[],
  ];
  return { number, seq, checksum, time, out, cursors, askers };
}

/** The number of the group that any record reflects: the first field of each but pages and chunks. */
export function numberOf(codec: Codec, bytes: Uint8Array): number {
  const opened = codec.open(bytes);
  return (opened.value as [number])[0];
}

function openAs(codec: Codec, bytes: Uint8Array, kind: number): unknown {
  const opened = codec.open(bytes);
  if (opened.kind !== kind) throw new CodecError("corrupt", `A record has kind ${opened.kind} where ${kind} belongs.`);
  return opened.value;
}
