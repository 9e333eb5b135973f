/**
 * The latest journal messages as followers of events need them: many who come back at once read them from here
 * instead of each from the journal. Bounded; owns no order and no claim to be complete.
 */
import { LRUCache } from "lru-cache";
import type { StoredEvent } from "./client.ts";

/** A journal message's events, with their subjects taken apart. */
export interface Announced {
  readonly seq: number;
  readonly events: readonly {
    readonly event: StoredEvent;
    readonly subject: string;
    readonly tokens: readonly string[];
  }[];
}

const messagesMax = 20_000;
/** Of the messages as they were stored; their events are a part of that. */
const bytesMax = 64 * 1024 * 1024;

export class RecentMessages {
  readonly #kept = new LRUCache<string, Announced>({ max: messagesMax, maxSize: bytesMax });

  get(stream: number, seq: number): Announced | undefined {
    return this.#kept.get(`${stream}.${seq}`);
  }

  keep(stream: number, message: Announced, bytes: number): void {
    this.#kept.set(`${stream}.${message.seq}`, message, { size: Math.max(1, bytes) });
  }
}
