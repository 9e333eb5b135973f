/**
 * Port Records over JetStream: `state.<stream>.<partition>.<name…>` in `TROUPE_STATE_<stream>`,
 * one message per subject. With one copy, single reads are direct; with several, only the leader's answer counts:
 * another copy may lag behind what was acknowledged.
 */
import type { RecordEntry, RecordName, Records, RecordWrite } from "../records.ts";
import type { JetStreamApi } from "./api.ts";
import { recordName, stateStream, stateSubject } from "./names.ts";
import type { BusLogger } from "./options.ts";
import { readRange } from "./range.ts";
import { payloadBytesMax, storeMessage } from "./store.ts";

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

  async get(partition: number, name: RecordName): Promise<RecordEntry | null> {
    const stream = partition % this.streams;
    if (this.replicas > 1) {
      const m = await this.api.message(stateStream(stream), { last_by_subj: stateSubject(stream, partition, name) });
      return m && { bytes: m.bytes, seq: m.seq };
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

  async lastSeq(partition: number): Promise<number> {
    const { state } = await this.api.must(`STREAM.INFO.${stateStream(partition % this.streams)}`, undefined);
    return (state as { last_seq: number }).last_seq;
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

  async *scan(partition: number, prefix: RecordName): AsyncGenerator<{ name: RecordName } & RecordEntry, void, void> {
    const k = partition % this.streams;
    const stream = stateStream(k);
    const root = `state.${k}.${partition}.`;
    const at = stateSubject(k, partition, prefix);
    // A name that is the prefix itself counts too.
    const subjects = prefix.length === 0 ? [`${at}.>`] : [at, `${at}.>`];
    const end = async () => {
      const last = await Promise.all(subjects.map((s) => this.api.message(stream, { last_by_subj: s })));
      return Math.max(...last.map((m) => m?.seq ?? 0));
    };
    for await (const batch of readRange(this.api, this.logger, { stream, subjects, fromSeq: 1, end })) {
      for (const { msg, seq } of batch) yield { name: recordName(msg.subject, root), bytes: msg.data, seq };
    }
  }
}
