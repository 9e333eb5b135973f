/**
 * Owns how a BlobRef looks inside JSON, and what counts as JSON at a trust boundary. Stores and
 * loads nothing.
 */
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import type { BlobRef } from "./client.ts";

/** Values nested deeper are refused: the codec and every walk are recursive. */
export const jsonDepthMax = 200;

/** The reference that this value is, or null. */
export function asRef(value: Json): BlobRef | null {
  if (typeof value !== "object" || value === null || Array.isArray(value) || !Object.hasOwn(value, "$blob"))
    return null;
  const { $blob } = value as unknown as { $blob: Partial<BlobRef["$blob"]> | null };
  if (typeof $blob !== "object" || $blob === null) return null;
  if (typeof $blob.name !== "string" || typeof $blob.bytes !== "number" || typeof $blob.sha256 !== "string")
    return null;
  if ($blob.at !== undefined && typeof $blob.at !== "string") return null;
  return value as unknown as BlobRef;
}

/** True when a reference is anywhere inside. */
export function hasRefs(value: Json): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (asRef(value) !== null) return true;
  return Object.values(value).some((item) => item !== undefined && hasRefs(item));
}

/**
 * For values from outside: throws `invalid_input` when an object has the key `$blob` (it would
 * read as a reference to somebody's blob) or `__proto__`, when something is not JSON, or is
 * nested over `jsonDepthMax`.
 */
export function assertNoRefs(value: Json, depth = 0): void {
  if (typeof value !== "object" || value === null) {
    jsonNodeBytes(value);
    return;
  }
  if (depth > jsonDepthMax) throw new TroupeError("invalid_input", `a value is nested over ${jsonDepthMax} deep`);
  if (Array.isArray(value)) {
    for (const item of value) assertNoRefs(item, depth + 1);
    return;
  }
  const object = value as { readonly [key: string]: Json | undefined };
  for (const key of plainKeys(object)) {
    const item = object[key];
    if (item !== undefined) assertNoRefs(item, depth + 1);
  }
}

/** The keys of a plain object from outside; throws `invalid_input` for reserved keys and other objects. */
export function plainKeys(object: object): string[] {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== Object.prototype && prototype !== null) {
    const name = (object as { constructor?: { name?: string } }).constructor?.name ?? "object";
    throw new TroupeError("invalid_input", `a value of class ${name} is not JSON; give plain objects, arrays, strings`);
  }
  const keys = Object.keys(object);
  for (const key of keys) {
    if (key === "$blob" || key === "__proto__") {
      throw new TroupeError("invalid_input", `the key "${key}" is reserved; rename it`, { key });
    }
  }
  return keys;
}

/** About how many bytes a value without children takes as JSON; throws `invalid_input` when it is not JSON. */
export function jsonNodeBytes(value: unknown): number {
  if (typeof value === "string") return (value.length > 64 ? Buffer.byteLength(value) : value.length) + 2;
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TroupeError("invalid_input", `${value} is not JSON; use null or a string`);
    return 8;
  }
  if (value === null || typeof value === "boolean") return 5;
  throw new TroupeError("invalid_input", `a value of type ${typeof value} is not JSON`);
}

/** The tokens of a JSON Pointer (RFC 6901); empty for the whole. */
export function pointerTokens(pointer: string): string[] {
  if (pointer === "") return [];
  return pointer
    .slice(1)
    .split("/")
    .map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** A reference to a part of what `ref` stands for. */
export function refInto(ref: BlobRef, token: string | number): BlobRef {
  const escaped = String(token).replaceAll("~", "~0").replaceAll("/", "~1");
  return { $blob: { ...ref.$blob, at: `${ref.$blob.at ?? ""}/${escaped}` } };
}
