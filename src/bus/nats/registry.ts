/**
 * Port Registry over a KV bucket (`TROUPE_REGISTRY`, history 1), read through the leader and
 * written with the expected revision. A deleted key leaves a marker, whose revision the next
 * creation must expect.
 */
import type { Registry, RegistryEntry, RegistryWrite } from "../registry.ts";
import type { JetStreamApi, StoredMessage } from "./api.ts";
import { REGISTRY_STREAM, registrySubject } from "./names.ts";
import type { BusLogger } from "./options.ts";
import { readRange } from "./range.ts";
import { type StoreOutcome, storeMessage } from "./store.ts";

const OPERATION = "KV-Operation";
const EMPTY = new Uint8Array(0);
/** An earlier write among the replicas is done within milliseconds. */
const IN_FLIGHT_TRIES = 5;
const KEY = /^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/;

export class NatsRegistry implements Registry {
  constructor(
    private readonly api: JetStreamApi,
    private readonly logger: BusLogger,
    private readonly writeTimeoutMs: number,
  ) {}

  async get(key: string): Promise<RegistryEntry | null> {
    const m = await this.api.message(REGISTRY_STREAM, { last_by_subj: subjectOf(key) });
    return m && !isMarker(m.headers) ? { key, value: m.bytes, revision: m.seq } : null;
  }

  async list(prefix: string): Promise<RegistryEntry[]> {
    const at = subjectOf(prefix);
    const subjects = [at, `${at}.>`];
    const root = registrySubject("").length;
    const end = async () => {
      const last = await Promise.all(subjects.map((s) => this.api.message(REGISTRY_STREAM, { last_by_subj: s })));
      return Math.max(...last.map((m) => m?.seq ?? 0));
    };
    // By key: a copy that lags may tell what was written over or deleted, before what is there now.
    const entries = new Map<string, RegistryEntry>();
    const range = readRange(this.api, this.logger, { stream: REGISTRY_STREAM, subjects, fromSeq: 1, end });
    for await (const batch of range) {
      for (const { msg, seq } of batch) {
        const key = msg.subject.slice(root);
        if (msg.headers?.has(OPERATION) || msg.headers?.has("Nats-Marker-Reason")) entries.delete(key);
        else entries.set(key, { key, value: msg.data, revision: seq });
      }
    }
    return [...entries.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  async create(key: string, value: Uint8Array): Promise<RegistryWrite> {
    const first = await this.write(key, value, 0);
    if (first.kind !== "refused") return toWrite(first);
    const m = await this.api.message(REGISTRY_STREAM, { last_by_subj: subjectOf(key) });
    if (!m || !isMarker(m.headers)) return { kind: "refused" };
    return toWrite(await this.write(key, value, m.seq));
  }

  async update(key: string, value: Uint8Array, revision: number): Promise<RegistryWrite> {
    return toWrite(await this.write(key, value, revision));
  }

  async remove(key: string, revision: number): Promise<RegistryWrite> {
    return toWrite(await this.write(key, EMPTY, revision, [OPERATION, "DEL"]));
  }

  /** A write refused because an earlier one is in flight was not stored: it is safe to try again. */
  private async write(
    key: string,
    value: Uint8Array,
    revision: number,
    header?: readonly [string, string],
  ): Promise<StoreOutcome> {
    for (let left = IN_FLIGHT_TRIES; ; left--) {
      const subject = subjectOf(key);
      const outcome = await storeMessage(this.api.requests, subject, value, revision, this.writeTimeoutMs, header);
      if (left === 0 || outcome.kind !== "unknown" || !/\(1016[34]\)$/.test(outcome.reason)) return outcome;
      await this.api.clock.sleep(outcome.retryAfterMs);
    }
  }
}

function toWrite(outcome: StoreOutcome): RegistryWrite {
  switch (outcome.kind) {
    case "stored":
      return { kind: "stored", revision: outcome.seq };
    case "refused":
      return { kind: "refused" };
    default:
      return { kind: "unknown", reason: outcome.reason };
  }
}

function isMarker(headers: StoredMessage["headers"]): boolean {
  return /^(KV-Operation|Nats-Marker-Reason):/m.test(headers);
}

function subjectOf(key: string): string {
  if (!KEY.test(key)) throw new RangeError(`Not a registry key: ${JSON.stringify(key)}.`);
  return registrySubject(key);
}
