/**
 * The form of a backup file: one line that names it and its version, then gzip over frames, each a sealed
 * message (checksum, format version) that carries its own place in the order, and an end that counts
 * them. A cut, reordered or damaged file is refused. What the frames mean together is not decided here.
 */
import { once } from "node:events";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { createGunzip, createGzip } from "node:zlib";
import type { Layout } from "../../bus/bus.ts";
import { type Codec, CodecError } from "../../bus/codec.ts";
import type { RecordName } from "../../bus/records.ts";

/** The version of the file's own form; the messages inside carry theirs. */
export const backupVersion = 1;
const title = "TROUPE BACKUP";
const titleBytes = 32;
const frameBytesMax = 256 * 1024 * 1024;

/** Kind bytes of the codec. */
const kinds = { header: 32, record: 33, group: 34, blob: 35, secret: 36, end: 37 } as const;

export interface Counts {
  records: number;
  groups: number;
  blobs: number;
  secrets: number;
}

export type Frame =
  | { readonly kind: "header"; readonly layout: Layout; readonly at: number }
  | { readonly kind: "record"; readonly partition: number; readonly name: RecordName; readonly bytes: Uint8Array }
  | { readonly kind: "group"; readonly partition: number; readonly seq: number; readonly bytes: Uint8Array }
  /** A piece of a large value; the last one says so. */
  | { readonly kind: "blob"; readonly name: string; readonly bytes: Uint8Array; readonly last: boolean }
  | { readonly kind: "secret"; readonly key: string; readonly bytes: Uint8Array }
  | { readonly kind: "end"; readonly counts: Counts };

/** A backup that cannot be made or must not be restored: a sentence for the operator. */
export class BackupError extends Error {
  override readonly name = "BackupError";
}

export class BackupWriter {
  readonly #codec: Codec;
  readonly #path: string;
  readonly #gzip = createGzip({ level: 6 });
  readonly #written: Promise<void>;
  readonly counts: Counts = { records: 0, groups: 0, blobs: 0, secrets: 0 };
  #index = 0;

  private constructor(codec: Codec, path: string) {
    this.#codec = codec;
    this.#path = path;
    this.#written = pipeline(this.#gzip, createWriteStream(`${path}.part`, { flags: "a", flush: true }));
    this.#written.catch(() => {});
  }

  /** Writes beside the path; only `end` gives the file its name. */
  static async create(codec: Codec, path: string): Promise<BackupWriter> {
    const file = await open(`${path}.part`, "w", 0o600);
    await file.write(`${title} ${backupVersion}\n`.padEnd(titleBytes - 1, " ").concat("\n"));
    await file.close();
    return new BackupWriter(codec, path);
  }

  async write(frame: Frame): Promise<void> {
    const { kind, ...value } = frame;
    if (kind === "record") this.counts.records++;
    if (kind === "group") this.counts.groups++;
    if (kind === "secret") this.counts.secrets++;
    if (frame.kind === "blob" && frame.last) this.counts.blobs++;
    const { bytes } = this.#codec.seal(kinds[kind], [this.#index++, value]);
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    this.#gzip.write(length);
    if (!this.#gzip.write(bytes)) await Promise.race([once(this.#gzip, "drain"), this.#written]);
  }

  /** The end mark; afterwards the file stands whole under its name. Gives its size. */
  async end(): Promise<number> {
    await this.write({ kind: "end", counts: { ...this.counts } });
    this.#gzip.end();
    await this.#written;
    await rename(`${this.#path}.part`, this.#path);
    return (await stat(this.#path)).size;
  }

  async abandon(): Promise<void> {
    this.#gzip.destroy();
    await this.#written.catch(() => {});
    await rm(`${this.#path}.part`, { force: true });
  }
}

/** Every frame in order. Throws BackupError for a file that is no backup, newer, damaged or cut. */
export async function* readBackup(codec: Codec, path: string): AsyncGenerator<Frame, void, void> {
  await checkTitle(path);
  const input = createReadStream(path, { start: titleBytes });
  const unzipped = createGunzip();
  const piped = pipeline(input, unzipped).catch(() => {});
  try {
    yield* framesOf(codec, unzipped);
  } catch (error) {
    if (error instanceof BackupError) throw error;
    const what = error instanceof CodecError && error.code === "newer_format" ? "newer" : "damaged or cut";
    throw new BackupError(`The backup is ${what}: ${(error as Error).message}`);
  } finally {
    input.destroy();
    unzipped.destroy();
    await piped;
  }
}

async function checkTitle(path: string): Promise<void> {
  const file = await open(path).catch((error: Error) => {
    throw new BackupError(`The backup cannot be read: ${error.message}.`);
  });
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(titleBytes), 0, titleBytes, 0);
    const found = new RegExp(`^${title} (\\d+)\\n`).exec(buffer.subarray(0, bytesRead).toString("latin1"));
    if (found === null || bytesRead < titleBytes) throw new BackupError(`${path} is no backup of Troupe.`);
    if (Number(found[1]) > backupVersion)
      throw new BackupError(
        `The backup has version ${found[1]}; this Troupe reads up to ${backupVersion}. Use a newer Troupe.`,
      );
  } finally {
    await file.close();
  }
}

async function* framesOf(codec: Codec, source: AsyncIterable<Buffer>): AsyncGenerator<Frame, void, void> {
  let waiting: Buffer[] = [];
  let size = 0;
  let index = 0;
  let ended = false;
  for await (const piece of source) {
    waiting.push(piece);
    size += piece.length;
    for (;;) {
      if (size < 4) break;
      let joined = waiting.length === 1 ? (waiting[0] as Buffer) : Buffer.concat(waiting);
      const length = joined.readUInt32BE(0);
      if (length > frameBytesMax) throw new BackupError("The backup is damaged: a frame has an impossible length.");
      if (size < 4 + length) {
        waiting = [joined];
        break;
      }
      const frame = frameOf(codec, joined.subarray(4, 4 + length), index++);
      if (ended) throw new BackupError("The backup is damaged: something follows its end.");
      ended = frame.kind === "end";
      yield frame;
      joined = joined.subarray(4 + length);
      waiting = [joined];
      size = joined.length;
    }
  }
  if (!ended || size > 0) throw new BackupError("The backup is cut: it has no end mark.");
}

function frameOf(codec: Codec, bytes: Uint8Array, index: number): Frame {
  const opened = codec.open(bytes);
  const kind = Object.entries(kinds).find(([, number]) => number === opened.kind)?.[0];
  const [found, value] = opened.value as [number, object];
  if (kind === undefined)
    throw new BackupError(`The backup holds a part of a kind that this Troupe does not know (${opened.kind}).`);
  if (found !== index)
    throw new BackupError(`The backup is damaged: part ${found} stands where part ${index} belongs.`);
  return { kind, ...value } as Frame;
}
