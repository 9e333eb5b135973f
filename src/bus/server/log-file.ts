/**
 * The embedded server's log file: kept small, and its end for error messages.
 */
import { closeSync, copyFileSync, openSync, readSync, statSync, truncateSync } from "node:fs";

const bytesMax = 16 * 2 ** 20;
const tailBytes = 4096;

/** Copies a log that grew large to `<path>.1` and empties it; the writer appends, so it goes on at the start. */
export function rotate(path: string): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat || stat.size <= bytesMax) return;
  copyFileSync(path, `${path}.1`);
  truncateSync(path);
}

/** Opened for a child's output. */
export function openLog(path: string): number {
  rotate(path);
  return openSync(path, "a", 0o600);
}

export function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

/** The last lines written since the file had `from` bytes. */
export function tail(path: string, from: number, lines = 12): string {
  const size = sizeOf(path);
  const start = Math.max(Math.min(from, size), size - tailBytes);
  const buffer = Buffer.alloc(size - start);
  if (buffer.length === 0) return "";
  const file = openSync(path, "r");
  try {
    const read = readSync(file, buffer, 0, buffer.length, start);
    return buffer.toString("utf8", 0, read).trimEnd().split("\n").slice(-lines).join("\n");
  } finally {
    closeSync(file);
  }
}
