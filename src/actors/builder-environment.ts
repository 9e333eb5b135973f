/** What a group's builder is given by the partition's loop. Shapes only. */
import type { Address } from "../machines/address.ts";
import type { Command } from "../machines/effects.ts";
import type { Entry } from "./entry.ts";
import type { Item } from "./inbox.ts";
import type { Logger } from "./limits.ts";
import type { PartitionState } from "./state.ts";

export interface BuilderEnvironment {
  readonly state: PartitionState;
  readonly boot: string;
  readonly now: number;
  readonly logger: Logger;
  /** Largest group, bytes. */
  readonly bytesMax: number;
  readonly stepsMax: number;
  /** Asks, letters and reminders in one group at most; what they send within the partition comes on top. */
  readonly headsMax: number;
  /** A command whose change no commit can hold: it becomes a dead letter. */
  readonly oversize: Command | undefined;
  partitionOf(root: string): number;
  /** The actor, if it is in memory or certainly does not exist (then a new, empty entry); otherwise undefined. */
  resident(address: Address): Entry | undefined;
  /** Keeps the item until the actor is loaded. */
  park(item: Item): void;
  /** Begins loading for a letter at the head of a channel. */
  prefetch(address: Address): void;
}
