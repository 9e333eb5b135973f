/**
 * Owns large values: what is over a threshold inside a JSON value goes to the blob store and a
 * BlobRef stands in its place; loading puts it back. Knows neither actors nor when a blob's
 * root ends.
 *
 * A blob's payload is MessagePack of the value (files: their bytes as they are), its name is
 * `<root>/<sha256, 32 hex digits>`: storing the same value twice is the same blob, so every
 * caller may repeat.
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Blobs } from "../bus/blobs.ts";
import { pack, unpack } from "../bus/codec.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import type { BlobRef, LargeValues } from "./client.ts";
import { asRef, assertNoRefs, jsonDepthMax, jsonNodeBytes, plainKeys, pointerTokens } from "./refs.ts";

export { assertNoRefs };

/** What is over this goes outside, unless a caller says otherwise. */
export const thresholdBytesDefault = 65_536;
const cacheBytesDefault = 64 * 1024 * 1024;
const parallelMax = 16;
/** What a reference adds to its parent's size, about. */
const refBytes = 180;

interface Upload {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** A value after its large parts were taken out, and its approximate size as JSON. */
interface Reduced {
  readonly value: Json;
  readonly bytes: number;
}

/** LargeValues over the blob store, with a cache of decoded blobs bounded by their bytes. */
export class BlobValues implements LargeValues {
  readonly #blobs: Blobs;
  readonly #cache: LRUCache<string, { readonly value: Json }>;
  readonly #loading = new Map<string, Promise<Json>>();

  constructor(blobs: Blobs, options: { readonly cacheBytesMax?: number } = {}) {
    this.#blobs = blobs;
    const maxSize = options.cacheBytesMax ?? cacheBytesDefault;
    this.#cache = new LRUCache({ maxSize });
  }

  /**
   * Replaces what is over the threshold: a string over it becomes a blob; of arrays and objects
   * the large children first, and the rest of one that is still over it as a whole. `refs` says
   * what an object with the key `$blob` means: `refuse` (default, at every trust boundary, so
   * that nobody reads a blob by naming it) throws `invalid_input`; `keep` (Troupe's own values)
   * leaves references alone, copying those of another root. Throws `invalid_input` for what is
   * not JSON.
   */
  async offload(
    root: string,
    value: Json,
    thresholdBytes: number = thresholdBytesDefault,
    refs: "refuse" | "keep" = "refuse",
  ): Promise<Json> {
    const uploads = new Map<string, Upload>();
    const foreign: BlobRef[] = [];
    const reduce = (part: Json, depth: number): Reduced => {
      const small = reduceParts(part, depth);
      if (small.bytes <= thresholdBytes || asRef(small.value) !== null) return small;
      const bytes = pack(small.value);
      const ref = refTo(root, bytes);
      uploads.set(ref.$blob.name, { name: ref.$blob.name, bytes });
      return { value: ref as unknown as Json, bytes: refBytes };
    };
    const reduceParts = (part: Json, depth: number): Reduced => {
      if (typeof part !== "object" || part === null) return { value: part, bytes: jsonNodeBytes(part) };
      if (depth > jsonDepthMax) throw new TroupeError("invalid_input", `a value is nested over ${jsonDepthMax} deep`);
      if (Array.isArray(part)) return reduceArray(part, (item) => reduce(item, depth + 1));
      const ref = refs === "keep" ? asRef(part) : null;
      if (ref !== null) {
        if (!ref.$blob.name.startsWith(`${root}/`)) foreign.push(ref);
        return { value: rerooted(root, ref) as unknown as Json, bytes: refBytes };
      }
      return reduceObject(part as { readonly [key: string]: Json | undefined }, (item) => reduce(item, depth + 1));
    };
    const result = reduce(value, 0).value;
    await eachBounded(foreign, async (ref) => {
      const bytes = await this.#bytes(ref);
      await this.#blobs.put(rerooted(root, ref).$blob.name, bytes);
    });
    await eachBounded([...uploads.values()], async (upload) => {
      await this.#blobs.put(upload.name, upload.bytes);
    });
    return result;
  }

  /**
   * The whole value again, a fresh copy that the caller may change. Throws `internal` when a
   * blob is missing, is not what was stored, or lacks the place that `at` names.
   */
  async load(value: Json): Promise<Json> {
    const missing = new Map<string, BlobRef>();
    collectRefs(value, missing);
    const loaded = new Map<string, Json>();
    // A loaded blob may hold references again: level by level, until none is new.
    while (missing.size > 0) {
      const level = [...missing.values()];
      missing.clear();
      await eachBounded(level, async (ref) => {
        loaded.set(refKey(ref), await this.#at(ref));
      });
      for (const ref of level) collectRefs(loaded.get(refKey(ref)) as Json, missing);
      for (const key of missing.keys()) if (loaded.has(key)) missing.delete(key);
    }
    return restore(value, loaded);
  }

  /** Stores bytes as they are; idempotent. */
  async putBytes(root: string, bytes: Uint8Array): Promise<BlobRef> {
    const ref = refTo(root, bytes);
    await this.#blobs.put(ref.$blob.name, bytes);
    return ref;
  }

  /** The bytes of a reference; null when there are none. Throws `internal` when they are not what was stored. */
  async getBytes(ref: BlobRef): Promise<Uint8Array | null> {
    const bytes = await this.#blobs.get(ref.$blob.name);
    if (bytes !== null) checkDigest(ref, bytes);
    return bytes;
  }

  stream(ref: BlobRef): Promise<AsyncIterable<Uint8Array> | null> {
    return this.#blobs.stream(ref.$blob.name);
  }

  async #bytes(ref: BlobRef): Promise<Uint8Array> {
    const bytes = await this.getBytes(ref);
    if (bytes === null) throw new TroupeError("internal", `the large value ${ref.$blob.name} is missing in the store`);
    return bytes;
  }

  /** A blob's value, from the cache or the store; calls at the same time share one fetch. */
  async #blob(ref: BlobRef): Promise<Json> {
    const { name } = ref.$blob;
    const cached = this.#cache.get(name);
    if (cached !== undefined) return cached.value;
    const under = this.#loading.get(name);
    if (under !== undefined) return under;
    const loading = this.#bytes(ref).then((bytes) => {
      const value = unpackBlob(ref, bytes);
      this.#cache.set(name, { value }, { size: Math.max(1, bytes.length) });
      return value;
    });
    this.#loading.set(name, loading);
    try {
      return await loading;
    } finally {
      this.#loading.delete(name);
    }
  }

  /** What a reference stands for: the blob's value, or the part of it that `at` names. */
  async #at(ref: BlobRef): Promise<Json> {
    let place = await this.#blob(ref);
    for (const token of pointerTokens(ref.$blob.at ?? "")) {
      let inner = asRef(place);
      while (inner !== null) {
        place = await this.#at(inner);
        inner = asRef(place);
      }
      const next = child(place, token);
      if (next === undefined) {
        throw new TroupeError("internal", `the large value ${ref.$blob.name} has nothing at ${ref.$blob.at}`);
      }
      place = next;
    }
    return place;
  }
}

function child(place: Json, token: string): Json | undefined {
  if (Array.isArray(place)) return /^(0|[1-9]\d*)$/.test(token) ? place[Number(token)] : undefined;
  if (typeof place !== "object" || place === null || !Object.hasOwn(place, token)) return undefined;
  return (place as { readonly [key: string]: Json | undefined })[token];
}

function refTo(root: string, bytes: Uint8Array): BlobRef {
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { $blob: { name: `${root}/${sha256.slice(0, 32)}`, bytes: bytes.length, sha256 } };
}

/** The same blob under another root. */
function rerooted(root: string, ref: BlobRef): BlobRef {
  const name = `${root}/${ref.$blob.name.slice(ref.$blob.name.lastIndexOf("/") + 1)}`;
  return name === ref.$blob.name ? ref : { $blob: { ...ref.$blob, name } };
}

function checkDigest(ref: BlobRef, bytes: Uint8Array): void {
  const found = createHash("sha256").update(bytes).digest("hex");
  if (found === ref.$blob.sha256) return;
  throw new TroupeError(
    "internal",
    `the large value ${ref.$blob.name} is not what was stored: sha256 ${found}, expected ${ref.$blob.sha256}`,
  );
}

function unpackBlob(ref: BlobRef, bytes: Uint8Array): Json {
  try {
    return unpack(bytes) as Json;
  } catch (cause) {
    throw new TroupeError("internal", `the large value ${ref.$blob.name} cannot be decoded: ${String(cause)}`);
  }
}

function reduceArray(items: readonly Json[], reduce: (item: Json) => Reduced): Reduced {
  let bytes = 2;
  let changed: Json[] | undefined;
  for (let i = 0; i < items.length; i++) {
    const item = items[i] as Json;
    const reduced = reduce(item);
    bytes += reduced.bytes + 1;
    if (reduced.value !== item) {
      changed ??= items.slice();
      changed[i] = reduced.value;
    }
  }
  return { value: changed ?? items, bytes };
}

function reduceObject(object: { readonly [key: string]: Json | undefined }, reduce: (item: Json) => Reduced): Reduced {
  let bytes = 2;
  let changed: Record<string, Json | undefined> | undefined;
  for (const key of plainKeys(object)) {
    const item = object[key];
    if (item === undefined) continue;
    const reduced = reduce(item);
    bytes += reduced.bytes + key.length + 4;
    if (reduced.value !== item) {
      changed ??= { ...object };
      changed[key] = reduced.value;
    }
  }
  return { value: changed ?? object, bytes };
}

function refKey(ref: BlobRef): string {
  return `${ref.$blob.name}#${ref.$blob.at ?? ""}`;
}

function collectRefs(value: Json, into: Map<string, BlobRef>): void {
  if (typeof value !== "object" || value === null) return;
  const ref = asRef(value);
  if (ref !== null) into.set(refKey(ref), ref);
  else for (const item of Object.values(value)) if (item !== undefined) collectRefs(item, into);
}

/** A deep copy with the references' values in their places. */
function restore(value: Json, loaded: ReadonlyMap<string, Json>): Json {
  if (typeof value !== "object" || value === null) return value;
  const ref = asRef(value);
  if (ref !== null) return restore(loaded.get(refKey(ref)) as Json, loaded);
  if (Array.isArray(value)) return value.map((item) => restore(item, loaded));
  const copy: Record<string, Json> = {};
  for (const [key, item] of Object.entries(value)) if (item !== undefined) copy[key] = restore(item, loaded);
  return copy;
}

/** Runs `work` for every item, at most `parallelMax` at once; the first failure is thrown. */
async function eachBounded<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < items.length) await work(items[next++] as T);
  };
  await Promise.all(Array.from({ length: Math.min(parallelMax, items.length) }, lane));
}
