/**
 * The audit of a whole store, online and read-only: each partition's journal and records, the channels
 * between partitions, and the large values that they refer to. Owns the order of reading that keeps
 * owners at work from looking like damage; what is checked is in the files beside.
 */
import type { Bus } from "../../bus/bus.ts";
import type { Codec } from "../../bus/codec.ts";
import type { JournalMessage } from "../../bus/journal.ts";
import { decodeGroup } from "../group.ts";
import { BlobValues } from "../values.ts";
import { JournalCheck, type Positions } from "./journal-check.ts";
import { RecordsCheck } from "./records-check.ts";
import { type Reference, References } from "./references.ts";
import { type AuditReport, type PartitionReport, Problems } from "./report.ts";

export interface AuditOptions {
  readonly bus: Bus;
  readonly codec: Codec;
  /** Also read every large value and compare its digest. */
  readonly deep?: boolean;
  /** Called when a partition is done. */
  onPartition?(report: PartitionReport): void;
}

interface Audited {
  readonly report: PartitionReport;
  readonly positions: Positions;
  readonly references: References;
}

/** Reads everything once. Throws BusError `unreachable` when the store cannot be read at all. */
export async function audit(options: AuditOptions): Promise<AuditReport> {
  const { journal } = options.bus;
  const audited: Audited[] = [];
  for (let p = 0; p < journal.partitions; p++) {
    const one = await auditPartition(options, p);
    options.onPartition?.(one.report);
    audited.push(one);
  }
  const problems = new Problems(null);
  await checkChannels(options, audited, problems);
  const blobs = await checkBlobs(options, audited, problems);
  const partitions = audited.map((a) => a.report);
  const all = problems.done();
  return {
    sound: all.length === 0 && partitions.every((p) => p.problems.length === 0),
    layout: { partitions: journal.partitions, streams: journal.streams },
    partitions,
    blobs,
    problems: all,
  };
}

/**
 * Journal to its end, then the records, then the journal again to its end of then: a record never reflects a
 * group that is not yet stored, so by then each record's group has been read or has been trimmed.
 */
async function auditPartition(options: AuditOptions, partition: number): Promise<Audited> {
  const { bus, codec } = options;
  const problems = new Problems(partition);
  const references = new References(partition);
  const end = await ending(options, partition);
  const journal = new JournalCheck(codec, partition, end.floor, problems);
  const records = new RecordsCheck({ bus, codec, partition, journal, problems, references });
  try {
    await readOn(options, partition, journal, 1);
    await records.scan();
    await readOn(options, partition, journal, (journal.last?.seq ?? 0) + 1);
    await records.settle();
  } catch (error) {
    problems.caught(`partition ${partition}`, error);
  }
  const report: PartitionReport = {
    partition,
    groups: journal.groups,
    firstNumber: journal.firstNumber,
    lastNumber: journal.last?.number ?? 0,
    floor: journal.last?.body.floor ?? 0,
    journalBytes: journal.bytes,
    records: records.records,
    recordBytes: records.bytes,
    actors: records.actors.size,
    histories: records.histories.size,
    events: records.events,
    blobsReferenced: references.byName.size,
    problems: problems.done(),
  };
  return { report, positions: journal.positions, references };
}

interface Ending {
  readonly message: JournalMessage | null;
  readonly horizon: number;
  readonly floor: number;
}

/** What the journal's last message says; a damaged one says nothing (it is named when it is read). */
async function ending({ bus, codec }: AuditOptions, partition: number): Promise<Ending> {
  const message = await bus.journal.last(partition);
  if (message === null) return { message, horizon: 0, floor: 1 };
  try {
    const group = decodeGroup(codec, message.bytes);
    return { message, horizon: group.horizon, floor: Math.min(group.body.floor, message.seq) };
  } catch {
    return { message, horizon: 0, floor: 1 };
  }
}

async function readOn(options: AuditOptions, partition: number, check: JournalCheck, from: number): Promise<void> {
  const { journal } = options.bus;
  const { message, horizon } = await ending(options, partition);
  if (message === null || message.seq < from) return;
  let trimmed = horizon;
  for await (const found of journal.read(partition, from, message.seq)) {
    const last = check.last?.seq ?? 0;
    // The owner may have trimmed on while this read: only then is the end asked again.
    if (check.groups % 1024 === 1023 || last === 0)
      trimmed = Math.max(trimmed, (await ending(options, partition)).horizon);
    check.take(found, trimmed);
  }
}

/**
 * Nobody has applied a letter that was not sent, or is taken to have applied one that it has not. What is
 * read later is never less: so each side is compared with a later look at the other.
 */
async function checkChannels(options: AuditOptions, audited: readonly Audited[], problems: Problems): Promise<void> {
  const later: (Positions | undefined)[] = [];
  for (const { report } of audited) later.push(await positionsNow(options, report.partition).catch(() => undefined));
  for (const { report, positions } of audited) {
    const own = report.partition;
    for (const [from, number] of positions.applied) {
      const sender = later[from];
      const sent = sender?.sent.get(own) ?? 0;
      if (sender !== undefined && number > sent)
        problems.add(
          `channel ${from} → ${own}`,
          "contradiction",
          `Letter ${number} was applied, but only ${sent} were sent.`,
        );
    }
    for (const [to, number] of positions.acked) {
      const receiver = later[to];
      const applied = receiver?.applied.get(own) ?? 0;
      if (receiver !== undefined && number > applied)
        problems.add(
          `channel ${own} → ${to}`,
          "missing",
          `Letter ${number} counts as applied, but only ${applied} were.`,
        );
    }
  }
}

/** Channel positions of this moment: the tail from the floor on, and the partition's record read after it. */
async function positionsNow(options: AuditOptions, partition: number): Promise<Positions | undefined> {
  const problems = new Problems(partition);
  const { message, floor } = await ending(options, partition);
  const journal = new JournalCheck(options.codec, partition, floor, problems);
  if (message === null) return journal.positions;
  for await (const found of options.bus.journal.read(partition, floor, message.seq)) journal.take(found, floor);
  const references = new References(partition);
  const records = new RecordsCheck({ ...options, partition, journal, problems, references });
  await records.scanPartitionRecord();
  return problems.list.length === 0 ? journal.positions : undefined;
}

async function checkBlobs(options: AuditOptions, audited: readonly Audited[], problems: Problems) {
  const { bus, deep } = options;
  const wanted = new Map<string, Reference>();
  for (const { references } of audited) for (const [name, one] of references.byName) wanted.set(name, one);
  const stored = new Map((await bus.blobs.list(null)).map((info) => [info.name, info.size]));
  const values = new BlobValues(bus.blobs);
  let verified = 0;
  for (const [name, { ref, partition, place }] of wanted) {
    const at = `blob ${name}`;
    const by = `partition ${partition}, ${place}`;
    const size = stored.get(name);
    if (size === undefined && (await bus.blobs.stream(name)) === null)
      problems.add(at, "missing", `It is not there; ${by} refers to it.`);
    else if (size !== undefined && size !== ref.$blob.bytes)
      problems.add(at, "damaged", `It has ${size} bytes where ${ref.$blob.bytes} were stored; ${by} refers to it.`);
    else if (deep === true) {
      try {
        await values.getBytes(ref);
        verified++;
      } catch (error) {
        problems.add(at, "damaged", `${(error as Error).message}; ${by} refers to it.`);
      }
    }
  }
  return { stored: stored.size, referenced: wanted.size, verified };
}
