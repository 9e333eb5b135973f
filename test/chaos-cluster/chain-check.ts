/**
 * Judges a partition's journal message by message: an unbroken chain, one owner at each sequence, every actor's steps and
 * every root's events without a hole. Knows the form of groups; what the events say is the tally check's.
 */

import type { StoredEvent } from "../../src/actors/client.ts";
import { decodeGroup, type Group } from "../../src/actors/group.ts";
import { type Codec, CodecError } from "../../src/bus/codec.ts";
import { Digest } from "./digest.ts";

type Placed = Group & { readonly checksum: string; readonly seq: number };

/** What was found wrong, by what it is. */
export interface Findings {
  readonly chain: string[];
  readonly owners: string[];
}

export class ChainCheck {
  readonly findings: Findings = { chain: [], owners: [] };
  /** Last number and digest of each root's events. */
  readonly roots = new Map<string, { last: number; readonly digest: Digest }>();
  groups = 0;
  bytes = 0;
  /** Times that the partition got a new owner. */
  owners = 0;
  readonly #steps = new Map<string, number>();
  #last: Placed | undefined;
  #epoch = 0;

  constructor(
    readonly partition: number,
    private readonly codec: Codec,
    private readonly onEvent: (event: StoredEvent) => void,
    /** Roots whose digests are wanted. */
    private readonly digests: (root: string) => boolean,
  ) {}

  take(seq: number, bytes: Uint8Array): void {
    this.groups++;
    this.bytes += bytes.length;
    let group: Placed;
    try {
      group = Object.assign(decodeGroup(this.codec, bytes), { seq });
    } catch (error) {
      if (!(error instanceof CodecError)) throw error;
      this.findings.chain.push(`partition ${this.partition}, ${seq}: ${error.message}`);
      return;
    }
    this.#checkChain(group);
    this.#checkOwner(group);
    for (const { type, key, since, step } of group.body.actors) {
      const name = `${type}/${key}`;
      const before = this.#steps.get(name) ?? 0;
      if (since !== before) this.#broken(group, `${name} goes on from step ${since}, it was at ${before}`);
      this.#steps.set(name, step);
    }
    for (const event of group.events) this.#takeEvent(group, event);
    this.#last = group;
  }

  #checkChain(group: Placed): void {
    const { number, seq, checksum } = this.#last ?? { number: 0, seq: 0, checksum: "" };
    const { prevSeq, prevChecksum } = group.body;
    if (group.partition !== this.partition) this.#broken(group, `it belongs to partition ${group.partition}`);
    if (group.number === number + 1 && prevSeq === seq && prevChecksum === checksum) return;
    this.#broken(group, `group ${group.number} after ${prevSeq} does not follow group ${number} at ${seq}`);
  }

  /** An epoch entry begins an ownership; from there on only its groups may stand in the journal. */
  #checkOwner(group: Placed): void {
    if (group.body.owner !== null) {
      this.owners++;
      this.#epoch = group.seq;
    } else if (group.body.epoch !== this.#epoch) {
      this.findings.owners.push(
        `partition ${this.partition}, ${group.seq}: a group of epoch ${group.body.epoch} in epoch ${this.#epoch}`,
      );
    }
  }

  #takeEvent(group: Placed, event: StoredEvent): void {
    let root = this.roots.get(event.root);
    if (root === undefined) {
      root = { last: 0, digest: new Digest() };
      this.roots.set(event.root, root);
    }
    if (event.no !== root.last + 1) this.#broken(group, `event ${event.no} of ${event.root} after ${root.last}`);
    root.last = event.no;
    if (this.digests(event.root)) root.digest.add(event.no, event.name, event.data);
    this.onEvent(event);
  }

  #broken({ seq }: Placed, what: string): void {
    this.findings.chain.push(`partition ${this.partition}, ${seq}: ${what}`);
  }
}
