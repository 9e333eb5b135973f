/**
 * Port: the partitions' journals. One subject per partition, spread over one or several streams;
 * append with the expected last sequence is the only thing that correctness rests on.
 */

export type AppendOutcome =
  /** Stored at this sequence of the stream. */
  | { readonly kind: "stored"; readonly seq: number }
  /** Refused (10071): the subject's last sequence is another one, which the refusal names. Nothing of this call was stored by this attempt. */
  | { readonly kind: "refused"; readonly lastSeq: number }
  /** No answer, no responders, 503, 10163, 10164: it may be stored, now or later. Send the very same bytes again. */
  | { readonly kind: "unknown"; readonly reason: string; readonly retryAfterMs: number }
  /** The store refuses for want of space or by a limit; nothing was stored. */
  | { readonly kind: "full"; readonly reason: string };

export interface JournalMessage {
  readonly partition: number;
  /** Sequence in the partition's stream; increasing per partition, not contiguous. */
  readonly seq: number;
  readonly bytes: Uint8Array;
  /** Server's time of storage, ms. */
  readonly at: number;
}

export interface Journal {
  readonly partitions: number;
  readonly streams: number;
  /** The stream index (0…streams-1) that holds a partition: `partition % streams`. */
  streamOf(partition: number): number;
  /** Largest message body in bytes that the store takes. */
  readonly payloadBytesMax: number;
  append(partition: number, bytes: Uint8Array, expectedLastSeq: number): Promise<AppendOutcome>;
  /** The partition's last message, as its leader knows it; null when there is none. */
  last(partition: number): Promise<JournalMessage | null>;
  /** The message at this sequence of the partition's stream; null when it is not there (yet). */
  get(partition: number, seq: number): Promise<JournalMessage | null>;
  /** Every message of the partition with `fromSeq <= seq <= toSeq`, in order; ends there. */
  read(partition: number, fromSeq: number, toSeq: number): AsyncIterable<JournalMessage>;
  /**
   * Follows one stream (all its partitions) from a sequence on, in order, without gaps, for as
   * long as the follower is not stopped; survives reconnects. `fromSeq` 0 means: only new ones.
   * `onMessage` must be quick.
   */
  follow(stream: number, fromSeq: number, onMessage: (m: JournalMessage) => void): Promise<Follower>;
  /** First and last sequence of a stream; first is 0 when it is empty… and last stays what it was. */
  bounds(stream: number): Promise<{ firstSeq: number; lastSeq: number }>;
  /** Removes the partition's messages with `seq < beforeSeq`. Never called for its last one. */
  trim(partition: number, beforeSeq: number): Promise<void>;
}

export interface Follower {
  stop(): Promise<void>;
}
