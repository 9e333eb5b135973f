/**
 * Mail between partitions. Owns, for one partition, the numbered letters that it has sent and that
 * are not yet acknowledged, and the cursor of each channel that it receives. Numbers are given in
 * the commit that holds the letter; applying a letter and moving the cursor are one commit of the
 * receiver. So each letter is applied once and in order, whatever is lost or repeated in between.
 */
import type { Letter } from "./group.ts";
import { roughBytes } from "./size.ts";

interface Outbox {
  /** Number of the last letter ever given out. */
  last: number;
  /** All up to here are acknowledged. */
  acked: number;
  /** acked+1 … last, in order. */
  letters: { readonly letter: Letter; readonly seq: number; readonly at?: number }[];
  /** Letters handed to the transport and not answered. */
  inFlight: boolean;
  /** Acknowledged since the last group, to be written with the next. */
  ackDirty: boolean;
}

export interface NumberedLetter {
  readonly number: number;
  readonly letter: Letter;
  /** Partition time of the commit that holds it, ms; unknown after a take-over. */
  readonly at?: number | undefined;
}

export class Channels {
  readonly #out = new Map<number, Outbox>();
  readonly #cursors = new Map<number, number>();
  readonly backlogMax: number;

  constructor(backlogMax: number) {
    this.backlogMax = backlogMax;
  }

  /** The number that the next letter to this partition gets, with `drafted` already in the group. */
  nextNumber(to: number, drafted: number): number {
    return (this.#out.get(to)?.last ?? 0) + drafted + 1;
  }

  /** Letters waiting for an acknowledgement. */
  backlog(to: number): number {
    return this.#out.get(to)?.letters.length ?? 0;
  }

  /** The same, over all channels. */
  get backlogTotal(): number {
    let total = 0;
    for (const box of this.#out.values()) total += box.letters.length;
    return total;
  }

  cursor(from: number): number {
    return this.#cursors.get(from) ?? 0;
  }

  /** The group that holds these letters is stored at `seq`, at this time. */
  sent(mail: readonly (readonly [number, number, Letter])[], seq: number, at?: number): void {
    for (const [to, number, letter] of mail) {
      const box = this.#box(to);
      if (number !== box.last + 1) throw new Error(`channel to ${to}: letter ${number} follows ${box.last}`);
      box.last = number;
      box.letters.push(at === undefined ? { letter, seq } : { letter, seq, at });
    }
  }

  /**
   * The receiver has applied all up to `number`. Returns the sequence of the oldest group whose letter is dropped
   * (0: none): the journal must be kept from there until the partition's own record knows of it.
   */
  acknowledge(to: number, number: number): number {
    const box = this.#box(to);
    if (number <= box.acked) return 0;
    if (number > box.last) throw new Error(`channel to ${to}: ${number} acknowledged, ${box.last} sent`);
    const dropped = box.letters.splice(0, number - box.acked);
    box.acked = number;
    box.ackDirty = true;
    return dropped[0]?.seq ?? 0;
  }

  moved(cursors: readonly (readonly [number, number])[]): void {
    for (const [from, number] of cursors) this.#cursors.set(from, number);
  }

  /** From the partition's record; the letters above `acked` follow by `replay`. */
  restoreOut(to: number, last: number, acked: number): void {
    const box = this.#box(to);
    box.last = last;
    box.acked = acked;
  }

  /**
   * Takes what a group of the journal's tail (stored at `seq`) says; what is known already is passed over. Returns, as
   * `acknowledge` does, from where the journal must be kept.
   */
  replay(
    mail: readonly (readonly [number, number, Letter])[],
    acked: readonly (readonly [number, number])[],
    seq: number,
  ): number {
    let oldest = 0;
    for (const [to, number, letter] of mail) {
      const box = this.#box(to);
      if (number <= box.acked) continue;
      const expected = box.acked + box.letters.length + 1;
      if (number !== expected) throw new Error(`channel to ${to}: letter ${number} where ${expected} was expected`);
      box.letters.push({ letter, seq });
      box.last = Math.max(box.last, number);
    }
    for (const [to, number] of acked) {
      const box = this.#box(to);
      if (number <= box.acked) continue;
      const dropped = box.letters.splice(0, number - box.acked)[0]?.seq ?? 0;
      if (dropped > 0 && (oldest === 0 || dropped < oldest)) oldest = dropped;
      box.acked = number;
    }
    return oldest;
  }

  /** Acknowledgements to write with the next group; clears the list. */
  takeAcked(): [number, number][] {
    const changes: [number, number][] = [];
    for (const [to, box] of this.#out) {
      if (!box.ackDirty) continue;
      box.ackDirty = false;
      changes.push([to, box.acked]);
    }
    return changes;
  }

  /**
   * Up to `max` letters to send now, of roughly `bytesMax` together (but one at least); none while others of that
   * channel are in flight.
   */
  take(to: number, max: number, bytesMax: number): NumberedLetter[] {
    const box = this.#out.get(to);
    if (box === undefined || box.inFlight || box.letters.length === 0) return [];
    box.inFlight = true;
    const taken: NumberedLetter[] = [];
    let bytes = 0;
    for (const { letter, at } of box.letters) {
      bytes += roughBytes(letter.command) + 256;
      if (taken.length >= max || (taken.length > 0 && bytes > bytesMax)) break;
      taken.push({ number: box.acked + 1 + taken.length, letter, at });
    }
    return taken;
  }

  landed(to: number): void {
    const box = this.#out.get(to);
    if (box !== undefined) box.inFlight = false;
  }

  /** Partitions with letters that wait. */
  waiting(): number[] {
    const list: number[] = [];
    for (const [to, box] of this.#out) if (!box.inFlight && box.letters.length > 0) list.push(to);
    return list;
  }

  /** Sequence of the oldest group that holds an unacknowledged letter; 0: none. It holds the floor back. */
  oldestSeq(): number {
    let oldest = 0;
    for (const box of this.#out.values()) {
      const first = box.letters[0];
      if (first !== undefined && (oldest === 0 || first.seq < oldest)) oldest = first.seq;
    }
    return oldest;
  }

  /** For the partition's own record: [to, last, acked] and [from, cursor]. */
  dump(): { out: [number, number, number][]; cursors: [number, number][] } {
    return {
      out: [...this.#out].map(([to, box]) => [to, box.last, box.acked]),
      cursors: [...this.#cursors],
    };
  }

  #box(to: number): Outbox {
    let box = this.#out.get(to);
    if (box === undefined) {
      box = { last: 0, acked: 0, letters: [], inFlight: false, ackDirty: false };
      this.#out.set(to, box);
    }
    return box;
  }
}
