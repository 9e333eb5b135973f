/**
 * JSON in protobuf clothes: contract 002's JsonValue, and google.protobuf.Value packed into an Any (contract 003).
 * Pure.
 */
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isObject } from "../../machines/json.ts";

/** Nesting that is read from a client. */
const depthMax = 64;

/** As proto-loader gives and takes it: one of the kinds is set, `kind` names it when it was read. */
export interface JsonValue {
  readonly kind?: string;
  readonly [field: string]: unknown;
}

export function toJsonValue(value: Json | undefined): JsonValue {
  if (value === undefined || value === null) return { null_value: {} };
  if (typeof value === "boolean") return { bool_value: value };
  if (typeof value === "string") return { string_value: value };
  if (typeof value === "number") return Number.isSafeInteger(value) ? { int_value: value } : { double_value: value };
  if (Array.isArray(value)) return { list_value: { values: value.map((item) => toJsonValue(item as Json)) } };
  return { struct_value: { fields: mapValues(value as JsonObject, toJsonValue) } };
}

export function fromJsonValue(value: JsonValue | null | undefined, depth = 0): Json | undefined {
  if (value === null || value === undefined || value.kind === undefined) return undefined;
  checkDepth(depth);
  if (value.kind === "null_value") return null;
  if (value.kind === "list_value") {
    const { values = [] } = (value.list_value ?? {}) as { values?: JsonValue[] };
    return values.map((item) => fromJsonValue(item, depth + 1) ?? null);
  }
  if (value.kind === "struct_value") {
    const { fields = {} } = (value.struct_value ?? {}) as { fields?: Record<string, JsonValue> };
    return mapValues(fields, (item) => fromJsonValue(item, depth + 1) ?? null);
  }
  return finite(value[value.kind] as Json);
}

/** google.protobuf.Value, as proto-loader has it. */
export function toValue(value: Json | undefined): JsonValue {
  if (value === undefined || value === null) return { nullValue: "NULL_VALUE" };
  if (typeof value === "boolean") return { boolValue: value };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { numberValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map((item) => toValue(item as Json)) } };
  return { structValue: { fields: mapValues(value as JsonObject, toValue) } };
}

export function fromValue(value: JsonValue | null | undefined, depth = 0): Json | undefined {
  if (value === null || value === undefined) return undefined;
  checkDepth(depth);
  const kind = value.kind ?? Object.keys(value)[0];
  if (kind === undefined) return undefined;
  if (kind === "nullValue") return null;
  if (kind === "listValue") {
    const { values = [] } = (value.listValue ?? {}) as { values?: JsonValue[] };
    return values.map((item) => fromValue(item, depth + 1) ?? null);
  }
  if (kind === "structValue") return fromStruct(value.structValue as Struct, depth + 1);
  return finite(value[kind] as Json);
}

/** JSON has no infinities and no NaN. */
function finite(value: Json): Json {
  if (typeof value !== "number" || Number.isFinite(value)) return value;
  throw new TroupeError("invalid_input", `A number has to be finite, not ${value}`);
}

export interface Struct {
  readonly fields?: Record<string, JsonValue>;
}

export function fromStruct(struct: Struct | null | undefined, depth = 0): JsonObject | undefined {
  if (struct === null || struct === undefined) return undefined;
  return mapValues(struct.fields ?? {}, (item) => fromValue(item, depth + 1) ?? null) as JsonObject;
}

export const toStruct = (value: JsonObject): Struct => ({ fields: mapValues(value, toValue) });

function mapValues<T, U>(fields: { readonly [key: string]: T }, fn: (value: T) => U): Record<string, U> {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, fn(value)]));
}

function checkDepth(depth: number): void {
  if (depth > depthMax) throw new TroupeError("invalid_input", `A value is nested more than ${depthMax} deep`);
}

/** True for an object without members: the JSON of an Any that was not set. */
export const isEmptyObject = (value: Json | undefined): boolean => isObject(value) && Object.keys(value).length === 0;
