/** Names of Troupe's streams and subjects in NATS, and the way back. Pure. */

import type { RecordName } from "../records.ts";
import { fromToken, toToken } from "../token.ts";

export const REGISTRY_BUCKET = "TROUPE_REGISTRY";
export const REGISTRY_STREAM = `KV_${REGISTRY_BUCKET}`;
export const BLOB_BUCKET = "TROUPE_BLOBS";
export const BLOB_STREAM = `OBJ_${BLOB_BUCKET}`;

export const journalStream = (stream: number) => `TROUPE_JOURNAL_${stream}`;
export const stateStream = (stream: number) => `TROUPE_STATE_${stream}`;
export const journalSubject = (stream: number, partition: number) => `journal.${stream}.${partition}`;
export const registrySubject = (key: string) => `$KV.${REGISTRY_BUCKET}.${key}`;

/** `state.<stream>.<partition>` and the escaped tokens of the name. */
export function stateSubject(stream: number, partition: number, name: RecordName): string {
  let subject = `state.${stream}.${partition}`;
  for (const token of name) subject += `.${toToken(token)}`;
  return subject;
}

/** The name in a state subject that starts with `prefix` (`state.<stream>.<partition>.`). */
export function recordName(subject: string, prefix: string): RecordName {
  return subject.slice(prefix.length).split(".").map(fromToken);
}
