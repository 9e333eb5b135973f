/**
 * Take-over of a partition: read the journal's tail, put the epoch entry right after it (from then on no
 * other owner can commit, and the tail is final), read the partition's own record. What the tail says of
 * actors and histories is kept for the loader; the rest becomes the state. Serving can begin then;
 * `completeIndex` goes through all records behind.
 */
import type { Bus } from "../bus/bus.ts";
import type { Codec } from "../bus/codec.ts";
import type { JournalMessage } from "../bus/journal.ts";
import type { RecordEntry } from "../bus/records.ts";
import { type Address, formatAddress } from "../machines/address.ts";
import { commitGroup } from "./committer.ts";
import { decodeGroup, encodeGroup, type Group } from "./group.ts";
import type { Logger } from "./limits.ts";
import { type Loader, StoreFault } from "./loader.ts";
import { groupByRoot, type PartitionState } from "./state.ts";
import { decodeActor, decodeHistory, decodePartition, names } from "./stored.ts";

export interface TakeoverEnvironment {
  readonly bus: Bus;
  readonly codec: Codec;
  readonly state: PartitionState;
  readonly loader: Loader;
  readonly boot: string;
  readonly logger: Logger;
  stopped(): boolean;
}

/** The journal itself is not a chain: nobody may go on from it. */
export class JournalFault extends Error {
  override readonly name = "JournalFault";
}

/** So often, and so long between, is a store looked at that seems to have lost its end. */
const lookTries = 50;
const lookPauseMs = 100;

type DecodedGroup = Group & { readonly checksum: string; readonly seq: number };

/** Bytes of the tail, for the replay window's accounting. */
export interface Taken {
  readonly tailBytes: number;
  readonly groups: number;
}

/** Throws StoreFault or CodecError when journal or record cannot be trusted. */
export async function takeOver(env: TakeoverEnvironment): Promise<Taken | "stopped"> {
  const { state } = env;
  const tail: DecodedGroup[] = [];
  let tailBytes = 0;
  for (;;) {
    const last = await env.bus.journal.last(state.partition);
    try {
      if (last !== null) tailBytes += await readTail(env, tail, last);
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error;
      // Another owner may have gone on, and trimmed, while this read: a fault is what stays when the end does.
      const now = await env.bus.journal.last(state.partition);
      if (now?.seq === last?.seq) throw new JournalFault(error.message);
      tail.length = 0;
      tailBytes = 0;
      continue;
    }
    const done = await enterEpoch(env, tail);
    if (done === "stopped") return "stopped";
    if (done === "entered") break;
  }
  await requireRecords(env);
  for (const group of tail) env.loader.checksums.set(group.number, group.checksum);
  // Read in several turns while another owner went on, the tail may begin before where its floor has come to since.
  await restore(
    env,
    tail.filter((group) => group.seq >= state.floor),
  );
  return { tailBytes, groups: tail.length };
}

/** Reads on from what is known up to `last`; checks that the groups are a chain without holes. */
async function readTail(env: TakeoverEnvironment, tail: DecodedGroup[], last: JournalMessage): Promise<number> {
  const { state, codec, bus } = env;
  const known = tail.at(-1);
  if (known !== undefined && known.seq >= last.seq) return 0;
  const lastGroup = decode(codec, last);
  const from = known === undefined ? Math.max(1, Math.min(lastGroup.body.floor, last.seq)) : known.seq + 1;
  let bytes = 0;
  for await (const message of bus.journal.read(state.partition, from, last.seq)) {
    const group = message.seq === last.seq ? lastGroup : decode(codec, message);
    checkChain(state.partition, tail.at(-1), group, from);
    tail.push(group);
    bytes += message.bytes.length;
  }
  if (tail.at(-1)?.seq !== last.seq) {
    throw new StoreFault(
      `Partition ${state.partition}: the journal's last message ${last.seq} was not among those read.`,
    );
  }
  return bytes;
}

function decode(codec: Codec, message: JournalMessage): DecodedGroup {
  const group = decodeGroup(codec, message.bytes);
  if (group.partition !== message.partition) {
    throw new StoreFault(
      `Message ${message.seq} of partition ${message.partition} belongs to partition ${group.partition}.`,
    );
  }
  return Object.assign(group, { seq: message.seq });
}

function checkChain(partition: number, before: DecodedGroup | undefined, group: DecodedGroup, from: number): void {
  const { body } = group;
  if (before === undefined) {
    if (body.prevSeq < from) return;
    throw new StoreFault(
      `Partition ${partition}: group ${group.number} at ${group.seq} follows one at ${body.prevSeq} that is not there, though nothing from ${from} on may be missing.`,
    );
  }
  if (group.number === before.number + 1 && body.prevSeq === before.seq && body.prevChecksum === before.checksum)
    return;
  throw new StoreFault(
    `Partition ${partition}: group ${group.number} at ${group.seq} does not follow group ${before.number} at ${before.seq}; the journal has a hole or was changed.`,
  );
}

/** Appends the epoch entry behind the tail. "again": somebody else wrote meanwhile; read on. */
async function enterEpoch(env: TakeoverEnvironment, tail: DecodedGroup[]): Promise<"entered" | "again" | "stopped"> {
  const { state, codec, bus } = env;
  const last = tail.at(-1);
  const group: Group = {
    partition: state.partition,
    number: (last?.number ?? 0) + 1,
    time: Math.max(last?.time ?? 0, bus.clock.now()),
    horizon: last?.horizon ?? 0,
    events: [],
    body: {
      epoch: 0,
      owner: env.boot,
      prevSeq: last?.seq ?? 0,
      prevChecksum: last?.checksum ?? "",
      floor: last?.body.floor ?? 0,
      recordsSeq: last?.body.recordsSeq ?? 0,
      actors: [],
      mail: [],
      cursors: [],
      acked: [],
      askers: [],
    },
  };
  const sealed = encodeGroup(codec, group);
  const commit = { journal: bus.journal, clock: bus.clock, logger: env.logger, stopped: env.stopped };
  const outcome = await commitGroup(commit, state.partition, sealed.bytes, last?.seq ?? 0);
  if (outcome.kind === "stopped") return "stopped";
  if (outcome.kind === "lost") return "again";
  if (outcome.kind === "full") {
    env.logger.warn(
      { partition: state.partition, reason: outcome.reason },
      "no room for the epoch entry; trying again",
    );
    await bus.clock.sleep(1000);
    return "again";
  }
  state.position(group, outcome.seq, sealed.checksum);
  state.epoch = outcome.seq;
  state.recordsSeq = group.body.recordsSeq;
  return "entered";
}

/**
 * The floor rests on records up to a sequence. A server that has just lost the lead may answer for a moment as if they
 * were not there; when they stay away, the store has lost what it had acknowledged.
 */
async function requireRecords({ bus, state, stopped }: TakeoverEnvironment): Promise<void> {
  for (let tries = 1; !stopped(); tries++) {
    const lastSeq = await bus.records.lastSeq(state.partition);
    if (lastSeq >= state.recordsSeq) return;
    if (tries === lookTries) {
      throw new StoreFault(
        `Partition ${state.partition}: the records end at ${lastSeq}, before ${state.recordsSeq} that the journal's floor rests on: the store has lost their end.`,
      );
    }
    await bus.clock.sleep(lookPauseMs);
  }
}

async function restore(env: TakeoverEnvironment, tail: readonly DecodedGroup[]): Promise<void> {
  const { state, loader } = env;
  const stored = await env.bus.records.get(state.partition, names.partition, state.recordsSeq);
  let from = 0;
  if (stored !== null) {
    const record = decodePartition(env.codec, stored.bytes);
    loader.checkReflects(record, `partition ${state.partition}`);
    from = record.number;
    state.metaRecordSeq = stored.seq;
    state.time = Math.max(state.time, record.time);
    for (const [to, last, acked] of record.out) state.channels.restoreOut(to, last, acked);
    state.channels.moved(record.cursors);
    state.askers.apply(record.askers);
  }
  for (const group of tail) replay(env, group, group.number > from);
}

function replay(env: TakeoverEnvironment, group: DecodedGroup, newer: boolean): void {
  const { state, loader } = env;
  const { mail, acked, cursors, askers, actors } = group.body;
  state.touchMeta(state.channels.replay(mail, newer ? acked : [], group.seq));
  if (newer) {
    state.channels.moved(cursors);
    state.askers.apply(askers);
    if (mail.length + acked.length + cursors.length + askers.length > 0) state.touchMeta(group.seq);
  }
  for (const change of actors) {
    const address: Address = { type: change.type, key: change.key };
    const name = formatAddress(address);
    const known = loader.tails.get(name);
    if (known === undefined) loader.tails.set(name, { address, changes: [change], firstSeq: group.seq });
    else known.changes.push(change);
  }
  for (const [root, events] of groupByRoot(group)) {
    const known = loader.eventTails.get(root);
    if (known === undefined) loader.eventTails.set(root, { changes: [...events], firstSeq: group.seq });
    else known.changes.push(...events);
  }
}

/** True when the journal ends with a message of this very ownership. */
export async function ownerAtEnd(bus: Bus, codec: Codec, state: PartitionState, boot: string): Promise<boolean> {
  const last = await bus.journal.last(state.partition);
  if (last === null) return false;
  const { body } = decodeGroup(codec, last.bytes);
  return body.owner === null ? body.epoch === state.epoch : body.owner === boot;
}

/** What the scan of the records found out about one actor that is not in memory. */
export interface PassiveActor {
  readonly address: Address;
  readonly reminders: readonly (readonly [name: string, at: number, arming: number])[];
  readonly hasWork: boolean;
}

/**
 * Loads what the tail names, then goes through all records: afterwards the index is whole and everything
 * that is not in it does not exist. Memory wins over a record. A former owner that was frozen may still write a record
 * meanwhile, but only of an actor that had changed behind its floor: the tail names it, so it is in memory before.
 */
export async function completeIndex(
  env: TakeoverEnvironment,
  load: (address: Address) => Promise<void>,
  onPassive: (actor: PassiveActor) => void,
): Promise<void> {
  const { state, loader, codec, bus } = env;
  await inParallel([...loader.tails.values()], 64, (t) => load(t.address));
  await inParallel([...loader.eventTails.keys()], 64, async (root) => {
    await loader.loadHistory(root);
  });
  const scanned = new Set<string>();
  for await (const one of bus.records.scan(state.partition, names.actors, state.recordsSeq)) {
    if (env.stopped()) return;
    const address: Address = { type: one.name[1] ?? "", key: one.name[2] ?? "" };
    const name = formatAddress(address);
    let found: RecordEntry = one;
    if (scanned.has(name)) {
      // What came before was an older copy. Memory may have had the actor since: the record itself is asked for.
      const now = await bus.records.get(state.partition, names.actor(address), state.recordsSeq);
      if (now === null || state.entries.has(name)) continue;
      found = now;
    } else if (state.entries.has(name) || state.listing.has(name)) {
      // What was in memory since is newer than what the scan found, even if it has left again.
      continue;
    }
    scanned.add(name);
    const record = decodeActor(codec, found.bytes);
    loader.checkReflects(record, name);
    state.listing.set(name, address, record.fields);
    onPassive({
      address,
      reminders: record.reminders.map(([n, at, arming]) => [n, at, arming] as const),
      hasWork: record.work.length > 0,
    });
  }
  for await (const found of bus.records.scan(state.partition, names.histories, state.recordsSeq)) {
    if (env.stopped()) return;
    const root = found.name[1] ?? "";
    if (loader.historyResident(root)) continue;
    const record = decodeHistory(codec, found.bytes);
    loader.checkReflects(record, `history ${root}`);
    const history = state.history(root);
    history.last = record.last;
    history.pages = record.pages;
    history.recordSeq = found.seq;
  }
  state.complete = true;
  loader.forgetKnown();
}

async function inParallel<T>(items: readonly T[], width: number, job: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async () => {
    while (next < items.length) await job(items[next++] as T);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
}
