/**
 * What the clients saw, line by line in a file: the checker reads this and the streams, nothing else of the rig.
 */

import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";

/** A line. Times are the rig's, ms since its beginning. */
export type Seen =
  /** A lane begins: all its commands go to this tally. */
  | readonly ["lane", lane: string, tally: string]
  /** Acknowledged, at which try, with which total; `sent`: when the first try went out. */
  | readonly ["ack", lane: string, no: number, attempt: number, total: number, sent: number, took: number]
  /** An answer that must not be. */
  | readonly ["wrong", what: string]
  /** Nothing but failures for as long as a client is patient. */
  | readonly ["gave_up", what: string, sent: number, at: number]
  /** The lane's last command never got an answer: taken or not. */
  | readonly ["open", lane: string, no: number]
  /** A watcher was told an event that is not the next of its root. */
  | readonly ["out_of_turn", watcher: string, root: string, no: number, after: number]
  /** A watcher of a root at its end: events told, and their digest. */
  | readonly ["watched", watcher: string, root: string, last: number, digest: string];

export class Ledger {
  readonly #begun = performance.now();
  readonly #stream: WriteStream;
  acknowledged = 0;
  gaveUp = 0;
  wrong = 0;

  constructor(readonly file: string) {
    this.#stream = createWriteStream(file);
  }

  /** Ms since the beginning. */
  now(): number {
    return Math.round(performance.now() - this.#begun);
  }

  write(seen: Seen): void {
    if (seen[0] === "ack") this.acknowledged++;
    else if (seen[0] === "gave_up") this.gaveUp++;
    else if (seen[0] === "wrong" || seen[0] === "out_of_turn") this.wrong++;
    this.#stream.write(`${JSON.stringify(seen)}\n`);
  }

  async close(): Promise<void> {
    this.#stream.end();
    await once(this.#stream, "close");
  }
}
