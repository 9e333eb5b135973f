/**
 * Checks a partition's journal, message after message: what each says of itself and how it follows the
 * ones before. Keeps what the other checks need (checksums by number, and the tail from the floor on).
 * Reads nothing itself.
 */
import type { Codec } from "../../bus/codec.ts";
import type { JournalMessage } from "../../bus/journal.ts";
import { decodeGroup, type Group } from "../group.ts";
import type { Problems } from "./report.ts";

export type PlacedGroup = Group & { readonly checksum: string; readonly seq: number };

/** Where a partition stands in its channels: all of it only ever grows. */
export class Positions {
  /** By other partition: last letter sent, last acknowledged, last applied. */
  readonly sent = new Map<number, number>();
  readonly acked = new Map<number, number>();
  readonly applied = new Map<number, number>();

  take(group: { readonly body: Pick<Group["body"], "mail" | "acked" | "cursors"> }): void {
    for (const [to, number] of group.body.mail) raise(this.sent, to, number);
    for (const [to, number] of group.body.acked) raise(this.acked, to, number);
    for (const [from, number] of group.body.cursors) raise(this.applied, from, number);
  }

  takeFrom(other: Positions): void {
    for (const [to, number] of other.sent) raise(this.sent, to, number);
    for (const [to, number] of other.acked) raise(this.acked, to, number);
    for (const [from, number] of other.applied) raise(this.applied, from, number);
  }

  takeRecord(out: readonly (readonly [number, number, number])[], cursors: readonly (readonly [number, number])[]) {
    for (const [to, last, acked] of out) {
      raise(this.sent, to, last);
      raise(this.acked, to, acked);
    }
    for (const [from, number] of cursors) raise(this.applied, from, number);
  }
}

function raise(map: Map<number, number>, key: number, value: number): void {
  if (value > (map.get(key) ?? 0)) map.set(key, value);
}

export class JournalCheck {
  /** Checksums by number of all groups read. */
  readonly checksums = new Map<number, string>();
  /** Groups from the floor on, in order: what a take-over would read. */
  readonly tail: PlacedGroup[] = [];
  readonly positions = new Positions();
  /** Last step of each actor, and last event of each root, before the floor: the records have at least these. */
  readonly flushedSteps = new Map<string, number>();
  readonly flushedEvents = new Map<string, number>();
  groups = 0;
  bytes = 0;
  firstNumber = 0;
  last: PlacedGroup | undefined;
  /** True once a message could not be read: what follows it cannot be chained to it. */
  #torn = false;
  #epoch = 0;
  readonly #codec: Codec;
  readonly #partition: number;
  readonly #floor: number;
  readonly #problems: Problems;
  readonly #steps = new Map<string, number>();
  readonly #events = new Map<string, number>();
  readonly #letters = new Map<number, number>();

  constructor(codec: Codec, partition: number, floor: number, problems: Problems) {
    this.#codec = codec;
    this.#partition = partition;
    this.#floor = floor;
    this.#problems = problems;
  }

  /** `horizon`: as the journal's end says now; a hole before it is no fault, the owner may trim there. */
  take(message: JournalMessage, horizon: number): void {
    const place = `journal ${message.seq}`;
    this.groups++;
    this.bytes += message.bytes.length;
    let group: PlacedGroup;
    try {
      group = Object.assign(decodeGroup(this.#codec, message.bytes), { seq: message.seq });
    } catch (error) {
      this.#problems.caught(place, error);
      this.#torn = true;
      return;
    }
    if (group.partition !== this.#partition) {
      this.#problems.add(place, "contradiction", `The group belongs to partition ${group.partition}.`);
      return;
    }
    if (this.#follows(group, place, horizon)) this.#checkContent(group, place);
    if (this.firstNumber === 0) this.firstNumber = group.number;
    this.last = group;
    this.#torn = false;
    this.checksums.set(group.number, group.checksum);
    this.positions.take(group);
    if (group.seq >= this.#floor) this.tail.push(group);
    else this.#takeFlushed(group);
  }

  #takeFlushed(group: PlacedGroup): void {
    for (const { type, key, step } of group.body.actors) this.flushedSteps.set(`${type}/${key}`, step);
    for (const { root, no } of group.events) this.flushedEvents.set(root, no);
  }

  /** False when the numbers of steps, events and letters cannot be compared with those before. */
  #follows(group: PlacedGroup, place: string, horizon: number): boolean {
    const { last } = this;
    const { prevSeq, prevChecksum } = group.body;
    if (last === undefined && !this.#torn) {
      if (prevSeq < Math.max(1, horizon)) return true;
      this.#problems.add(
        place,
        "missing",
        `The group before (at ${prevSeq}) is not there; nothing from ${horizon} on may be.`,
      );
      return true;
    }
    const linked =
      last !== undefined && group.number === last.number + 1 && prevSeq === last.seq && prevChecksum === last.checksum;
    if (linked) return true;
    this.#forget();
    if (prevSeq < horizon && (last === undefined || last.seq < prevSeq)) return true;
    // The damaged message itself is named already; the group behind it only must claim to follow it.
    if (this.#torn && (last === undefined || group.number === last.number + 2)) return true;
    const before = last === undefined ? "nothing readable" : `group ${last.number} at ${last.seq}`;
    this.#problems.add(
      place,
      "broken_chain",
      `Group ${group.number} follows group ${group.number - 1} at ${prevSeq}, but before it is ${before}: a message is missing, was changed, or was put here.`,
    );
    return true;
  }

  /** After a hole, numbers begin anew. */
  #forget(): void {
    this.#steps.clear();
    this.#events.clear();
    this.#letters.clear();
    this.#epoch = 0;
  }

  #checkContent(group: PlacedGroup, place: string): void {
    const { body, horizon, seq } = group;
    const say = (message: string) => this.#problems.add(place, "contradiction", message);
    if (body.floor > seq) say(`Its floor ${body.floor} is behind itself.`);
    if (horizon > Math.max(body.floor, 0)) say(`Its horizon ${horizon} is over its floor ${body.floor}.`);
    if (this.last !== undefined && this.last.number + 1 === group.number) {
      if (group.time < this.last.time)
        say(`Its time ${group.time} is before that of the group before, ${this.last.time}.`);
      if (body.floor < this.last.body.floor) say(`The floor goes back from ${this.last.body.floor} to ${body.floor}.`);
    }
    if (body.owner !== null) this.#epoch = seq;
    else if (this.#epoch > 0 && body.epoch !== this.#epoch)
      say(`It was made under epoch ${body.epoch}, but the epoch is ${this.#epoch}.`);
    this.#checkNumbers(group, place);
  }

  #checkNumbers(group: PlacedGroup, place: string): void {
    const broken = (message: string) => this.#problems.add(place, "broken_chain", message);
    for (const change of group.body.actors) {
      const name = `${change.type}/${change.key}`;
      const before = this.#steps.get(name);
      if (before !== undefined && change.since !== before)
        broken(`${name} goes on from step ${change.since}; it was at step ${before}.`);
      this.#steps.set(name, change.step);
    }
    for (const event of group.events) {
      const before = this.#events.get(event.root);
      if (before !== undefined && event.no !== before + 1)
        broken(`Event ${event.no} of ${event.root} follows event ${before}.`);
      this.#events.set(event.root, event.no);
    }
    for (const [to, number] of group.body.mail) {
      const before = this.#letters.get(to);
      if (before !== undefined && number !== before + 1)
        broken(`Letter ${number} to partition ${to} follows letter ${before}.`);
      this.#letters.set(to, number);
    }
  }
}
