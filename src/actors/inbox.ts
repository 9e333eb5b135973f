/**
 * What waits for a partition: asks, letters of other partitions, due reminders, and the runtime's
 * own commands. Owns the queues and their bounds, not their meaning.
 */
import type { Address } from "../machines/address.ts";
import type { Command } from "../machines/effects.ts";
import type { TroupeError } from "../machines/errors.ts";
import type { AskId } from "./askers.ts";
import type { NumberedLetter } from "./channels.ts";
import type { Answer } from "./client.ts";
import type { DueReminder } from "./reminders.ts";

export interface AskItem {
  readonly kind: "ask";
  readonly id: AskId;
  readonly address: Address;
  readonly command: Command;
  /** Partition time after which the ask is refused, ms. */
  readonly until: number;
  readonly answer: (answer: Answer) => void;
  readonly fail: (error: TroupeError) => void;
}

export interface ReminderItem {
  readonly kind: "reminder";
  readonly address: Address;
  readonly due: DueReminder;
}

/** A command of the runtime itself (`work.lose`): no asker, no channel. */
export interface OwnItem {
  readonly kind: "own";
  readonly address: Address;
  readonly command: Command;
}

export type Item = AskItem | ReminderItem | OwnItem;

/** Letters of one channel in their order; `wake` tells the sender that the cursor moved. */
export interface Incoming {
  letters: NumberedLetter[];
  wake: (() => void)[];
}

export class Inbox {
  #items: Item[] = [];
  #head = 0;
  readonly incoming = new Map<number, Incoming>();

  get size(): number {
    return this.#items.length - this.#head;
  }

  push(item: Item): void {
    this.#items.push(item);
  }

  /** Back to the front, in this order (after an actor was loaded, or a group was not stored). */
  unshift(items: readonly Item[]): void {
    if (items.length === 0) return;
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  shift(): Item | undefined {
    if (this.#head >= this.#items.length) return undefined;
    const item = this.#items[this.#head] as Item;
    this.#items[this.#head++] = undefined as never;
    if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  channel(from: number): Incoming {
    let channel = this.incoming.get(from);
    if (channel === undefined) {
      channel = { letters: [], wake: [] };
      this.incoming.set(from, channel);
    }
    return channel;
  }

  get letters(): boolean {
    for (const channel of this.incoming.values()) if (channel.letters.length > 0) return true;
    return false;
  }

  /** Everything that waits, taken out (when the partition is lost). */
  clear(): Item[] {
    const items = this.#items.slice(this.#head);
    this.#items = [];
    this.#head = 0;
    for (const channel of this.incoming.values()) {
      channel.letters = [];
      for (const wake of channel.wake.splice(0)) wake();
    }
    return items;
  }
}
