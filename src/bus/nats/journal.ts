/**
 * Port Journal over JetStream: `journal.<stream>.<partition>` in `TROUPE_JOURNAL_<stream>`.
 * Single messages are read through the stream's leader, never from a replica that may lag.
 */
import { BusError } from "../bus.ts";
import type { AppendOutcome, Follower, Journal, JournalMessage } from "../journal.ts";
import type { JetStreamApi, StoredMessage } from "./api.ts";
import { journalStream, journalSubject } from "./names.ts";
import type { BusLogger } from "./options.ts";
import { readRange } from "./range.ts";
import { OrderedReader } from "./reader.ts";
import { payloadBytesMax, storeMessage } from "./store.ts";

const FOLLOW_HEARTBEAT_MS = 1_000;

export class NatsJournal implements Journal {
  private readonly subjects: readonly string[];

  constructor(
    private readonly api: JetStreamApi,
    private readonly logger: BusLogger,
    readonly partitions: number,
    readonly streams: number,
    private readonly writeTimeoutMs: number,
  ) {
    this.subjects = Array.from({ length: partitions }, (_, p) => journalSubject(p % streams, p));
  }

  streamOf(partition: number): number {
    return partition % this.streams;
  }

  get payloadBytesMax(): number {
    return payloadBytesMax(this.api.requests);
  }

  append(partition: number, bytes: Uint8Array, expectedLastSeq: number): Promise<AppendOutcome> {
    return storeMessage(this.api.requests, this.subject(partition), bytes, expectedLastSeq, this.writeTimeoutMs);
  }

  async last(partition: number): Promise<JournalMessage | null> {
    const m = await this.api.message(this.stream(partition), { last_by_subj: this.subject(partition) });
    return m && toJournalMessage(partition, m);
  }

  async get(partition: number, seq: number): Promise<JournalMessage | null> {
    if (seq < 1) return null;
    const m = await this.api.message(this.stream(partition), { seq });
    return m && m.subject === this.subject(partition) ? toJournalMessage(partition, m) : null;
  }

  async *read(partition: number, fromSeq: number, toSeq: number): AsyncGenerator<JournalMessage, void, void> {
    const batches = readRange(this.api, this.logger, {
      stream: this.stream(partition),
      subjects: [this.subject(partition)],
      fromSeq: Math.max(1, fromSeq),
      end: async () => Math.min((await this.last(partition))?.seq ?? 0, toSeq),
    });
    for await (const batch of batches) {
      for (const { msg, seq, at } of batch) yield { partition, seq, bytes: msg.data, at };
    }
  }

  async follow(stream: number, fromSeq: number, onMessage: (m: JournalMessage) => void): Promise<Follower> {
    const start = fromSeq > 0 ? fromSeq : (await this.bounds(stream)).lastSeq + 1;
    const prefixLength = `journal.${stream}.`.length;
    const reader = new OrderedReader(this.api, this.logger, {
      stream: journalStream(stream),
      subjects: [],
      fromSeq: start,
      heartbeatMs: FOLLOW_HEARTBEAT_MS,
      onMessage: (msg, seq, at) => {
        onMessage({ partition: Number(msg.subject.slice(prefixLength)), seq, bytes: msg.data, at });
      },
    });
    await reader.start();
    return {
      stop: async () => reader.stop(),
    };
  }

  async bounds(stream: number): Promise<{ firstSeq: number; lastSeq: number }> {
    const { state } = await this.api.must(`STREAM.INFO.${journalStream(stream)}`, undefined);
    const { messages, first_seq, last_seq } = state as { messages: number; first_seq: number; last_seq: number };
    return { firstSeq: messages === 0 ? 0 : first_seq, lastSeq: last_seq };
  }

  async trim(partition: number, beforeSeq: number): Promise<void> {
    if (beforeSeq <= 1) return;
    const filter = this.subject(partition);
    await this.api.must(`STREAM.PURGE.${this.stream(partition)}`, { filter, seq: beforeSeq });
  }

  private stream(partition: number): string {
    return journalStream(this.streamOf(partition));
  }

  private subject(partition: number): string {
    const subject = this.subjects[partition];
    if (subject === undefined) throw new BusError("failed", `There is no partition ${partition}.`);
    return subject;
  }
}

function toJournalMessage(partition: number, m: StoredMessage): JournalMessage {
  return { partition, seq: m.seq, bytes: m.bytes, at: m.at };
}
