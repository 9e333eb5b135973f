/**
 * Port: state records, one message per key (`max_msgs_per_subject: 1`). Derived from the
 * journal, written behind, with the expected sequence of their own subject.
 */
export interface RecordEntry {
  readonly bytes: Uint8Array;
  /** The record's sequence: expect it when writing over this one. */
  readonly seq: number;
}

export type RecordWrite =
  | { readonly kind: "stored"; readonly seq: number }
  /** The record's sequence is another one; read it again before deciding. */
  | { readonly kind: "refused"; readonly lastSeq: number }
  | { readonly kind: "unknown"; readonly reason: string; readonly retryAfterMs: number }
  | { readonly kind: "full"; readonly reason: string };

/** A record's name within its partition: tokens of any text (escaped for subjects by the driver). */
export type RecordName = readonly string[];

export interface Records {
  readonly payloadBytesMax: number;
  /**
   * As it was when the partition's stream had this sequence, or later. Without one: as whoever answers for the stream
   * knows it, which may be an older state for a moment, while a server that was away does not know yet that another leads.
   */
  get(partition: number, name: RecordName, atLeast?: number): Promise<RecordEntry | null>;
  /** Highest sequence that a record of the partition's stream has, or had. */
  lastSeq(partition: number): Promise<number>;
  /** `expectedSeq` 0: the record must not exist. */
  put(partition: number, name: RecordName, bytes: Uint8Array, expectedSeq: number): Promise<RecordWrite>;
  /** Removes the record if its sequence is not above `upToSeq`. Absent: nothing happens. */
  remove(partition: number, name: RecordName, upToSeq: number): Promise<void>;
  /**
   * Every record of the partition whose name begins with the prefix, in order of their sequence, as of the call. What
   * was written over before the call may come as well, ahead of what is there now: a copy that lags has it still.
   * `atLeast` as for `get`.
   */
  scan(partition: number, prefix: RecordName, atLeast?: number): AsyncIterable<{ name: RecordName } & RecordEntry>;
}
