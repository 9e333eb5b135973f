/**
 * The stored events of the roots of one partition: numbering, what is in memory, and pages. A page holds 64
 * events; full pages are written once, the head record carries the number of the last event and
 * the events of the page that is not full yet. The pages are written before the head that counts them.
 */
import type { StoredEvent } from "./client.ts";

export const pageEvents = 64;

export class History {
  readonly root: string;
  /** Number of the last event of the root. */
  last = 0;
  /** Events in memory, ascending and without holes up to `last`; those before it are in pages. */
  recent: StoredEvent[] = [];
  /** Full pages written so far. */
  pages = 0;
  dirtySince = 0;
  dirtyAgain = 0;
  flushing = false;
  recordSeq = 0;
  usedAt = 0;

  constructor(root: string) {
    this.root = root;
  }

  /** Takes events of a stored group; those that are known already (from a record that was ahead) are passed over. */
  append(events: readonly StoredEvent[], seq: number): void {
    for (const event of events) {
      if (event.no <= this.last) continue;
      if (event.no !== this.last + 1)
        throw new Error(`history of ${this.root}: event ${event.no} follows ${this.last}`);
      this.last = event.no;
      this.recent.push(event);
    }
    if (this.flushing) {
      if (this.dirtyAgain === 0) this.dirtyAgain = seq;
    } else if (this.dirtySince === 0) {
      this.dirtySince = seq;
    }
  }

  /** True when memory holds all events that are not in full pages. */
  get whole(): boolean {
    return (
      this.last === this.pages * pageEvents || (this.recent[0]?.no ?? this.last + 1) <= this.pages * pageEvents + 1
    );
  }

  /** Drops from memory what the pages hold. */
  trimRecent(): void {
    const paged = this.pages * pageEvents;
    const first = this.recent[0];
    if (first !== undefined && first.no <= paged) this.recent = this.recent.slice(paged - first.no + 1);
  }
}

/** An event in a page or a head: the root is the record's. */
export type PackedEvent = readonly [
  no: number,
  type: string,
  key: string,
  kind: string,
  name: string,
  at: number,
  data: unknown,
];

export function packEvent(e: StoredEvent): PackedEvent {
  return [e.no, e.type, e.key, e.kind, e.name, e.at, e.data];
}

export function unpackEvent(root: string, e: PackedEvent): StoredEvent {
  return { root, no: e[0], type: e[1], key: e[2], kind: e[3], name: e[4], at: e[5], data: e[6] as StoredEvent["data"] };
}
