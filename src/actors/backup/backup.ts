/**
 * Writes a backup of a whole store while its nodes work: records as they are, journals from each floor to a
 * consistent cut, large values, secrets. Reads only. Why it is consistent: ADR 0031.
 */
import type { Bus } from "../../bus/bus.ts";
import type { Codec } from "../../bus/codec.ts";
import type { RecordName } from "../../bus/records.ts";
import type { Address } from "../../machines/address.ts";
import { Positions } from "../audit/journal-check.ts";
import { decodeGroup, type Group } from "../group.ts";
import { decodeActor, decodeChunk, decodeHistory, decodePage, decodePartition, names } from "../stored.ts";
import { lineOf, type Step, settleCut } from "./cut.ts";
import { BackupError, BackupWriter, type Counts } from "./file.ts";

export interface BackupSource {
  readonly bus: Bus;
  readonly codec: Codec;
  readonly replicas: 1 | 3;
}

export type Summary = Counts & { readonly fileBytes: number };

/** A partition whose journal was trimmed under our eyes is copied again, so often. */
const triesMax = 10;

/** The journal does not reach back to where the copy begins any more. */
class Trimmed extends Error {}

interface Copied {
  readonly partition: number;
  /** Where the journal's part begins. */
  readonly floor: number;
  /** The group that the backup must reach. */
  readonly number: number;
  readonly positions: Positions;
}

/** Throws BackupError when the store is not sound where this looks, BusError when it cannot be read. */
export async function backup(source: BackupSource, path: string): Promise<Summary> {
  const { bus, codec, replicas } = source;
  const writer = await BackupWriter.create(codec, path);
  try {
    const { partitions, streams } = bus.journal;
    await writer.write({ kind: "header", layout: { partitions, streams, replicas }, at: bus.clock.now() });
    const begun = new Map<number, number>();
    for (let p = 0; p < partitions; p++) begun.set(p, (await endOf(source, p))?.number ?? 0);
    await copyAll(source, writer, begun);
    for (const { name } of await bus.blobs.list(null)) await copyBlob(bus, writer, name);
    for (const { key, value } of await bus.registry.list("secret"))
      await writer.write({ kind: "secret", key, bytes: value });
    return { ...writer.counts, fileBytes: await writer.end() };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

async function copyAll(source: BackupSource, writer: BackupWriter, begun: ReadonlyMap<number, number>): Promise<void> {
  const { partitions } = source.bus.journal;
  const copied = new Map<number, Copied>();
  for (let p = 0; p < partitions; p++) copied.set(p, await copyRecords(source, writer, p, begun.get(p) ?? 0));
  for (let tries = 1; ; tries++) {
    try {
      const lines = [];
      // All records are copied: from now on every journal's end of the same moment is a consistent cut.
      for (const c of copied.values()) {
        const positions = new Positions();
        positions.takeFrom(c.positions);
        lines.push(lineOf(c.partition, positions, await stepsFrom(source, c.partition, c.floor), c.number));
      }
      settleCut(lines);
      for (const { partition, steps, end } of lines)
        for (const { seq, bytes } of steps.slice(0, end + 1))
          await writer.write({ kind: "group", partition, seq, bytes });
      return;
    } catch (error) {
      if (!(error instanceof TrimmedPartition) || tries >= triesMax) throw error;
      const again = await copyRecords(source, writer, error.partition, begun.get(error.partition) ?? 0);
      copied.set(error.partition, again);
    }
  }
}

class TrimmedPartition extends BackupError {
  constructor(readonly partition: number) {
    super(
      `Partition ${partition} trims its journal faster than it can be copied. Give TROUPE_REPLAY_BYTES more room, or back up when there is less to do.`,
    );
  }
}

async function endOf({ bus, codec }: BackupSource, partition: number): Promise<(Group & { seq: number }) | null> {
  const last = await bus.journal.last(partition);
  return last === null ? null : Object.assign(decodeGroup(codec, last.bytes), { seq: last.seq });
}

async function copyRecords(source: BackupSource, writer: BackupWriter, p: number, begun: number): Promise<Copied> {
  for (let tries = 1; ; tries++) {
    try {
      return await new RecordsCopy(source, writer, p).run(begun);
    } catch (error) {
      if (!(error instanceof Trimmed)) throw error;
      if (tries >= triesMax) throw new TrimmedPartition(p);
    }
  }
}

/** One pass over the records of a partition. A later copy of the same record counts. */
class RecordsCopy {
  readonly #source: BackupSource;
  readonly #writer: BackupWriter;
  readonly #partition: number;
  readonly #seen = new Set<string>();
  readonly #chunked: { readonly address: Address; readonly step: number; readonly chunks: number }[] = [];
  readonly #positions = new Positions();
  #number = 0;

  constructor(source: BackupSource, writer: BackupWriter, partition: number) {
    this.#source = source;
    this.#writer = writer;
    this.#partition = partition;
  }

  async run(begun: number): Promise<Copied> {
    const { bus } = this.#source;
    const partition = this.#partition;
    // The floor before the scan: what the scan reads reflects at least everything before it.
    const end = await endOf(this.#source, partition);
    const floor = end === null ? 1 : Math.max(1, Math.min(end.body.floor, end.seq));
    for await (const { name, bytes } of bus.records.scan(partition, [])) await this.#take(name, bytes);
    await this.#fetch(names.partition);
    // Only a record that was written meanwhile can have been missed, and its change is in the tail.
    for (const group of await tailFrom(this.#source, partition, floor)) {
      for (const { type, key } of group.body.actors) await this.#missed(names.actor({ type, key }));
      for (const { root } of group.events) await this.#missed(names.history(root));
    }
    for (const one of this.#chunked) await this.#parts(one);
    return { partition, floor, number: Math.max(begun, this.#number), positions: this.#positions };
  }

  async #missed(name: RecordName): Promise<void> {
    if (!this.#seen.has(name.join("\0"))) await this.#fetch(name);
  }

  async #fetch(name: RecordName): Promise<boolean> {
    const found = await this.#source.bus.records.get(this.#partition, name);
    if (found !== null) await this.#take(name, found.bytes);
    return found !== null;
  }

  async #take(name: RecordName, bytes: Uint8Array): Promise<void> {
    try {
      await this.#look(name, bytes);
    } catch (error) {
      if (error instanceof BackupError || (error as { code?: string }).code === "unreachable") throw error;
      throw new BackupError(
        `Partition ${this.#partition}, record ${name.join("/")}: ${(error as Error).message} Run troupe audit.`,
      );
    }
    this.#seen.add(name.join("\0"));
    await this.#writer.write({ kind: "record", partition: this.#partition, name, bytes });
  }

  /** A damaged record must not go into a backup unseen. */
  async #look(name: RecordName, bytes: Uint8Array): Promise<void> {
    const { codec } = this.#source;
    const [kind, first = "", second = ""] = name;
    if (kind === "a") {
      const { number, step, chunks } = decodeActor(codec, bytes);
      this.#reach(number);
      if (chunks > 0) this.#chunked.push({ address: { type: first, key: second }, step, chunks });
    } else if (kind === "h") {
      const { number, pages } = decodeHistory(codec, bytes);
      this.#reach(number);
      for (let page = 0; page < pages; page++) {
        if (this.#seen.has(names.page(first, page).join("\0"))) continue;
        if (!(await this.#fetch(names.page(first, page)))) throw new Error(`Its page ${page} is missing.`);
      }
    } else if (kind === "m") {
      const record = decodePartition(codec, bytes);
      this.#reach(record.number);
      this.#positions.takeRecord(record.out, record.cursors);
    } else if (kind === "e") decodePage(codec, bytes);
    else if (kind === "c") decodeChunk(codec, bytes);
    else throw new Error("This Troupe knows no record of that name.");
  }

  #reach(number: number): void {
    this.#number = Math.max(this.#number, number);
  }

  /** The parts of a large snapshot; a newer record may have replaced it, with parts of its own. */
  async #parts({ address, step, chunks }: { address: Address; step: number; chunks: number }): Promise<void> {
    for (let i = 0; i < chunks; i++) {
      const name = names.chunk(address, step, i);
      if (this.#seen.has(name.join("\0")) || (await this.#fetch(name))) continue;
      const before = this.#chunked.length;
      await this.#fetch(names.actor(address));
      const newer = this.#chunked.slice(before).some((one) => one.step > step);
      const small = this.#chunked.length === before;
      if (newer || small) return;
      throw new BackupError(
        `Part ${i} of the snapshot of ${address.type}/${address.key} is missing. Run troupe audit.`,
      );
    }
  }
}

type TailGroup = Group & { readonly checksum: string; readonly seq: number; readonly bytes: Uint8Array };

/** The groups from the floor to the journal's end of now. Throws Trimmed when the first are gone. */
async function tailFrom(source: BackupSource, partition: number, floor: number): Promise<TailGroup[]> {
  const { bus, codec } = source;
  const last = await bus.journal.last(partition);
  const groups: TailGroup[] = [];
  if (last === null) return groups;
  for await (const message of bus.journal.read(partition, floor, last.seq)) {
    const group = Object.assign(decodeGroup(codec, message.bytes), { seq: message.seq, bytes: message.bytes });
    const before = groups.at(-1);
    const follows =
      before === undefined
        ? group.body.prevSeq < floor
        : group.body.prevSeq === before.seq && group.body.prevChecksum === before.checksum;
    if (!follows) {
      const end = await endOf(source, partition);
      if (end !== null && end.horizon > group.body.prevSeq) throw new Trimmed();
      throw new BackupError(`Partition ${partition}: the journal has a hole before ${group.seq}. Run troupe audit.`);
    }
    groups.push(group);
  }
  if (groups.at(-1)?.seq !== last.seq) throw new Trimmed();
  return groups;
}

async function stepsFrom(source: BackupSource, partition: number, floor: number): Promise<Step[]> {
  try {
    const groups = await tailFrom(source, partition, floor);
    return groups.map(({ seq, number, bytes, body: { mail, acked, cursors } }) => ({
      seq,
      number,
      bytes,
      body: { mail: mail.map(([to, n]) => [to, n, nothing] as const), acked, cursors },
    }));
  } catch (error) {
    throw error instanceof Trimmed ? new TrimmedPartition(partition) : error;
  }
}

/** A letter's content plays no part in the cut, and is not kept in memory. */
const nothing = { to: { type: "", key: "" }, command: { type: "" } };

async function copyBlob(bus: Bus, writer: BackupWriter, name: string): Promise<void> {
  const stream = await bus.blobs.stream(name);
  if (stream === null) return;
  for await (const bytes of stream) await writer.write({ kind: "blob", name, bytes, last: false });
  await writer.write({ kind: "blob", name, bytes: new Uint8Array(0), last: true });
}
