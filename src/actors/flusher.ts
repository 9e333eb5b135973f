/**
 * Writes changed actors, histories and the partition's own record behind the journal, each with the
 * expected sequence of its own subject, and moves the floor. The journal is the truth: a flush that
 * fails only keeps the journal longer.
 */
import type { Clock } from "../bus/clock.ts";
import type { Codec } from "../bus/codec.ts";
import type { RecordName, Records } from "../bus/records.ts";
import type { Entry } from "./entry.ts";
import { type History, packEvent, pageEvents } from "./histories.ts";
import { type Logger, limits } from "./limits.ts";
import { StoreFault } from "./loader.ts";
import type { PartitionState } from "./state.ts";
import {
  encodeActor,
  encodeChunk,
  encodeHistory,
  encodePage,
  encodePartition,
  names,
  numberOf,
  packSnapshot,
  type Reflects,
} from "./stored.ts";

export interface FlusherEnvironment {
  readonly state: PartitionState;
  readonly records: Records;
  readonly codec: Codec;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Brings the events of a history's unfinished page back into memory. */
  recall(history: History): Promise<void>;
  /** Sequence of the oldest change of the tail that is not in memory yet; 0: none. */
  oldestTail(): number;
  /** True once the partition is no longer ours: nothing may be written any more. */
  stopped(): boolean;
}

/** Room that a record's own fields and the message's headers take beside the snapshot. */
const overheadBytes = 64 * 1024;

export class Flusher {
  readonly #env: FlusherEnvironment;
  #running: Promise<void> | undefined;
  /** Counted for status: records written so far. */
  written = 0;

  constructor(env: FlusherEnvironment) {
    this.#env = env;
  }

  /** Writes everything that is dirty now. One at a time; a second call waits for the first and does nothing more. */
  flush(): Promise<void> {
    this.#running ??= this.#flush().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** The sequence before which everything is in the records, as of now; it stays valid. Goes through all that is not. */
  floor(): number {
    const { state } = this.#env;
    let floor = state.seq + 1;
    const lower = (seq: number) => {
      if (seq > 0 && seq < floor) floor = seq;
    };
    for (const entry of state.dirtyEntries) lower(entry.dirtySince);
    for (const history of state.dirtyHistories) lower(history.dirtySince);
    lower(state.metaDirtySince);
    lower(state.channels.oldestSeq());
    lower(this.#env.oldestTail());
    return floor;
  }

  async #flush(): Promise<void> {
    const { state } = this.#env;
    const jobs: (() => Promise<void>)[] = [];
    for (const entry of state.dirtyEntries) jobs.push(() => this.#flushEntry(entry));
    for (const history of state.dirtyHistories) jobs.push(() => this.#flushHistory(history));
    if (state.metaDirtySince > 0) jobs.push(() => this.#flushPartition());
    let next = 0;
    const worker = async () => {
      while (next < jobs.length && !this.#env.stopped()) await (jobs[next++] as () => Promise<void>)();
    };
    await Promise.all(Array.from({ length: Math.min(limits.flushParallel, jobs.length) }, worker));
  }

  #reflects(): Reflects {
    const { number, seq, checksum } = this.#env.state;
    return { number, seq, checksum };
  }

  async #flushEntry(entry: Entry): Promise<void> {
    const { state, codec } = this.#env;
    if (entry.snapshot === null || entry.flushing || entry.dirtySince === 0) return;
    entry.flushing = true;
    const { snapshot, step } = entry;
    const { definition } = entry.stepper;
    const packed = packSnapshot(snapshot);
    const record = {
      ...this.#reflects(),
      step,
      version: definition.version,
      fields: definition.index?.(snapshot as never) ?? null,
      reminders: [...(entry.reminders ?? [])].map(([n, r]) => [n, r.at, r.arming, r.command] as const),
      work: [...(entry.work ?? [])].map(([id, w]) => [id, w.kind, w.spec, w.boot] as const),
    };
    try {
      const { payloadBytesMax } = this.#env.records;
      const partBytes = payloadBytesMax - Math.min(overheadBytes, payloadBytesMax >> 1);
      const whole = encodeActor(codec, { ...record, snapshot: packed, chunks: 0 });
      const chunks = whole.length > payloadBytesMax ? Math.ceil(packed.length / partBytes) : 0;
      for (let i = 0; i < chunks; i++) {
        const part = encodeChunk(codec, packed.subarray(i * partBytes, (i + 1) * partBytes));
        await this.#write(names.chunk(entry.address, step, i), part, 0, record.number, true);
      }
      const bytes = chunks === 0 ? whole : encodeActor(codec, { ...record, snapshot: new Uint8Array(0), chunks });
      const seq = await this.#write(names.actor(entry.address), bytes, entry.recordSeq, record.number);
      if (seq === undefined) return;
      entry.recordSeq = seq;
      entry.dirtySince = entry.dirtyAgain;
      if (entry.dirtySince === 0) state.dirtyEntries.delete(entry);
      if (chunks > 0) await this.#dropOldChunks(entry, step);
    } finally {
      entry.flushing = false;
      if (entry.dirtySince === 0 && entry.dirtyAgain > 0) entry.dirtySince = entry.dirtyAgain;
      entry.dirtyAgain = 0;
    }
  }

  async #dropOldChunks(entry: Entry, step: number): Promise<void> {
    const { state, records } = this.#env;
    for await (const found of records.scan(state.partition, names.chunks(entry.address))) {
      if (Number(found.name[3]) < step) await records.remove(state.partition, found.name, found.seq);
    }
  }

  async #flushHistory(history: History): Promise<void> {
    const { state, codec } = this.#env;
    if (history.flushing || history.dirtySince === 0) return;
    history.flushing = true;
    await this.#env.recall(history).catch((error: unknown) => {
      history.flushing = false;
      throw error;
    });
    const { last } = history;
    const events = history.recent.map(packEvent);
    const reflects = this.#reflects();
    const firstNo = history.recent[0]?.no ?? last + 1;
    try {
      const pages = Math.floor(last / pageEvents);
      for (let page = history.pages; page < pages; page++) {
        const from = page * pageEvents + 1 - firstNo;
        const bytes = encodePage(codec, events.slice(from, from + pageEvents));
        if ((await this.#write(names.page(history.root, page), bytes, 0, reflects.number, true)) === undefined) return;
      }
      const tail = events.slice(pages * pageEvents + 1 - firstNo);
      const bytes = encodeHistory(codec, { ...reflects, last, pages, tail });
      const seq = await this.#write(names.history(history.root), bytes, history.recordSeq, reflects.number);
      if (seq === undefined) return;
      history.recordSeq = seq;
      history.pages = pages;
      history.trimRecent();
      history.dirtySince = history.dirtyAgain;
      if (history.dirtySince === 0) state.dirtyHistories.delete(history);
    } finally {
      history.flushing = false;
      if (history.dirtySince === 0 && history.dirtyAgain > 0) history.dirtySince = history.dirtyAgain;
      history.dirtyAgain = 0;
    }
  }

  async #flushPartition(): Promise<void> {
    const { state, codec } = this.#env;
    const since = state.metaDirtySince;
    const reflects = this.#reflects();
    state.metaDirtySince = 0;
    const { out, cursors } = state.channels.dump();
    const bytes = encodePartition(codec, { ...reflects, time: state.time, out, cursors, askers: state.askers.dump() });
    const seq = await this.#write(names.partition, bytes, state.metaRecordSeq, reflects.number).catch(
      (error: unknown) => {
        state.touchMeta(since);
        throw error;
      },
    );
    if (seq === undefined) state.touchMeta(since);
    else state.metaRecordSeq = seq;
  }

  /**
   * Writes one record; undefined when the partition was lost meanwhile. A record that is there already is
   * overwritten only if it reflects an older group (`immutable`: pages and chunks hold the same bytes for ever).
   */
  async #write(
    name: RecordName,
    bytes: Uint8Array,
    expectedSeq: number,
    number: number,
    immutable = false,
  ): Promise<number | undefined> {
    const { state, records, clock } = this.#env;
    let expected = expectedSeq;
    for (let tries = 1; !this.#env.stopped(); tries++) {
      const outcome = await records.put(state.partition, name, bytes, expected);
      if (outcome.kind === "stored") {
        this.written++;
        state.recordsSeq = Math.max(state.recordsSeq, outcome.seq);
        return outcome.seq;
      }
      if (outcome.kind === "refused") {
        const found = await records.get(state.partition, name);
        if (found !== null && Buffer.compare(found.bytes, bytes) === 0) return found.seq;
        if (found !== null && !immutable) this.#checkOlder(name, numberOf(this.#env.codec, found.bytes), number);
        expected = found?.seq ?? 0;
        if (tries > 3) await clock.sleep(20);
        continue;
      }
      if (tries % 50 === 0)
        this.#env.logger.warn({ partition: state.partition, outcome }, "a record cannot be written yet");
      await clock.sleep(outcome.kind === "full" ? 1000 : Math.max(5, outcome.retryAfterMs));
    }
    return undefined;
  }

  #checkOlder(name: RecordName, found: number, own: number): void {
    const { state } = this.#env;
    if (found > state.number) {
      throw new StoreFault(
        `The record ${name.join("/")} reflects group ${found}; the journal ends at ${state.number}.`,
      );
    }
    if (found > own)
      throw new StoreFault(
        `The record ${name.join("/")} reflects group ${found}, newer than ${own}: another owner writes it.`,
      );
  }
}
