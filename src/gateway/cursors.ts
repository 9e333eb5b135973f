/**
 * Opaque page cursors at the edge: which list they belong to and the inner position, as
 * base64url. They hold positions only, so they survive restarts. The journal's cursors are the runtime's.
 */
import { TroupeError } from "../machines/errors.ts";

/** Wraps an inner position for the list it belongs to. */
export function encodeCursor(list: string, position: string | number): string {
  return Buffer.from(JSON.stringify([list, position])).toString("base64url");
}

export function badCursor(): TroupeError {
  return new TroupeError("invalid_input", "cursor: not a cursor of this list", {
    problems: [{ path: "cursor", message: "not a cursor of this list" }],
  });
}

/** The inner position. Throws `invalid_input` for anything this list has not given out. */
export function decodeCursor(list: string, cursor: string): string | number {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(cursor, "base64url").toString("utf8"));
  } catch {
    throw badCursor();
  }
  if (!Array.isArray(value) || value.length !== 2 || value[0] !== list) throw badCursor();
  const position: unknown = value[1];
  if (typeof position !== "string" && typeof position !== "number") throw badCursor();
  if (encodeCursor(list, position) !== cursor) throw badCursor();
  return position;
}
