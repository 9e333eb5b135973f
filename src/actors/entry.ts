/**
 * An actor in memory: its committed state and what the flush needs to know of it. Only the
 * partition's loop changes it, and only after a commit (or while it loads).
 */
import type { Address } from "../machines/address.ts";
import type { Snapshot } from "../machines/definition.ts";
import type { PendingWork, Reminder } from "./group.ts";
import type { Stepper } from "./step.ts";

export class Entry {
  readonly address: Address;
  readonly stepper: Stepper;
  /** null: the actor does not exist (yet). */
  snapshot: Snapshot | null = null;
  step = 0;
  reminders: Map<string, Reminder> | undefined;
  work: Map<string, PendingWork> | undefined;
  /** Sequence of the first group that changed it since its record was written; 0: clean. */
  dirtySince = 0;
  /** The same, for changes made while a flush of this entry is under way. */
  dirtyAgain = 0;
  flushing = false;
  /** Sequence of its state record; 0: none known. */
  recordSeq = 0;
  /** Partition's group number of the last use; what is long unused is passivated. */
  usedAt = 0;

  constructor(address: Address, stepper: Stepper) {
    this.address = address;
    this.stepper = stepper;
  }

  /** Marks the change made by the group stored at `seq`. */
  touch(seq: number): void {
    if (this.flushing) {
      if (this.dirtyAgain === 0) this.dirtyAgain = seq;
    } else if (this.dirtySince === 0) {
      this.dirtySince = seq;
    }
  }

  get idle(): boolean {
    return this.dirtySince === 0 && !this.flushing;
  }
}

/** An actor's state while a group is being made: becomes the entry's when the group is stored, else is dropped. */
export interface Draft {
  readonly entry: Entry;
  snapshot: Snapshot;
  step: number;
  reminders: Map<string, Reminder | null> | undefined;
  work: Map<string, PendingWork | null> | undefined;
}

export function draftOf(entry: Entry): Draft {
  return {
    entry,
    snapshot: entry.snapshot ?? entry.stepper.initial,
    step: entry.step,
    reminders: undefined,
    work: undefined,
  };
}

/** The reminder as the draft sees it. */
export function draftReminder(draft: Draft, name: string): Reminder | undefined {
  const own = draft.reminders?.get(name);
  if (own !== undefined) return own ?? undefined;
  return draft.entry.reminders?.get(name);
}

/** The work as the draft sees it. */
export function draftWork(draft: Draft, id: string): PendingWork | undefined {
  const own = draft.work?.get(id);
  if (own !== undefined) return own ?? undefined;
  return draft.entry.work?.get(id);
}
