/**
 * Small facts about JSON values: canonical text, size, equality, and the reference that stands
 * for a large value. Pure; knows no actor.
 */
import type { Json, JsonObject } from "./effects.ts";

/** A value over 64 KiB is kept outside; this stands in its place. `at`: JSON Pointer (RFC 6901) into the stored value. */
export interface BlobRef {
  readonly [key: string]: Json | undefined;
  readonly $blob: { readonly name: string; readonly bytes: number; readonly sha256: string; readonly at?: string };
}

/** Above this a value is resolved outside of the machine and kept as a reference. */
export const inlineBytesMax = 65_536;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function isBlobRef(value: unknown): value is BlobRef {
  return isObject(value) && isObject(value.$blob) && typeof value.$blob.name === "string";
}

/** True when a reference stands somewhere in the value. */
export function holdsRef(value: Json): boolean {
  if (Array.isArray(value)) return value.some(holdsRef);
  return isBlobRef(value) || (isObject(value) && Object.values(value).some((v) => v !== undefined && holdsRef(v)));
}

/** A reference to a part of what `ref` stands for: `pointer` (RFC 6901) is appended to its own. */
export function refAt(ref: BlobRef, pointer: string): BlobRef {
  return { ...ref, $blob: { ...ref.$blob, at: `${ref.$blob.at ?? ""}${pointer}` } };
}

/**
 * JSON with sorted keys and without blanks: equal values have equal text, so it can be hashed
 * (after RFC 8785; absent and undefined members are the same).
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map((v) => canonicalJson(v ?? null)).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value ?? null);
  const members = Object.keys(value)
    .filter((key) => value[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`);
  return `{${members.join(",")}}`;
}

/** Length of the JSON text in characters, a fair measure of size. */
export function jsonSize(value: Json | undefined): number {
  return value === undefined ? 0 : JSON.stringify(value).length;
}

/** True when the JSON text is longer than `max` characters; looks no further than it must. */
export function isLarger(value: Json | undefined, max: number): boolean {
  const size = { left: max };
  take(value, size);
  return size.left < 0;
}

function take(value: Json | undefined, size: { left: number }): void {
  if (size.left < 0 || value === undefined) return;
  if (typeof value === "string") size.left -= value.length + 2;
  else if (typeof value !== "object" || value === null) size.left -= String(value).length;
  else {
    size.left -= 2;
    for (const [key, v] of Object.entries(value)) {
      if (size.left < 0) return;
      size.left -= Array.isArray(value) ? 1 : key.length + 4;
      take(v, size);
    }
  }
}

/** At most `max` characters, without half of a surrogate pair at the cut. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? max - 1 : max);
}

export function sameJson(a: unknown, b: unknown): boolean {
  return a === b || canonicalJson(a) === canonicalJson(b);
}
