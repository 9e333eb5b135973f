/**
 * From a CEL value to JSON: integers to numbers, timestamps to RFC 3339, durations to `1.5s`,
 * bytes to base64 (as protobuf's JSON mapping has it). Owns no evaluation.
 */
import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";
import type { Json } from "../effects.ts";
import type { BlobRef } from "../json.ts";

type Unwrap = (value: object) => BlobRef | undefined;

/** Characters and members in one result; more is an error. */
export const resultSizeMax = 33_554_432;

/** Throws Error for what JSON cannot hold (unsafe integers, NaN, infinities) and for what is too large. */
export function resultToJson(value: unknown, unwrap: Unwrap): Json {
  const size = { left: resultSizeMax };
  return toJson(value, unwrap, size);
}

interface Size {
  left: number;
}

function toJson(value: unknown, unwrap: Unwrap, size: Size): Json {
  size.left -= typeof value === "string" ? value.length + 1 : 1;
  if (size.left < 0) throw new Error(`the result is larger than ${resultSizeMax} characters`);
  switch (typeof value) {
    case "string":
    case "boolean":
      return value;
    case "bigint":
      return integer(value);
    case "number":
      if (!Number.isFinite(value)) throw new Error(`the result ${value} is not a JSON number`);
      return value === 0 ? 0 : value; // JSON has no -0
    case "undefined":
      return null;
    case "object":
      return value === null ? null : objectToJson(value, unwrap, size);
    default:
      throw new Error(`a ${typeof value} is no JSON value`);
  }
}

function integer(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new Error(`the integer ${value} is too large for JSON`);
  return number;
}

function objectToJson(value: object, unwrap: Unwrap, size: Size): Json {
  const ref = unwrap(value);
  if (ref !== undefined) return ref;
  if (Array.isArray(value)) return value.map((v) => toJson(v, unwrap, size));
  if (value instanceof Map) return fromEntries(value.entries(), unwrap, size);
  if (value instanceof Set) return [...value].map((v) => toJson(v, unwrap, size));
  if (value instanceof UnsignedInt) return integer(value.value);
  if (value instanceof Duration) return value.toString();
  if (value instanceof Optional) return value.hasValue() ? toJson(value.value(), unwrap, size) : null;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return btoa(Array.from(value, (byte) => String.fromCharCode(byte)).join(""));
  if (isType(value)) return value.name;
  return fromEntries(Object.entries(value), unwrap, size);
}

function fromEntries(entries: Iterable<[unknown, unknown]>, unwrap: Unwrap, size: Size): Json {
  const members: [string, Json][] = [];
  for (const [key, v] of entries) if (v !== undefined) members.push([String(key), toJson(v, unwrap, size)]);
  return Object.fromEntries(members);
}

/** What `type(x)` gives. */
function isType(value: object): value is { name: string } {
  return Object.prototype.toString.call(value).startsWith("[object Type<");
}
