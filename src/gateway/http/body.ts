/**
 * Reads a request's body within a bound. What is over the bound is read and thrown away for a
 * while, so that a client that is still sending gets to see the 413; then the connection closes.
 */
import { TroupeError } from "../../machines/errors.ts";
import type { HttpResponse } from "../uws.ts";

export interface BodyTooLarge {
  readonly error: TroupeError;
  /** The rest was not read: the connection must not be used again. */
  readonly close: boolean;
}

export type BodyOutcome = { readonly bytes: Uint8Array } | BodyTooLarge;

/** Must be called before the handler returns. Calls `done` once; not at all when the client goes away. */
export function readBody(
  res: HttpResponse,
  options: { readonly bytesMax: number; readonly declared: string },
  done: (outcome: BodyOutcome) => void,
): void {
  const { bytesMax } = options;
  const discardMax = Math.max(bytesMax * 2, bytesMax + 16 * 1024 * 1024);
  const tooLarge = () =>
    new TroupeError("too_large", `The body is larger than ${bytesMax} bytes`, { bytes_max: bytesMax });
  const declared = Number(options.declared);
  let settled = false;
  const settle = (outcome: BodyOutcome): void => {
    if (settled) return;
    settled = true;
    done(outcome);
  };
  let chunks: Buffer[] = [];
  let size = 0;
  res.onData((chunk, isLast) => {
    if (settled) return;
    size += chunk.byteLength;
    if (size > bytesMax) chunks = [];
    // The chunk's memory is taken back after this call.
    else if (chunk.byteLength > 0) chunks.push(Buffer.from(new Uint8Array(chunk)));
    if (size > discardMax || declared > discardMax) return settle({ error: tooLarge(), close: true });
    if (!isLast) return;
    if (size > bytesMax) return settle({ error: tooLarge(), close: false });
    settle({ bytes: chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks) });
  });
}
