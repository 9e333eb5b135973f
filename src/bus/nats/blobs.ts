/**
 * Port Blobs over JetStream's object store (`TROUPE_BLOBS`; `nats object` shows them). The library
 * writes; reading and listing go through our own reader, which survives reconnects, ends, and
 * need not look at every object's description.
 */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import type { ObjectStore } from "@nats-io/obj";
import type { BlobInfo, Blobs } from "../blobs.ts";
import { BusError } from "../bus.ts";
import { fromToken, toToken } from "../token.ts";
import type { JetStreamApi } from "./api.ts";
import { BLOB_BUCKET, BLOB_STREAM } from "./names.ts";
import type { BusLogger } from "./options.ts";
import { readRange } from "./range.ts";

const CHUNK_BYTES = 512 * 1024;
const META = `$O.${BLOB_BUCKET}.M.`;
const CHUNKS = `$O.${BLOB_BUCKET}.C.`;
/** A blob that is written again while it is read moves to other chunks. */
const READ_TRIES = 3;

interface Meta {
  readonly name: string;
  readonly nuid: string;
  readonly size: number;
  readonly chunks: number;
  readonly digest: string;
  readonly deleted?: boolean;
}

export class NatsBlobs implements Blobs {
  constructor(
    private readonly api: JetStreamApi,
    private readonly logger: BusLogger,
    private readonly store: ObjectStore,
  ) {}

  async put(name: string, bytes: Uint8Array): Promise<BlobInfo> {
    const present = await this.meta(name);
    const info = { name, size: bytes.length };
    if (present?.size === bytes.length && present.digest === digestOf(createHash("sha256").update(bytes))) return info;
    try {
      await this.store.putBlob({ name: objectName(name), options: { max_chunk_size: CHUNK_BYTES } }, bytes);
      return info;
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const full = /maximum|exceeded|insufficient|resource/.test(message);
      throw new BusError(full ? "storage_full" : "unreachable", `The blob ${name} was not stored: ${message}.`, {
        cause,
      });
    }
  }

  async get(name: string): Promise<Uint8Array | null> {
    for (let tries = READ_TRIES; ; tries--) {
      const meta = await this.meta(name);
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
    const meta = await this.meta(name);
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

  private async meta(name: string): Promise<Meta | null> {
    const m = await this.api.message(BLOB_STREAM, { last_by_subj: metaSubject(name) });
    if (!m) return null;
    const meta = JSON.parse(Buffer.from(m.bytes).toString()) as Meta;
    return meta.deleted ? null : meta;
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
