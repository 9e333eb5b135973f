/**
 * Owns the order of waiting work: higher priority first, then order of arrival. Every operation
 * takes constant time (amortised), so 100,000 waiting entries do not slow the next. Knows no work.
 */
const priorityMin = 1;
const priorityMax = 10;
/** A bucket's taken head is cut off when it is longer than this and than the rest. */
const headMax = 1_024;

/** A place in the queue; give it to `remove`. */
export interface Ticket<T> {
  item: T | undefined;
  /** Its turn among those of its priority. */
  readonly order: number;
}

interface Bucket<T> {
  tickets: Ticket<T>[];
  head: number;
}

export class WaitingQueue<T> {
  readonly #buckets: Bucket<T>[] = Array.from({ length: priorityMax + 1 }, () => ({ tickets: [], head: 0 }));
  #size = 0;
  #orders = 0;
  #ordersBefore = 0;

  get size(): number {
    return this.#size;
  }

  /** `priority` 1–10 (10 first); others count as the nearest. `order`: its age beside others' queues. */
  push(item: T, priority: number, order = ++this.#orders): Ticket<T> {
    const ticket: Ticket<T> = { item, order };
    this.#bucket(priority).tickets.push(ticket);
    this.#size++;
    return ticket;
  }

  /** Before all others of its priority: it was taken out and could not be used. */
  unshift(item: T, priority: number, order = --this.#ordersBefore): Ticket<T> {
    const ticket: Ticket<T> = { item, order };
    const bucket = this.#bucket(priority);
    if (bucket.head > 0) bucket.tickets[--bucket.head] = ticket;
    else bucket.tickets.unshift(ticket);
    this.#size++;
    return ticket;
  }

  /** Priority and age of the first in order. */
  peek(): { readonly priority: number; readonly order: number } | undefined {
    for (let at = priorityMax; this.#size > 0 && at >= priorityMin; at--) {
      const bucket = this.#buckets[at] as Bucket<T>;
      while (bucket.head < bucket.tickets.length && bucket.tickets[bucket.head]?.item === undefined) bucket.head++;
      const ticket = bucket.tickets[bucket.head];
      if (ticket !== undefined) return { priority: at, order: ticket.order };
    }
    return undefined;
  }

  #bucket(priority: number): Bucket<T> {
    const at = Math.min(priorityMax, Math.max(priorityMin, Math.round(priority) || priorityMin));
    return this.#buckets[at] as Bucket<T>;
  }

  /** The first in order, taken out. */
  shift(): T | undefined {
    for (let at = priorityMax; this.#size > 0 && at >= priorityMin; at--) {
      const item = this.#shiftFrom(this.#buckets[at] as Bucket<T>);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  /** Takes the ticket's item out; false when it is no longer in. */
  remove(ticket: Ticket<T>): boolean {
    if (ticket.item === undefined) return false;
    ticket.item = undefined; // The empty ticket is skipped when its turn comes.
    this.#size--;
    return true;
  }

  #shiftFrom(bucket: Bucket<T>): T | undefined {
    while (bucket.head < bucket.tickets.length) {
      const ticket = bucket.tickets[bucket.head++] as Ticket<T>;
      if (bucket.head > headMax && bucket.head * 2 > bucket.tickets.length) {
        bucket.tickets = bucket.tickets.slice(bucket.head);
        bucket.head = 0;
      }
      const { item } = ticket;
      if (item === undefined) continue;
      ticket.item = undefined;
      this.#size--;
      return item;
    }
    bucket.tickets = [];
    bucket.head = 0;
    return undefined;
  }
}
