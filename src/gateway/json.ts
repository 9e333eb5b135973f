/**
 * JSON from strangers: decoding of bytes with the place of a fault, and the rules for free JSON
 * (run inputs, metadata): bounded depth, finite numbers, no key that means something inside.
 */

import { isUtf8 } from "node:buffer";
import { createHash } from "node:crypto";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { canonicalJson } from "../machines/json.ts";
import { formatPath } from "./errors.ts";
import { faultOffset } from "./json-fault.ts";
import { countMembers, repeatedName } from "./json-names.ts";

/** Parses a body. Throws `invalid_input` with line and column (or byte) of the fault. */
export function parseJson(bytes: Uint8Array, depthMax: number): Json {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!isUtf8(buffer)) {
    const again = Buffer.from(buffer.toString("utf8"));
    let at = 0;
    while (at < buffer.length && again[at] === buffer[at]) at++;
    throw new TroupeError("invalid_input", `The body is not UTF-8 at byte ${at}`, { byte: at });
  }
  const text = buffer.toString("utf8");
  let value: Json;
  try {
    value = JSON.parse(text) as Json;
  } catch {
    throw malformed(text);
  }
  if (checkJson(value, depthMax) !== countMembers(buffer)) throw twice(repeatedName(buffer) ?? "");
  return value;
}

/** Readers differ in which of the two they take: here nobody has to guess. */
function twice(name: string): TroupeError {
  const shown = name.slice(0, 100);
  return new TroupeError("invalid_input", `The body is not JSON: the name '${shown}' stands twice in one object`, {
    problems: [{ path: shown, message: "stands twice in one object" }],
  });
}

function malformed(text: string): TroupeError {
  const offset = faultOffset(text);
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  const column = offset - before.lastIndexOf("\n");
  const what = offset >= text.length ? "ends too early" : "is malformed";
  return new TroupeError("invalid_input", `The body is not JSON: it ${what} at line ${line}, column ${column}`, {
    line,
    column,
  });
}

/** Keys that would change meaning inside: prototypes (and MessagePack decoders), references to stored blobs. */
const reservedKeys = new Set(["__proto__", "$blob"]);

interface Place {
  readonly value: Json;
  readonly depth: number;
  readonly key: PropertyKey;
  readonly parent: Place | undefined;
}

function pathOf(place: Place): string {
  const path: PropertyKey[] = [];
  for (let at: Place | undefined = place; at?.parent !== undefined; at = at.parent) path.unshift(at.key);
  return formatPath(path);
}

function refuse(place: Place, what: string): never {
  const path = pathOf(place);
  throw new TroupeError("invalid_input", `${path === "" ? "The value" : path} ${what}`, {
    problems: [{ path, message: what }],
  });
}

/**
 * Throws `invalid_input` with the path of what cannot be kept as it is. Iterative: depth cannot hurt it. Returns how
 * many members its objects have together.
 */
export function checkJson(root: Json, depthMax: number): number {
  let members = 0;
  const todo: Place[] = [{ value: root, depth: 0, key: "", parent: undefined }];
  for (let place = todo.pop(); place !== undefined; place = todo.pop()) {
    const { value, depth } = place;
    if (typeof value === "string") {
      if (!wellFormed(value)) refuse(place, "holds half of a surrogate pair");
    } else if (typeof value === "number") {
      if (!Number.isFinite(value)) refuse(place, "is a number out of range");
    } else if (value === undefined || typeof value === "bigint") {
      refuse(place, "is not JSON");
    } else if (typeof value === "object" && value !== null) {
      if (depth >= depthMax) refuse(place, `is nested deeper than ${depthMax}`);
      const parent = place;
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) todo.push({ value: value[i] as Json, depth: depth + 1, key: i, parent });
      } else {
        if (Object.getPrototypeOf(value) !== Object.prototype) refuse(place, "is not JSON");
        for (const [key, inner] of Object.entries(value)) {
          members++;
          const child = { value: inner as Json, depth: depth + 1, key, parent };
          if (reservedKeys.has(key)) refuse(child, "is a reserved name");
          if (!wellFormed(key)) refuse(child, "holds half of a surrogate pair");
          todo.push(child);
        }
      }
    }
  }
  return members;
}

/** ES2024's `isWellFormed`, which Node 20 has and the ES2023 types do not. */
function wellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

/** Lower-case hex SHA-256 of the canonical JSON. */
export function hashJson(value: Json | undefined): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
