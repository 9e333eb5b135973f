/**
 * google.protobuf.Any that holds a google.protobuf.Value (or a Struct): contract 003 carries state and properties
 * so. The bytes are protobufjs's.
 */
import protobuf from "protobufjs";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { fromStruct, fromValue, type JsonValue, type Struct, toValue } from "./json-value.ts";

export interface AnyMessage {
  readonly type_url: string;
  readonly value: Uint8Array;
}

const types = protobuf.Root.fromJSON(protobuf.common.get("google/protobuf/struct.proto") as protobuf.INamespace);
const valueType = types.lookupType("google.protobuf.Value");
const structType = types.lookupType("google.protobuf.Struct");
const options = { enums: String, oneofs: true } as const;

export function packAny(value: Json | undefined): AnyMessage {
  const bytes = valueType.encode(valueType.fromObject(toValue(value))).finish();
  return { type_url: "type.googleapis.com/google.protobuf.Value", value: bytes };
}

/** The JSON inside; undefined when nothing was sent. Throws `invalid_input` for another type. */
export function unpackAny(any: AnyMessage | null | undefined): Json | undefined {
  if (any === null || any === undefined || any.type_url === "") return undefined;
  const name = any.type_url.slice(any.type_url.lastIndexOf("/") + 1);
  try {
    if (name === "google.protobuf.Value") {
      return fromValue(valueType.toObject(valueType.decode(any.value), options) as JsonValue);
    }
    if (name === "google.protobuf.Struct") {
      return fromStruct(structType.toObject(structType.decode(any.value), options) as Struct);
    }
  } catch (error) {
    if (error instanceof TroupeError) throw error;
    throw new TroupeError("invalid_input", `The ${name} cannot be decoded`);
  }
  throw new TroupeError(
    "invalid_input",
    `An Any has to hold a google.protobuf.Value or Struct, not ${name.slice(0, 100)}`,
  );
}

/** google.protobuf.Timestamp from milliseconds; null where there is none. */
export function toTimestamp(ms: number | null | undefined): { seconds: number; nanos: number } | null {
  if (ms === null || ms === undefined) return null;
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1_000_000) };
}

export function fromTimestamp(at: { seconds?: number; nanos?: number } | null | undefined): number | undefined {
  if (at === null || at === undefined) return undefined;
  return Number(at.seconds ?? 0) * 1000 + Math.floor((at.nanos ?? 0) / 1_000_000);
}
