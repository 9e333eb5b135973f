/**
 * Port Blobs over JetStream's object store (`TROUPE_BLOBS`; `nats object` shows them), in its format. Writing is our
 * own, since an outcome that is not known must lose nothing (ADR 42); reading and listing go through our own reader,
 * which survives reconnects, ends, and need not look at every object's description.
 */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import { nuid } from "@nats-io/transport-node";
import type { BlobInfo, Blobs } from "../blobs.ts";
import { BusError } from "../bus.ts";
import { fromToken, toToken } from "../token.ts";
import type { JetStreamApi } from "./api.ts";
import { BLOB_BUCKET, BLOB_STREAM } from "./names.ts";
import type { BusLogger } from "./options.ts";
import { readRange } from "./range.ts";
import { type StoreOutcome, storeMessage } from "./store.ts";

const CHUNK_BYTES = 512 * 1024;
const META = `$O.${BLOB_BUCKET}.M.`;
const CHUNKS = `$O.${BLOB_BUCKET}.C.`;
/** A blob that is written again while it is read moves to other chunks. */
const READ_TRIES = 3;
/** So many time-outs of a write pass before the blob counts as not stored. */
const WRITE_TIMEOUTS_MAX = 3;
/** Until a description that has refused ours can be read. */
const AGAIN_MS = 10;
/** A leader that was frozen answers for a moment as it was: what it lacks is looked for again. */
const ABSENT_AGAIN_MS = 300;
const ROLLUP = ["Nats-Rollup", "sub"] as const;

interface Meta {
  readonly name: string;
  readonly nuid: string;
  readonly size: number;
  readonly chunks: number;
  readonly digest: string;
  readonly deleted?: boolean;
}

/** What is known of a name. */
interface Described {
  /** Null: there is none, or it was deleted. */
  readonly meta: Meta | null;
  /** Sequence of the last description, deleted or not; 0: there is none. */
  readonly seq: number;
}

export class NatsBlobs implements Blobs {
  constructor(
    private readonly api: JetStreamApi,
    private readonly logger: BusLogger,
    private readonly writeTimeoutMs: number,
  ) {}

  /**
   * Chunks first, then the description that names them, each with the expected last sequence of its subject: a message
   * whose answer is lost is sent again, and one that comes late is refused. Chunks are removed only when no
   * description can name them any more.
   */
  async put(name: string, bytes: Uint8Array): Promise<BlobInfo> {
    const info = { name, size: bytes.length };
    const digest = digestOf(createHash("sha256").update(bytes));
    const isThis = async (found: Meta | null): Promise<boolean> =>
      found?.size === bytes.length && found.digest === digest && (await this.holds(found));
    let former = await this.described(name);
    if (await isThis(former.meta)) return info;
    const chunks = Math.ceil(bytes.length / CHUNK_BYTES);
    const meta: Meta = { name: objectName(name), nuid: nuid.next(), size: bytes.length, chunks, digest };
    await this.putChunks(name, meta, bytes);
    const text = Buffer.from(JSON.stringify(describing(meta, this.api.clock.now())));
    for (;;) {
      const outcome = await this.store(name, metaSubject(name), text, former.seq, ROLLUP);
      if (outcome.kind === "stored") break;
      former = await this.described(name);
      if (former.meta?.nuid === meta.nuid) return info;
      if (await isThis(former.meta)) {
        await this.dropChunks(meta);
        return info;
      }
      await this.api.clock.sleep(AGAIN_MS);
    }
    if (former.meta !== null) await this.dropChunks(former.meta);
    return info;
  }

  private async putChunks(name: string, meta: Meta, bytes: Uint8Array): Promise<void> {
    const subject = CHUNKS + meta.nuid;
    try {
      let last = 0;
      for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
        const outcome = await this.store(name, subject, bytes.subarray(at, at + CHUNK_BYTES), last);
        // Nobody else writes there: what is refused has come already.
        last = outcome.kind === "stored" ? outcome.seq : outcome.lastSeq;
      }
    } catch (error) {
      await this.dropChunks(meta);
      throw error;
    }
  }

  /** The same message until its outcome is known. Throws BusError `storage_full`, `unreachable`. */
  private async store(
    name: string,
    subject: string,
    bytes: Uint8Array,
    expectedSeq: number,
    header?: readonly [string, string],
  ): Promise<StoreOutcome & { kind: "stored" | "refused" }> {
    const { clock, requests } = this.api;
    const deadline = clock.monotonic() + WRITE_TIMEOUTS_MAX * this.writeTimeoutMs;
    for (;;) {
      const outcome = await storeMessage(requests, subject, bytes, expectedSeq, this.writeTimeoutMs, header);
      if (outcome.kind === "stored" || outcome.kind === "refused") return outcome;
      if (outcome.kind === "full" || clock.monotonic() > deadline) {
        const code = outcome.kind === "full" ? "storage_full" : "unreachable";
        throw new BusError(code, `The blob ${name} was not stored: ${outcome.reason}.`);
      }
      await clock.sleep(Math.max(5, outcome.retryAfterMs));
    }
  }

  /** Chunks that nothing names; what cannot be removed now only takes room. */
  private async dropChunks(meta: Meta): Promise<void> {
    await this.api.must(`STREAM.PURGE.${BLOB_STREAM}`, { filter: CHUNKS + meta.nuid }).catch(() => undefined);
  }

  /** Whether what a description names is there. */
  private async holds(meta: Meta): Promise<boolean> {
    return meta.size === 0 || (await this.api.message(BLOB_STREAM, { last_by_subj: CHUNKS + meta.nuid })) !== null;
  }

  async get(name: string): Promise<Uint8Array | null> {
    for (let tries = READ_TRIES; ; tries--) {
      const meta = await this.found(name);
      if (!meta) return null;
      const whole = new Uint8Array(meta.size);
      let length = 0;
      try {
        for await (const chunk of this.chunks(meta)) {
          whole.set(chunk, length);
          length += chunk.length;
        }
        return whole;
      } catch (error) {
        if (tries <= 1 || (await this.meta(name))?.nuid === meta.nuid) throw error;
      }
    }
  }

  async stream(name: string): Promise<AsyncIterable<Uint8Array> | null> {
    const meta = await this.found(name);
    return meta && this.chunks(meta);
  }

  async list(root: string | null): Promise<BlobInfo[]> {
    const found: string[] = [];
    const prefix = root === null ? "" : `${objectName(root)}/`;
    const range = readRange(this.api, this.logger, {
      stream: BLOB_STREAM,
      subjects: [`${META}*`],
      fromSeq: 1,
      headersOnly: true,
      end: async () => (await this.api.message(BLOB_STREAM, { last_by_subj: `${META}*` }))?.seq ?? 0,
    });
    for await (const batch of range) {
      for (const { msg } of batch) {
        const object = Buffer.from(msg.subject.slice(META.length), "base64url").toString();
        if (object.startsWith(prefix)) found.push(object.split("/").map(fromToken).join("/"));
      }
    }
    const infos = await Promise.all(
      found.sort().map(async (name) => {
        const meta = await this.meta(name);
        return meta ? [{ name, size: meta.size }] : [];
      }),
    );
    return infos.flat();
  }

  /** Removes description and chunks wholly: the library's delete would leave a marker for ever. */
  async remove(name: string): Promise<void> {
    const meta = await this.meta(name);
    await this.api.must(`STREAM.PURGE.${BLOB_STREAM}`, { filter: metaSubject(name) });
    if (meta) await this.api.must(`STREAM.PURGE.${BLOB_STREAM}`, { filter: CHUNKS + meta.nuid });
  }

  private async found(name: string): Promise<Meta | null> {
    const meta = await this.meta(name);
    if (meta !== null) return meta;
    await this.api.clock.sleep(ABSENT_AGAIN_MS);
    return this.meta(name);
  }

  private async meta(name: string): Promise<Meta | null> {
    return (await this.described(name)).meta;
  }

  private async described(name: string): Promise<Described> {
    const m = await this.api.message(BLOB_STREAM, { last_by_subj: metaSubject(name) });
    if (!m) return { meta: null, seq: 0 };
    const meta = JSON.parse(Buffer.from(m.bytes).toString()) as Meta;
    return { meta: meta.deleted ? null : meta, seq: m.seq };
  }

  /** The chunks in order; throws BusError `corrupt` when size or digest is not what was stored. */
  private async *chunks(meta: Meta): AsyncGenerator<Uint8Array, void, void> {
    const subject = CHUNKS + meta.nuid;
    const hash = createHash("sha256");
    let size = 0;
    const range = readRange(this.api, this.logger, {
      stream: BLOB_STREAM,
      subjects: [subject],
      fromSeq: 1,
      end: async () => (await this.api.message(BLOB_STREAM, { last_by_subj: subject }))?.seq ?? 0,
    });
    for await (const batch of range) {
      for (const { msg } of batch) {
        hash.update(msg.data);
        size += msg.data.length;
        if (size > meta.size) throw corrupt(meta, "is longer than it was when stored");
        yield msg.data;
      }
    }
    if (size !== meta.size) throw corrupt(meta, `has ${size} of ${meta.size} bytes`);
    if (digestOf(hash) !== meta.digest) throw corrupt(meta, "does not match its digest");
  }
}

/** As the object store's clients write and read it. */
function describing(meta: Meta, now: number) {
  const options = { max_chunk_size: CHUNK_BYTES };
  return { ...meta, bucket: BLOB_BUCKET, mtime: new Date(now).toISOString(), deleted: false, options };
}

function corrupt(meta: Meta, what: string): BusError {
  return new BusError("corrupt", `The blob ${meta.name} ${what}.`);
}

/** As the object store writes it: URL-safe base64 with padding. */
function digestOf(hash: Hash): string {
  return `SHA-256=${hash.digest("base64").replaceAll("+", "-").replaceAll("/", "_")}`;
}

/** The library takes names byte by byte, which only holds for ASCII: so each part is escaped. */
function objectName(name: string): string {
  return name.split("/").map(toToken).join("/");
}

/** The library names descriptions by URL-safe base64 with padding. */
function metaSubject(name: string): string {
  return META + Buffer.from(objectName(name)).toString("base64").replaceAll("+", "-").replaceAll("/", "_");
}
