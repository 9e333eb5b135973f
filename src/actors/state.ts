/**
 * What the owner of a partition holds in memory: committed actors, histories, channels, askers,
 * the index, and the position in the journal. It changes only by a stored group.
 */
import type { Address } from "../machines/address.ts";
import { formatAddress } from "../machines/address.ts";
import type { ActorDefinition } from "../machines/definition.ts";
import { Askers } from "./askers.ts";
import { Channels } from "./channels.ts";
import type { Draft, Entry } from "./entry.ts";
import type { Group } from "./group.ts";
import { History } from "./histories.ts";
import { limits } from "./limits.ts";
import { Listing } from "./listing.ts";
import type { Stepper } from "./step.ts";

export class PartitionState {
  readonly partition: number;
  readonly steppers: ReadonlyMap<string, Stepper>;
  readonly entries = new Map<string, Entry>();
  readonly histories = new Map<string, History>();
  readonly channels = new Channels(limits.channelBacklogMax);
  readonly askers = new Askers();
  readonly listing = new Listing();
  readonly dirtyEntries = new Set<Entry>();
  readonly dirtyHistories = new Set<History>();
  /** Entries that left memory so far. */
  removals = 0;
  /** True once every record has been seen: what is not in the listing does not exist. */
  complete = false;

  /** Number, sequence and checksum of the last stored group. */
  number = 0;
  seq = 0;
  checksum = "";
  epoch = 0;
  /** Partition time of the last group, ms. */
  time = 0;
  /** Committed floor and horizon. */
  floor = 0;
  horizon = 0;
  /** Highest sequence of the state stream that a flush of this owner reached. */
  recordsSeq = 0;
  /** Sequence of the first group whose change of channels or askers is not in the partition's own record. */
  metaDirtySince = 0;
  metaRecordSeq = 0;

  constructor(partition: number, steppers: ReadonlyMap<string, Stepper>) {
    this.partition = partition;
    this.steppers = steppers;
  }

  stepper(type: string): Stepper | undefined {
    return this.steppers.get(type);
  }

  definition(type: string): ActorDefinition | undefined {
    return this.steppers.get(type)?.definition;
  }

  history(root: string): History {
    let history = this.histories.get(root);
    if (history === undefined) {
      history = new History(root);
      this.histories.set(root, history);
    }
    return history;
  }

  /** Makes the drafts of a stored group the committed state. */
  commit(group: Group, seq: number, checksum: string, drafts: Iterable<Draft>): void {
    this.position(group, seq, checksum);
    for (const draft of drafts) this.#commitDraft(draft, seq);
    for (const [root, events] of groupByRoot(group)) {
      const history = this.history(root);
      history.append(events, seq);
      history.usedAt = this.number;
      this.dirtyHistories.add(history);
    }
    const { mail, cursors, acked, askers } = group.body;
    this.channels.sent(mail, seq, group.time);
    this.channels.moved(cursors);
    this.askers.apply(askers);
    if (mail.length + cursors.length + acked.length + askers.length > 0) this.touchMeta(seq);
  }

  position(group: Group, seq: number, checksum: string): void {
    this.number = group.number;
    this.seq = seq;
    this.checksum = checksum;
    this.time = Math.max(this.time, group.time);
    this.floor = group.body.floor;
    this.horizon = group.horizon;
  }

  /** The partition's own record lacks something since the group at `seq` (0: nothing). */
  touchMeta(seq: number): void {
    if (seq > 0 && (this.metaDirtySince === 0 || seq < this.metaDirtySince)) this.metaDirtySince = seq;
  }

  #commitDraft(draft: Draft, seq: number): void {
    const { entry } = draft;
    entry.snapshot = draft.snapshot;
    entry.step = draft.step;
    if (draft.reminders !== undefined) entry.reminders = merged(entry.reminders, draft.reminders);
    if (draft.work !== undefined) entry.work = merged(entry.work, draft.work);
    entry.touch(seq);
    entry.usedAt = this.number;
    this.dirtyEntries.add(entry);
    this.list(entry);
  }

  /** Puts the entry's row into the index. */
  list(entry: Entry): void {
    const { snapshot, stepper, address } = entry;
    if (snapshot === null) return;
    this.listing.set(formatAddress(address), address, stepper.definition.index?.(snapshot as never) ?? null);
  }

  /** True when the actor certainly does not exist: no record and no entry. */
  absent(address: Address): boolean {
    return this.complete && !this.listing.has(formatAddress(address));
  }
}

function merged<V>(own: Map<string, V> | undefined, changes: Map<string, V | null>): Map<string, V> | undefined {
  const next = own ?? new Map<string, V>();
  for (const [name, value] of changes) {
    if (value === null) next.delete(name);
    else next.set(name, value);
  }
  return next.size === 0 ? undefined : next;
}

/** A group's events by root, in order. */
export function groupByRoot(group: Pick<Group, "events">): Map<string, Group["events"][number][]> {
  const byRoot = new Map<string, Group["events"][number][]>();
  for (const event of group.events) {
    const list = byRoot.get(event.root);
    if (list === undefined) byRoot.set(event.root, [event]);
    else list.push(event);
  }
  return byRoot;
}
