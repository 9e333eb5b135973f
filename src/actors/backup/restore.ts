/**
 * Brings a backup into an empty store. Sequences are the store's own, so every group is sealed anew with the
 * sequences that it gets here, and every record with the group that it reflects. Reads the file three
 * times: whole to trust it, then journals, then the rest.
 */
import { type Bus, BusError, type Layout } from "../../bus/bus.ts";
import type { Codec } from "../../bus/codec.ts";
import type { RecordName } from "../../bus/records.ts";
import { commitGroup } from "../committer.ts";
import { decodeGroup, encodeGroup } from "../group.ts";
import {
  decodeActor,
  decodeHistory,
  decodePartition,
  encodeActor,
  encodeHistory,
  encodePartition,
  type Reflects,
} from "../stored.ts";
import { BackupError, type Counts, type Frame, readBackup } from "./file.ts";
import { restoreMark } from "./restore-mark.ts";

/** `connect` opens a bus on the store with this layout, setting it up when there is none. */
export async function restore(
  path: string,
  codec: Codec,
  connect: (layout: Layout) => Promise<Bus>,
): Promise<Counts & { readonly layout: Layout }> {
  const { layout, counts } = await trust(codec, path);
  const bus = await connect(layout);
  try {
    await requireEmpty(bus);
    const mark = await bus.registry.create(restoreMark, new TextEncoder().encode(String(bus.clock.now())));
    if (mark.kind !== "stored") throw new BackupError("Another restore works on this store.");
    const journals = new Journals(bus, codec);
    for await (const frame of readBackup(codec, path)) if (frame.kind === "group") await journals.add(frame);
    await restoreRest(bus, codec, path, journals);
    const removed = await bus.registry.remove(restoreMark, mark.revision);
    if (removed.kind !== "stored")
      throw new BackupError(
        `Everything is restored, but the mark of the restore could not be taken away (${removed.kind}).`,
      );
    return { ...counts, layout };
  } finally {
    await bus.close();
  }
}

/** Reads the whole file before anything is written. */
async function trust(codec: Codec, path: string): Promise<{ layout: Layout; counts: Counts }> {
  let layout: Layout | undefined;
  let counts: Counts | undefined;
  const seen: Counts = { records: 0, groups: 0, blobs: 0, secrets: 0 };
  for await (const frame of readBackup(codec, path)) {
    if (layout === undefined && frame.kind !== "header")
      throw new BackupError("The backup does not begin with its header.");
    if (frame.kind === "header") layout = frame.layout;
    if (frame.kind === "end") counts = frame.counts;
    if (frame.kind === "record") seen.records++;
    if (frame.kind === "group") seen.groups++;
    if (frame.kind === "secret") seen.secrets++;
    if (frame.kind === "blob" && frame.last) seen.blobs++;
  }
  if (layout === undefined || counts === undefined) throw new BackupError("The backup is cut.");
  if (JSON.stringify(counts) !== JSON.stringify(seen))
    throw new BackupError("The backup does not hold what its end says.");
  return { layout, counts };
}

async function requireEmpty(bus: Bus): Promise<void> {
  const refuse = (what: string) => {
    throw new BackupError(`The store is not empty: it has ${what}. A backup is restored into an empty one only.`);
  };
  for (let s = 0; s < bus.journal.streams; s++) if ((await bus.journal.bounds(s)).lastSeq > 0) refuse("a journal");
  if ((await bus.registry.list("member")).length > 0) refuse("a node that runs on it");
  if ((await bus.registry.list("secret")).length > 0) refuse("secrets");
  for (let p = 0; p < bus.journal.partitions; p++)
    for await (const _ of bus.records.scan(p, [])) refuse(`records of partition ${p}`);
  if ((await bus.blobs.list(null)).length > 0) refuse("large values");
}

interface Chain {
  seq: number;
  checksum: string;
  /** Old sequences to new ones, and what stands for each group's number now. */
  readonly seqs: Map<number, number>;
  readonly numbers: Map<number, { readonly seq: number; readonly checksum: string }>;
}

/** The journals of the new store, sealed anew group by group. */
class Journals {
  readonly #bus: Bus;
  readonly #codec: Codec;
  readonly #chains = new Map<number, Chain>();

  constructor(bus: Bus, codec: Codec) {
    this.#bus = bus;
    this.#codec = codec;
  }

  async add({ partition, seq, bytes }: Extract<Frame, { kind: "group" }>): Promise<void> {
    const { journal, clock } = this.#bus;
    const group = decodeGroup(this.#codec, bytes);
    let chain = this.#chains.get(partition);
    if (chain === undefined) {
      chain = { seq: 0, checksum: "", seqs: new Map(), numbers: new Map() };
      this.#chains.set(partition, chain);
    }
    const body = {
      ...group.body,
      // The epoch's own entry may lie before the backup's first group; the next owner enters a new one.
      epoch: chain.seqs.get(group.body.epoch) ?? 0,
      prevSeq: chain.seq,
      prevChecksum: chain.checksum,
      // Everything restored is the tail: the records are as old as the first of these groups.
      floor: 1,
      recordsSeq: 0,
    };
    const sealed = encodeGroup(this.#codec, { ...group, horizon: 1, body });
    const logger = { debug() {}, info() {}, warn() {}, error() {} };
    const outcome = await commitGroup(
      { journal, clock, logger, stopped: () => false },
      partition,
      sealed.bytes,
      chain.seq,
    );
    if (outcome.kind === "full") throw new BusError("storage_full", `The store has no room: ${outcome.reason}.`);
    if (outcome.kind !== "stored") throw new BackupError("Somebody else writes into the store.");
    chain.seqs.set(seq, outcome.seq);
    chain.seq = outcome.seq;
    chain.checksum = sealed.checksum;
    chain.numbers.set(group.number, { seq: outcome.seq, checksum: sealed.checksum });
  }

  /** What a record reflects, as it is here. A group before the journal's first keeps its number alone. */
  reflects(partition: number, { number, checksum }: Reflects): Reflects {
    const found = this.#chains.get(partition)?.numbers.get(number);
    return found === undefined ? { number, seq: 0, checksum } : { number, ...found };
  }
}

async function restoreRest(bus: Bus, codec: Codec, path: string, journals: Journals): Promise<void> {
  const parts: Uint8Array[] = [];
  for await (const frame of readBackup(codec, path)) {
    if (frame.kind === "record") await putRecord(bus, frame, sealAnew(codec, frame, journals));
    if (frame.kind === "secret") await putSecret(bus, frame.key, frame.bytes);
    if (frame.kind !== "blob") continue;
    parts.push(frame.bytes);
    if (!frame.last) continue;
    await bus.blobs.put(frame.name, Buffer.concat(parts.splice(0)));
  }
}

async function putSecret(bus: Bus, key: string, bytes: Uint8Array): Promise<void> {
  for (;;) {
    if ((await bus.registry.create(key, bytes)).kind === "stored") return;
    const found = await bus.registry.get(key);
    if (found !== null && Buffer.compare(found.value, bytes) === 0) return;
    if (found !== null) throw new BackupError(`The store has another ${key} already.`);
  }
}

function sealAnew(codec: Codec, { partition, name, bytes }: Extract<Frame, { kind: "record" }>, journals: Journals) {
  if (name[0] === "a") {
    const record = decodeActor(codec, bytes);
    return encodeActor(codec, { ...record, ...journals.reflects(partition, record) });
  }
  if (name[0] === "h") {
    const record = decodeHistory(codec, bytes);
    return encodeHistory(codec, { ...record, ...journals.reflects(partition, record) });
  }
  if (name[0] === "m") {
    const record = decodePartition(codec, bytes);
    return encodePartition(codec, { ...record, ...journals.reflects(partition, record) });
  }
  // Pages and parts name no group.
  return bytes;
}

/** A later copy of a record in the file is the newer one. */
async function putRecord(bus: Bus, { partition, name }: { partition: number; name: RecordName }, bytes: Uint8Array) {
  let expected = 0;
  for (;;) {
    const outcome = await bus.records.put(partition, name, bytes, expected);
    if (outcome.kind === "stored") return;
    if (outcome.kind === "full") throw new BusError("storage_full", `The store has no room: ${outcome.reason}.`);
    if (outcome.kind === "unknown") await bus.clock.sleep(Math.max(5, outcome.retryAfterMs));
    const found = await bus.records.get(partition, name);
    if (found !== null && Buffer.compare(found.bytes, bytes) === 0) return;
    expected = found?.seq ?? 0;
  }
}
