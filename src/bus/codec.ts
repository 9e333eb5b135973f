/**
 * The envelope around every stored message (magic, format version, kind, checksum, MessagePack)
 * and plain MessagePack for what is not stored. A message that fails its checksum, or is of a
 * newer format, is refused whole; it does not know what the values mean.
 */
import { Buffer } from "node:buffer";
import { Decoder, Encoder } from "@msgpack/msgpack";
import xxhash from "xxhash-wasm";

/** The format that this code writes. Readers take this and older ones. */
export const FORMAT_VERSION = 1;

const HEADER_BYTES = 12;
const MAGIC_0 = 0x54; // "T"
const MAGIC_1 = 0x52; // "R"
/** An encoder's buffer only grows; one that a large value blew up is let go. */
const ENCODER_BYTES_KEPT = 4 * 1024 * 1024;
const DEPTH_MAX = 512;

export interface Sealed {
  readonly bytes: Uint8Array;
  /** 16 lower-case hex digits: xxhash64 over version, kind and payload. */
  readonly checksum: string;
}

export interface Opened {
  readonly kind: number;
  readonly version: number;
  readonly checksum: string;
  readonly value: unknown;
}

/** A stored or received message that must not be used. */
export class CodecError extends Error {
  override readonly name = "CodecError";
  constructor(
    readonly code: "corrupt" | "newer_format",
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface Codec {
  /** Packs a value for the store. `kind` (0–255) says what it is. Throws for values that could not be read back. */
  seal(kind: number, value: unknown): Sealed;
  /**
   * Unpacks what `seal` made. Binary fields are views into `bytes`. Throws CodecError `corrupt`
   * (not ours, cut, or checksum wrong) or `newer_format` (written by a newer Troupe).
   */
  open(bytes: Uint8Array): Opened;
  /** The checksum that a sealed message carries, without checking it. */
  checksumOf(bytes: Uint8Array): string;
}

let encoder = newEncoder();
const decoder = new Decoder();
let hashing: ReturnType<typeof xxhash> | undefined;
let loading: Promise<Codec> | undefined;

/** Loads the hash's WebAssembly once; later calls give the same codec. It writes the newest format. */
export function loadCodec(): Promise<Codec> {
  loading ??= makeCodec(() => FORMAT_VERSION, FORMAT_VERSION);
  return loading;
}

/**
 * A codec of its own that writes the format which `written` names at that moment, and reads up to `readMax`: while
 * nodes of two versions run, all write what the oldest reads.
 */
export function loadCodecWriting(written: () => number, readMax: number = FORMAT_VERSION): Promise<Codec> {
  return makeCodec(written, readMax);
}

/** A value as plain MessagePack, for messages that are not stored. `undefined` fields are left out. */
export function pack(value: unknown): Uint8Array {
  return encodeShared(value).slice();
}

/** What `pack` made. Throws CodecError `corrupt`. */
export function unpack(bytes: Uint8Array): unknown {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new CodecError("corrupt", "The message is not valid MessagePack.", { cause });
  }
}

async function makeCodec(written: () => number, readMax: number): Promise<Codec> {
  hashing ??= xxhash();
  const { h64Raw } = await hashing;
  // The hash's seed holds version and kind, so that a flipped bit there is found too.
  const hash = (payload: Uint8Array, version: number, kind: number) => h64Raw(payload, BigInt(version * 256 + kind));
  return {
    seal(kind, value) {
      if (!(Number.isInteger(kind) && kind >= 0 && kind <= 255)) throw new RangeError(`Kind ${kind} is no byte.`);
      const version = written();
      if (!(Number.isInteger(version) && version >= 1 && version <= readMax))
        throw new RangeError(`Format ${version} is not one that this Troupe writes (1 to ${readMax}).`);
      const payload = encodeShared(value);
      const bytes = new Uint8Array(HEADER_BYTES + payload.length);
      bytes[0] = MAGIC_0;
      bytes[1] = MAGIC_1;
      bytes[2] = version;
      bytes[3] = kind;
      bytes.set(payload, HEADER_BYTES);
      const sum = hash(payload, version, kind);
      new DataView(bytes.buffer).setBigUint64(4, sum);
      return { bytes, checksum: hex(sum) };
    },
    open(bytes) {
      const { version, kind, sum } = readHeader(bytes, readMax);
      const payload = bytes.subarray(HEADER_BYTES);
      if (hash(payload, version, kind) !== sum) {
        throw new CodecError(
          "corrupt",
          `The checksum of a stored message (kind ${kind}, ${bytes.length} bytes) is wrong.`,
        );
      }
      return { kind, version, checksum: hex(sum), value: unpack(payload) };
    },
    checksumOf(bytes) {
      return hex(readHeader(bytes, readMax).sum);
    },
  };
}

function readHeader(bytes: Uint8Array, readMax: number): { version: number; kind: number; sum: bigint } {
  if (bytes.length <= HEADER_BYTES || bytes[0] !== MAGIC_0 || bytes[1] !== MAGIC_1) {
    throw new CodecError("corrupt", `${bytes.length} stored bytes do not begin as a Troupe message.`);
  }
  const version = bytes[2] ?? 0;
  if (version > readMax) {
    throw new CodecError(
      "newer_format",
      `A stored message has format version ${version}; this Troupe reads up to ${readMax}. Start a newer Troupe.`,
    );
  }
  if (version === 0) throw new CodecError("corrupt", "A stored message has format version 0.");
  const sum = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES).getBigUint64(4);
  return { version, kind: bytes[3] ?? 0, sum };
}

/** A view into the encoder's buffer, valid until the next call. */
function encodeShared(value: unknown): Uint8Array {
  try {
    const view = encoder.encodeSharedRef(value);
    if (view.buffer.byteLength > ENCODER_BYTES_KEPT) encoder = newEncoder();
    refuseProto(view);
    return view;
  } catch (error) {
    // A half-written encoder must not be used again.
    encoder = newEncoder();
    throw error;
  }
}

/**
 * The library writes an object key `__proto__` (JSON may have one) but refuses to read it: stored,
 * it would block its partition for ever. So it is refused before.
 */
function refuseProto(bytes: Uint8Array): void {
  if (Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf("__proto__", 0, "latin1") < 0) return;
  // As a string value it is harmless.
  try {
    decoder.decode(bytes);
  } catch (cause) {
    throw new RangeError("An object with the key __proto__ cannot be stored or sent.", { cause });
  }
}

function newEncoder(): Encoder {
  return new Encoder({ ignoreUndefined: true, maxDepth: DEPTH_MAX });
}

function hex(sum: bigint): string {
  return sum.toString(16).padStart(16, "0");
}
