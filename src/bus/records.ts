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
  /** As the last write that was acknowledged to anybody left it. */
  get(partition: number, name: RecordName): Promise<RecordEntry | null>;
  /** Highest sequence that a record of the partition's stream has, or had. */
  lastSeq(partition: number): Promise<number>;
  /** `expectedSeq` 0: the record must not exist. */
  put(partition: number, name: RecordName, bytes: Uint8Array, expectedSeq: number): Promise<RecordWrite>;
  /** Removes the record if its sequence is not above `upToSeq`. Absent: nothing happens. */
  remove(partition: number, name: RecordName, upToSeq: number): Promise<void>;
  /**
   * Every record of the partition whose name begins with the prefix, in order of their sequence, as of the call. What
   * was written over before the call may come as well, ahead of what is there now: a copy that lags has it still.
   */
  scan(partition: number, prefix: RecordName): AsyncIterable<{ name: RecordName } & RecordEntry>;
}
