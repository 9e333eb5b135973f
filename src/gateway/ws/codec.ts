/**
 * Messages of the WebSocket as bytes, both formats. Decoding refuses what is not an object of
 * plain JSON.
 */
import { decode, encode } from "@msgpack/msgpack";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { checkJson, parseJson } from "../json.ts";
import type { Format } from "../shared-event.ts";

export function encodeMessage(format: Format, message: object): Buffer {
  if (format === "json") return Buffer.from(JSON.stringify(message));
  const bytes = encode(message, { ignoreUndefined: true });
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Throws `invalid_input`. */
export function decodeMessage(format: Format, bytes: Uint8Array, depthMax: number): Json {
  if (format === "json") return parseJson(bytes, depthMax);
  let value: Json;
  try {
    value = decode(bytes) as Json;
  } catch (error) {
    throw new TroupeError("invalid_input", `The message is not MessagePack: ${(error as Error).message}`);
  }
  checkJson(value, depthMax);
  return value;
}
