/** The opaque cursor of the event feed: a position per journal stream, and a place within one message. */
import { TroupeError } from "../machines/errors.ts";

export interface FeedPosition {
  /** Last sequence of each stream that was passed whole. */
  readonly streams: readonly number[];
  /** Within the next message of that stream: events already passed. */
  readonly stream: number;
  readonly skip: number;
}

const version = "f1";

export function encodeCursor(p: FeedPosition): string {
  return Buffer.from(
    [version, p.streams.map((n) => n.toString(36)).join("."), p.stream.toString(36), p.skip.toString(36)].join("_"),
  ).toString("base64url");
}

/** Throws `invalid_input` for anything that `encodeCursor` did not make for this number of streams. */
export function decodeCursor(text: string, streams: number): FeedPosition {
  const match = /^f1_([0-9a-z.]{1,400})_([0-9a-z]{1,4})_([0-9a-z]{1,8})$/.exec(
    Buffer.from(text, "base64url").toString(),
  );
  const numbers = match?.[1]?.split(".").map((n) => Number.parseInt(n, 36));
  if (match === null || numbers?.length !== streams || numbers.some((n) => !Number.isSafeInteger(n))) {
    throw new TroupeError("invalid_input", "The cursor is not one of this runtime's.");
  }
  const stream = Number.parseInt(match[2] as string, 36);
  if (stream >= streams) throw new TroupeError("invalid_input", "The cursor is not one of this runtime's.");
  return {
    streams: numbers,
    stream,
    skip: Number.parseInt(match[3] as string, 36),
  };
}
