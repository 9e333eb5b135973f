/**
 * Activation: an actor, and its root's history, from the record and what the journal's tail adds
 * to it. Each is loaded once at a time; a record that is ahead of the journal, damaged or newer is refused loudly.
 */
import type { Codec } from "../bus/codec.ts";
import type { RecordEntry, RecordName, Records } from "../bus/records.ts";
import { type Address, formatAddress, rootOf } from "../machines/address.ts";
import type { Snapshot } from "../machines/definition.ts";
import type { Json, JsonObject } from "../machines/effects.ts";
import type { StoredEvent } from "./client.ts";
import { applyDifference } from "./difference.ts";
import { Entry } from "./entry.ts";
import type { ActorChange, PendingWork, Reminder } from "./group.ts";
import { type History, unpackEvent } from "./histories.ts";
import type { PartitionState } from "./state.ts";
import type { Stepper } from "./step.ts";
import {
  type ActorRecord,
  decodeActor,
  decodeChunk,
  decodeHistory,
  decodePage,
  names,
  type Reflects,
  unpackSnapshot,
} from "./stored.ts";

/** A record that contradicts the journal: its partition must not be served. */
export class StoreFault extends Error {
  override readonly name = "StoreFault";
}

/** What the tail holds for one actor or root that is not in memory yet. */
export interface Tail<T> {
  readonly changes: T[];
  readonly firstSeq: number;
}

export class Loader {
  readonly #state: PartitionState;
  readonly #records: Records;
  readonly #codec: Codec;
  readonly tails = new Map<string, { address: Address } & Tail<ActorChange>>();
  readonly eventTails = new Map<string, Tail<StoredEvent>>();
  /** Checksums of the tail's groups by number: a record of one of them must name the same. */
  readonly checksums = new Map<number, string>();
  readonly #loading = new Map<string, Promise<Entry>>();
  readonly #loadingHistory = new Map<string, Promise<History>>();
  readonly #knownHistories = new Set<string>();

  constructor(state: PartitionState, records: Records, codec: Codec) {
    this.#state = state;
    this.#records = records;
    this.#codec = codec;
  }

  /** Not older than what the floor rests on, nor than what this owner has written. */
  #get(name: RecordName): Promise<RecordEntry | null> {
    return this.#records.get(this.#state.partition, name, this.#state.recordsSeq);
  }

  /** Sequence of the oldest change that the tail holds and memory does not yet; 0: none. The floor must not pass it. */
  oldestTail(): number {
    let oldest = 0;
    for (const tails of [this.tails, this.eventTails])
      for (const { firstSeq } of tails.values()) if (oldest === 0 || firstSeq < oldest) oldest = firstSeq;
    return oldest;
  }

  /** The actor in memory, or a new empty one if it certainly does not exist; else undefined. */
  resident(address: Address, name = formatAddress(address)): Entry | undefined {
    const entry = this.#state.entries.get(name);
    if (entry !== undefined) return this.historyResident(rootOf(address.key)) ? entry : undefined;
    if (!this.#state.absent(address)) return undefined;
    const stepper = this.#state.stepper(address.type);
    if (stepper === undefined) return undefined;
    const fresh = new Entry(address, stepper);
    fresh.usedAt = this.#state.number;
    this.#state.entries.set(name, fresh);
    this.#state.history(rootOf(address.key));
    return fresh;
  }

  /** True when the numbering of the root's events is known. */
  historyResident(root: string): boolean {
    return this.#state.complete || this.#knownHistories.has(root);
  }

  load(address: Address, stepper: Stepper): Promise<Entry> {
    const name = formatAddress(address);
    let loading = this.#loading.get(name);
    if (loading === undefined) {
      loading = this.#load(address, name, stepper).finally(() => this.#loading.delete(name));
      this.#loading.set(name, loading);
    }
    return loading;
  }

  async #load(address: Address, name: string, stepper: Stepper): Promise<Entry> {
    const { entries } = this.#state;
    for (;;) {
      const removals = this.#state.removals;
      const [entry] = await Promise.all([
        entries.get(name) ?? this.#read(address, name, stepper),
        this.loadHistory(rootOf(address.key)),
      ]);
      const present = entries.get(name);
      if (present !== undefined) return present;
      // Passivated while this waited: what was read may be older than what was flushed since.
      if (this.#state.removals !== removals) continue;
      this.tails.delete(name);
      entries.set(name, entry);
      if (entry.dirtySince > 0) this.#state.dirtyEntries.add(entry);
      this.#state.list(entry);
      return entry;
    }
  }

  async #read(address: Address, name: string, stepper: Stepper): Promise<Entry> {
    const entry = new Entry(address, stepper);
    entry.usedAt = this.#state.number;
    const tail = this.tails.get(name);
    const bornInTail = tail !== undefined && tail.changes[0]?.since === 0;
    const stored = bornInTail ? null : await this.#get(names.actor(address));
    let version = stored === null ? undefined : await this.#take(entry, name, stored);
    for (const change of tail?.changes ?? []) {
      if (change.step <= entry.step) continue;
      if (change.since !== entry.step)
        throw new StoreFault(`${name}: its record has step ${entry.step}, the journal goes on from ${change.since}.`);
      // What an older version wrote changes an older snapshot: it is brought up to date behind that.
      if (version !== undefined && change.version > version) migrate(entry, version);
      version = change.version;
      applyChange(entry, change);
    }
    if (version !== undefined) migrate(entry, version);
    if (tail !== undefined) entry.dirtySince = tail.firstSeq;
    return entry;
  }

  /** Gives the version that the record was written with. */
  async #take(entry: Entry, name: string, stored: RecordEntry): Promise<number> {
    const record = decodeActor(this.#codec, stored.bytes);
    this.checkReflects(record, name);
    try {
      await this.#fill(entry, record);
    } catch (error) {
      if (!(error instanceof StoreFault)) throw error;
      // A former owner that was frozen may have written a newer record meanwhile, and removed this one's parts.
      const now = await this.#get(names.actor(entry.address));
      if (now === null || now.seq === stored.seq) throw error;
      return this.#take(entry, name, now);
    }
    entry.recordSeq = stored.seq;
    return record.version;
  }

  async #fill(entry: Entry, record: ActorRecord): Promise<void> {
    const packed = record.chunks === 0 ? record.snapshot : await this.#join(entry.address, record);
    entry.snapshot = unpackSnapshot(packed);
    entry.step = record.step;
    if (record.reminders.length > 0) {
      entry.reminders = new Map(
        record.reminders.map(([n, at, arming, command]) => [n, { at, arming, command } satisfies Reminder]),
      );
    }
    if (record.work.length > 0) {
      entry.work = new Map(
        record.work.map(([id, kind, spec, boot]) => [id, { kind, spec, boot } satisfies PendingWork]),
      );
    }
  }

  async #join(address: Address, record: ActorRecord): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    for (let i = 0; i < record.chunks; i++) {
      const part = await this.#get(names.chunk(address, record.step, i));
      if (part === null) throw new StoreFault(`${formatAddress(address)}: part ${i} of its snapshot is missing.`);
      parts.push(decodeChunk(this.#codec, part.bytes));
    }
    return Buffer.concat(parts);
  }

  /** A record must not be ahead of the journal, nor of a group that is not on its chain. */
  checkReflects(record: Reflects, name: string): void {
    if (record.number > this.#state.number) {
      throw new StoreFault(
        `The record of ${name} reflects group ${record.number}; the journal ends at ${this.#state.number}.`,
      );
    }
    const checksum = this.checksums.get(record.number);
    if (checksum !== undefined && checksum !== record.checksum) {
      throw new StoreFault(`The record of ${name} reflects a group ${record.number} that is not in the journal.`);
    }
  }

  loadHistory(root: string): Promise<History> {
    let loading = this.#loadingHistory.get(root);
    if (loading === undefined) {
      loading = this.#loadHistory(root).finally(() => this.#loadingHistory.delete(root));
      this.#loadingHistory.set(root, loading);
    }
    return loading;
  }

  async #loadHistory(root: string): Promise<History> {
    const present = this.#state.histories.get(root);
    if (present !== undefined && this.historyResident(root)) {
      await this.recall(present);
      return present;
    }
    const tail = this.eventTails.get(root);
    const bornInTail = tail !== undefined && tail.changes[0]?.no === 1;
    const stored = this.#state.complete || bornInTail ? null : await this.#get(names.history(root));
    if (this.historyResident(root)) return this.#state.history(root);
    const history = this.#state.history(root);
    if (stored !== null) {
      const record = decodeHistory(this.#codec, stored.bytes);
      this.checkReflects(record, `history ${root}`);
      history.last = record.last;
      history.pages = record.pages;
      history.recent = record.tail.map((e) => unpackEvent(root, e));
      history.recordSeq = stored.seq;
    }
    if (tail !== undefined) {
      this.eventTails.delete(root);
      history.append(tail.changes, tail.firstSeq);
      history.dirtySince = tail.firstSeq;
      this.#state.dirtyHistories.add(history);
    }
    history.usedAt = this.#state.number;
    this.#knownHistories.add(root);
    return history;
  }

  /** Brings back the events of the last, unfinished page after they were dropped from memory. */
  async recall(history: History): Promise<void> {
    while (!history.whole) {
      const stored = await this.#get(names.history(history.root));
      if (stored === null) throw new StoreFault(`The history of ${history.root} is missing.`);
      // Meanwhile a flush may have moved events into pages, and memory may hold more or less than before.
      const record = decodeHistory(this.#codec, stored.bytes);
      const first = history.recent[0]?.no ?? history.last + 1;
      if (record.pages !== history.pages || record.last < first - 1) continue;
      const known = record.tail.map((e) => unpackEvent(history.root, e));
      history.recent = [...known.filter((e) => e.no < first), ...history.recent];
    }
  }

  /** One full page of a root's events. */
  async page(root: string, page: number): Promise<StoredEvent[]> {
    const stored = await this.#get(names.page(root, page));
    if (stored === null) throw new StoreFault(`Page ${page} of the history of ${root} is missing.`);
    return decodePage(this.#codec, stored.bytes).map((e) => unpackEvent(root, e));
  }

  /** All histories are known from the scan: no single ones need to be remembered as such. */
  forgetKnown(): void {
    this.#knownHistories.clear();
    this.checksums.clear();
  }
}

/** Applies one journaled change to an entry that stands right before it. */
/** Brings a snapshot of an older version to this one. Throws StoreFault for one that is newer, or has no way here. */
function migrate(entry: Entry, version: number): void {
  const { definition } = entry.stepper;
  if (version > definition.version) {
    throw new StoreFault(
      `${formatAddress(entry.address)} was written by a newer Troupe (snapshot version ${version}, this one reads ${definition.version}).`,
    );
  }
  if (version === definition.version || entry.snapshot === null) return;
  if (definition.migrate === undefined)
    throw new StoreFault(`${entry.address.type}: no migration from snapshot version ${version}.`);
  entry.snapshot = definition.migrate(entry.snapshot as Snapshot<JsonObject>, version);
}

export function applyChange(entry: Entry, change: ActorChange): void {
  if (change.change !== null) {
    entry.snapshot = applyDifference(entry.snapshot as unknown as Json, change.change) as unknown as Entry["snapshot"];
  }
  entry.step = change.step;
  for (const [name, reminder] of change.reminders) {
    entry.reminders ??= new Map();
    if (reminder === null) entry.reminders.delete(name);
    else entry.reminders.set(name, reminder);
  }
  for (const [id, work] of change.work) {
    entry.work ??= new Map();
    if (work === null) entry.work.delete(id);
    else entry.work.set(id, work);
  }
  if (entry.reminders?.size === 0) entry.reminders = undefined;
  if (entry.work?.size === 0) entry.work = undefined;
}
