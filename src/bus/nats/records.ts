/**
 * Port Records over JetStream: `state.<stream>.<partition>.<name…>` in `TROUPE_STATE_<stream>`,
 * one message per subject. With one copy, single reads are direct. With several, each may lag, also a leader that was
 * away and does not know yet that another leads: an answer counts when it says that it has come far enough.
 */

import { BusError } from "../bus.ts";
import type { RecordEntry, RecordName, Records, RecordWrite } from "../records.ts";
import type { JetStreamApi, StoredMessage } from "./api.ts";
import { recordName, stateStream, stateSubject } from "./names.ts";
import type { BusLogger } from "./options.ts";
import { readRange } from "./range.ts";
import { payloadBytesMax, storeMessage } from "./store.ts";

/** So often a copy is asked before the leader is. */
const directTries = 20;
/** Between two looks at a copy, or a leader, that is behind. */
const staleMs = 10;
const copyMsMax = 500;
/** Between two looks for the end of a scan. */
const againMs = 300;

export class NatsRecords implements Records {
  constructor(
    private readonly api: JetStreamApi,
    private readonly logger: BusLogger,
    private readonly streams: number,
    private readonly replicas: number,
    private readonly writeTimeoutMs: number,
    private readonly readTimeoutMs: number,
  ) {}

  get payloadBytesMax(): number {
    return payloadBytesMax(this.api.requests);
  }

  async get(partition: number, name: RecordName, atLeast = 0): Promise<RecordEntry | null> {
    const stream = partition % this.streams;
    if (this.replicas > 1) {
      const at = stateSubject(stream, partition, name);
      return atLeast > 0 ? this.fresh(stateStream(stream), at, atLeast) : this.leader(stateStream(stream), at);
    }
    const subject = `$JS.API.DIRECT.GET.${stateStream(stream)}.${stateSubject(stream, partition, name)}`;
    const found = await this.api.repeat(subject, "", this.readTimeoutMs, (reply): RecordEntry | "none" | undefined => {
      if (reply.kind !== "reply") return undefined;
      const { headers, data } = reply.msg;
      if (headers?.code === 404) return "none";
      const seq = Number(headers?.get("Nats-Sequence") ?? 0);
      return seq > 0 ? { bytes: data, seq } : undefined;
    });
    return found === "none" ? null : found;
  }

  /** From any copy that has come as far as `atLeast`; what a copy lacks is asked of a leader that has. */
  private fresh(stream: string, subject: string, atLeast: number): Promise<RecordEntry | null> {
    let tries = 0;
    return this.comeTo(stream, atLeast, async () => {
      const found = tries++ < directTries ? await this.copy(stream, subject) : undefined;
      if (found !== undefined) return found.upTo >= atLeast ? found : undefined;
      return (await this.info(stream)).last_seq >= atLeast ? this.leader(stream, subject) : undefined;
    });
  }

  /** Looks until somebody who has come so far has answered. */
  private async comeTo<T>(stream: string, atLeast: number, look: () => Promise<T | undefined>): Promise<T> {
    const { clock } = this.api;
    const deadline = clock.monotonic() + this.readTimeoutMs;
    for (;;) {
      const found = await look();
      if (found !== undefined) return found;
      if (clock.monotonic() > deadline)
        throw new BusError("unreachable", `${stream} does not come to ${atLeast}, which it had acknowledged.`);
      await clock.sleep(staleMs);
    }
  }

  /** The record as one copy has it, and up to where that copy has come; undefined: it has none, or does not say. */
  private async copy(stream: string, subject: string): Promise<(RecordEntry & { upTo: number }) | undefined> {
    const { requests } = this.api;
    if (!requests.connected) return undefined;
    let entry: RecordEntry | undefined;
    try {
      const options = { strategy: "sentinel" as const, maxWait: copyMsMax };
      const query = JSON.stringify({ multi_last: [subject], batch: 1 });
      for await (const { headers, data } of await requests.nc.requestMany(
        `$JS.API.DIRECT.GET.${stream}`,
        query,
        options,
      )) {
        const upTo = Number(headers?.get("Nats-UpTo-Sequence") ?? 0);
        if (headers?.code === 204) return entry && { ...entry, upTo };
        const seq = Number(headers?.get("Nats-Sequence") ?? 0);
        if (seq > 0) entry = { bytes: data, seq };
      }
    } catch {
      // The leader is asked instead.
    }
    return undefined;
  }

  private leader(stream: string, subject: string): Promise<StoredMessage | null> {
    return this.api.message(stream, { last_by_subj: subject });
  }

  private async info(stream: string): Promise<{ last_seq: number }> {
    const { state } = await this.api.must(`STREAM.INFO.${stream}`, undefined);
    return state as { last_seq: number };
  }

  async lastSeq(partition: number): Promise<number> {
    return (await this.info(stateStream(partition % this.streams))).last_seq;
  }

  put(partition: number, name: RecordName, bytes: Uint8Array, expectedSeq: number): Promise<RecordWrite> {
    const subject = stateSubject(partition % this.streams, partition, name);
    return storeMessage(this.api.requests, subject, bytes, expectedSeq, this.writeTimeoutMs);
  }

  async remove(partition: number, name: RecordName, upToSeq: number): Promise<void> {
    const stream = partition % this.streams;
    const filter = stateSubject(stream, partition, name);
    await this.api.must(`STREAM.PURGE.${stateStream(stream)}`, { filter, seq: upToSeq + 1 });
  }

  async *scan(
    partition: number,
    prefix: RecordName,
    atLeast = 0,
  ): AsyncGenerator<{ name: RecordName } & RecordEntry, void, void> {
    const k = partition % this.streams;
    const stream = stateStream(k);
    const root = `state.${k}.${partition}.`;
    const at = stateSubject(k, partition, prefix);
    // A name that is the prefix itself counts too.
    const subjects = prefix.length === 0 ? [`${at}.>`] : [at, `${at}.>`];
    const last = async () => Math.max(...(await Promise.all(subjects.map((s) => this.leader(stream, s)))).map(seqOf));
    const end = async () => {
      const first = await last();
      if (this.replicas === 1) return first;
      // Who led before it was away may answer for a moment as it was then: it is asked again.
      await this.api.clock.sleep(againMs);
      const known = async () => seqOf(await this.leader(stream, `${root}>`)) >= atLeast || undefined;
      await this.comeTo(stream, atLeast, known);
      return Math.max(first, await last());
    };
    for await (const batch of readRange(this.api, this.logger, { stream, subjects, fromSeq: 1, end })) {
      for (const { msg, seq } of batch) yield { name: recordName(msg.subject, root), bytes: msg.data, seq };
    }
  }
}

function seqOf(message: StoredMessage | null): number {
  return message?.seq ?? 0;
}
