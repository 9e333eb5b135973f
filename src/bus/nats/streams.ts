/**
 * What Troupe keeps in JetStream: makes the streams and buckets at the first start, checks at
 * every other that nobody turned them into ones that forget. Several nodes may do so at once.
 */
import { jetstream } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { BusError, type Layout } from "../bus.ts";
import { errorOf, type JetStreamApi } from "./api.ts";
import { BLOB_BUCKET, BLOB_STREAM, journalStream, REGISTRY_BUCKET, REGISTRY_STREAM, stateStream } from "./names.ts";

type StreamConfig = Record<string, unknown>;

const STREAM_NOT_FOUND = 10059;
const NAME_IN_USE = 10058;
/** Troupe sends no message ids; this is the smallest window that servers take. */
const DUPLICATE_WINDOW_NS = 100_000_000;

export function journalConfig(stream: number, replicas: number): StreamConfig {
  return {
    ...baseConfig(journalStream(stream), replicas),
    description: "Troupe: the truth. Trimmed by the partitions' owners only.",
    subjects: [`journal.${stream}.*`],
  };
}

export function stateConfig(stream: number, replicas: number): StreamConfig {
  return {
    ...baseConfig(stateStream(stream), replicas),
    description: "Troupe: state records, derived from the journal.",
    subjects: [`state.${stream}.>`],
    max_msgs_per_subject: 1,
  };
}

/** A limit refuses (`discard: new`), nothing ages, nothing is dropped. */
function baseConfig(name: string, replicas: number): StreamConfig {
  return {
    name,
    retention: "limits",
    storage: "file",
    discard: "new",
    max_age: 0,
    max_bytes: -1,
    max_msgs: -1,
    max_consumers: -1,
    max_msg_size: -1,
    duplicate_window: DUPLICATE_WINDOW_NS,
    num_replicas: replicas,
    allow_direct: true,
    deny_delete: false,
    deny_purge: false,
  };
}

/** Throws when the stream is not there: a tool must not cover up that it was deleted. */
export async function requireStream(api: JetStreamApi, name: string): Promise<void> {
  const found = await api.call(`STREAM.INFO.${name}`, undefined);
  if (errorOf(found)?.err_code === STREAM_NOT_FOUND)
    throw new BusError(
      "failed",
      `The stream ${name} is not there: this is no Troupe store, or a part of it was deleted.`,
    );
}

/** Makes the stream, or checks the one that is there. */
export async function ensureStream(api: JetStreamApi, config: StreamConfig): Promise<void> {
  const name = String(config.name);
  let present = await api.call(`STREAM.INFO.${name}`, undefined);
  if (errorOf(present)?.err_code === STREAM_NOT_FOUND) {
    const created = await api.call(`STREAM.CREATE.${name}`, config);
    const error = errorOf(created);
    if (!error) return;
    if (error.err_code !== NAME_IN_USE) {
      throw new BusError("failed", `NATS cannot make the stream ${name}: ${error.description} (${error.err_code}).`);
    }
    present = await api.must(`STREAM.INFO.${name}`, undefined);
  }
  const error = errorOf(present);
  if (error) throw new BusError("failed", `NATS cannot tell about ${name}: ${error.description} (${error.err_code}).`);
  checkStream(name, config, present.config as StreamConfig);
}

/** Throws when the stream is one that would lose what Troupe relies on. */
function checkStream(name: string, wanted: StreamConfig, present: StreamConfig): void {
  for (const field of ["retention", "storage", "discard", "max_age", "subjects", "max_msgs_per_subject"] as const) {
    const want = JSON.stringify(wanted[field] ?? -1);
    const have = JSON.stringify(present[field] ?? -1);
    if (want !== have) {
      throw new BusError("failed", `The stream ${name} has ${field} ${have}; Troupe needs ${want}. Set it back.`);
    }
  }
}

/** The registry's bucket; an existing one stays as it is. */
export async function ensureRegistry(api: JetStreamApi, replicas: number): Promise<void> {
  await untilItStands(api, REGISTRY_STREAM, () =>
    new Kvm(api.requests.nc).create(REGISTRY_BUCKET, {
      history: 1,
      replicas,
      description: "Troupe: leases, members, settings",
    }),
  );
}

export async function ensureBlobs(api: JetStreamApi, layout: Layout): Promise<void> {
  const objm = new Objm(jetstream(api.requests.nc));
  await untilItStands(api, BLOB_STREAM, () =>
    objm.create(BLOB_BUCKET, { replicas: layout.replicas, description: "Troupe: large values" }),
  );
}

/** Creates when it is not there; another node may be quicker. */
async function untilItStands(api: JetStreamApi, stream: string, create: () => Promise<unknown>): Promise<void> {
  const exists = async () => errorOf(await api.call(`STREAM.INFO.${stream}`, undefined))?.err_code !== STREAM_NOT_FOUND;
  if (await exists()) return;
  try {
    await create();
  } catch (cause) {
    if (await exists()) return;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new BusError("failed", `NATS cannot make the bucket ${stream}: ${message}.`, { cause });
  }
}
