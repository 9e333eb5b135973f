/**
 * The form of a group: the steps that commit together as one journal message. Owns the layout
 * (compact arrays, format 1) and nothing else; sealing, checksum and format version are the codec's.
 *
 * A message is [partition, number, time, horizon, events, body]; `body` is packed on its own, so
 * that those who only want events do not decode the rest.
 */
import { type Codec, CodecError, pack, type Sealed, unpack } from "../bus/codec.ts";
import type { Command, Json, JsonObject } from "../machines/effects.ts";
import type { StoredEvent } from "./client.ts";
import type { Difference } from "./difference.ts";

/** Kind byte of the codec for journal groups. */
export const groupKind = 1;

export interface Reminder {
  readonly at: number;
  /** The step that armed it; a reminder that fires with another arming does not exist any more. */
  readonly arming: number;
  readonly command: Command;
}

export interface PendingWork {
  readonly kind: string;
  readonly spec: JsonObject;
  /** Boot id of the process that was given the work. */
  readonly boot: string;
}

/** One actor's change within a group. */
export interface ActorChange {
  readonly type: string;
  readonly key: string;
  /** Steps of this actor before this group; 0: it begins here. */
  readonly since: number;
  /** Steps of this actor so far, this group included. */
  readonly step: number;
  /** Version of the snapshot's shape. */
  readonly version: number;
  readonly change: Difference | null;
  readonly reminders: readonly (readonly [name: string, reminder: Reminder | null])[];
  readonly work: readonly (readonly [id: string, work: PendingWork | null])[];
}

/** A command on its way between partitions. */
export interface Letter {
  readonly to: { readonly type: string; readonly key: string };
  readonly command: Command;
}

/** [boot, lowest number still awaited, deadline ms, [number, reply]…] */
export type AskerChange = readonly [
  boot: string,
  low: number,
  until: number,
  done: readonly (readonly [number, Json])[],
];

export interface GroupBody {
  /** Sequence of the epoch entry under which this group was made; 0 in the epoch entry itself. */
  readonly epoch: number;
  /** Set in an epoch entry: the boot id of the new owner. */
  readonly owner: string | null;
  /** The partition's previous message: its sequence and checksum (0 and "" for the first). */
  readonly prevSeq: number;
  readonly prevChecksum: string;
  /** Everything before this sequence is in the records. */
  readonly floor: number;
  /** The state stream's sequence that the floor rests on. */
  readonly recordsSeq: number;
  readonly actors: readonly ActorChange[];
  /** Outgoing: [to partition, number, letter]. */
  readonly mail: readonly (readonly [number, number, Letter])[];
  /** Incoming: [from partition, last number applied]. */
  readonly cursors: readonly (readonly [number, number])[];
  /** Outgoing acknowledged: [to partition, number]. */
  readonly acked: readonly (readonly [number, number])[];
  readonly askers: readonly AskerChange[];
}

export interface GroupHead {
  readonly partition: number;
  /** 1, 2, 3… without holes within the partition, epoch entries included. */
  readonly number: number;
  /** Partition time, ms. */
  readonly time: number;
  /** Messages of the partition before this sequence may have been trimmed. */
  readonly horizon: number;
  readonly events: readonly StoredEvent[];
}

export interface Group extends GroupHead {
  readonly body: GroupBody;
}

export function encodeGroup(codec: Codec, group: Group): Sealed {
  const { body } = group;
  const packed = pack([
    body.epoch,
    body.owner,
    body.prevSeq,
    body.prevChecksum,
    body.floor,
    body.recordsSeq,
    body.actors.map(packActor),
    body.mail.map(([to, n, letter]) => [to, n, letter.to.type, letter.to.key, letter.command]),
    body.cursors,
    body.acked,
    body.askers,
  ]);
  const events = group.events.map((e) => [e.root, e.no, e.type, e.kind, e.key, e.name, e.data]);
  return codec.seal(groupKind, [group.partition, group.number, group.time, group.horizon, events, packed]);
}

function packActor(a: ActorChange): unknown[] {
  const reminders = a.reminders.map(([name, r]) => (r === null ? [name] : [name, r.at, r.arming, r.command]));
  const work = a.work.map(([id, w]) => (w === null ? [id] : [id, w.kind, w.spec, w.boot]));
  return [a.type, a.key, a.since, a.step, a.version, a.change, reminders, work];
}

type PackedHead = [
  number,
  number,
  number,
  number,
  [string, number, string, string, string, string, JsonObject][],
  Uint8Array,
];

/** Only what followers of events need; the checksum covers the whole message all the same. */
export function decodeHead(codec: Codec, bytes: Uint8Array): GroupHead {
  return decode(codec, bytes).head;
}

/** Throws CodecError for a message that is damaged, newer, or no group. */
export function decodeGroup(codec: Codec, bytes: Uint8Array): Group & { readonly checksum: string } {
  const { head, packed, checksum } = decode(codec, bytes);
  const b = unpack(packed) as [
    number,
    string | null,
    number,
    string,
    number,
    number,
    unknown[][],
    [number, number, string, string, Command][],
    [number, number][],
    [number, number][],
    AskerChange[],
  ];
  const body: GroupBody = {
    epoch: b[0],
    owner: b[1],
    prevSeq: b[2],
    prevChecksum: b[3],
    floor: b[4],
    recordsSeq: b[5],
    actors: b[6].map(unpackActor),
    mail: b[7].map(([to, n, type, key, command]) => [to, n, { to: { type, key }, command }] as const),
    cursors: b[8],
    acked: b[9],
    askers: b[10],
  };
  return { ...head, body, checksum };
}

function decode(codec: Codec, bytes: Uint8Array): { head: GroupHead; packed: Uint8Array; checksum: string } {
  const sealed = codec.open(bytes);
  if (sealed.kind !== groupKind) throw new CodecError("corrupt", `A journal message has kind ${sealed.kind}.`);
  const [partition, number, time, horizon, events, packed] = sealed.value as PackedHead;
  const head: GroupHead = {
    partition,
    number,
    time,
    horizon,
    events: events.map(([root, no, type, kind, key, name, data]) => ({
      root,
      no,
      type,
      kind,
      key,
      name,
      at: time,
      data,
    })),
  };
  return { head, packed, checksum: sealed.checksum };
}

function unpackActor(a: unknown[]): ActorChange {
  const [type, key, since, step, version, change, reminders, work] = a as [
    string,
    string,
    number,
    number,
    number,
    Difference | null,
    ([string] | [string, number, number, Command])[],
    ([string] | [string, string, JsonObject, string])[],
  ];
  return {
    type,
    key,
    since,
    step,
    version,
    change,
    reminders: reminders.map((r) =>
      r.length === 1 ? ([r[0], null] as const) : ([r[0], { at: r[1], arming: r[2], command: r[3] }] as const),
    ),
    work: work.map((w) =>
      w.length === 1 ? ([w[0], null] as const) : ([w[0], { kind: w[1], spec: w[2], boot: w[3] }] as const),
    ),
  };
}
