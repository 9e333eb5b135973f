/**
 * Owns who waits for whom: waiting work in one queue per need, workers beside the queues that they can serve.
 * Finding the next costs as many looks as a worker has kinds of waiting work, however much of it waits. Knows
 * neither what the work is nor how a worker is told.
 */
import type { Amounts } from "../../machines/schema.ts";
import { type Ticket, WaitingQueue } from "../executors/queue.ts";
import { type Able, canDo, type Need, needKey } from "./need.ts";

export interface Worker extends Able {
  /** Attempts that it can take now, as far as known. */
  readonly free: number;
  /** Whether it has room for what the work holds of its own, beside a free slot. */
  hasRoom(need: Need): boolean;
  /** A unit that it declares is its own business; others come from resources. */
  declares(unit: string): boolean;
  /** Of several that could, the one with the lowest load begins. */
  load(): number;
  /** It takes only what no other worker, however far, is there for. */
  readonly fallback: boolean;
}

/** Who is asked first; a higher one only where nobody lower could ever do it. Other nodes have work of their own. */
function rankOf({ distance, fallback }: Worker): number {
  return (distance < 2 ? 0 : 1) + (fallback ? 2 : 0);
}

/** What is waited with. */
export interface Waiter {
  readonly need: Need;
  readonly priority: number;
}

export interface Pool<J extends Waiter, W extends Worker> {
  readonly key: string;
  readonly need: Need;
  readonly queue: WaitingQueue<J>;
  readonly workers: Set<W>;
}

export interface Place<J extends Waiter, W extends Worker> {
  readonly pool: Pool<J, W>;
  readonly ticket: Ticket<J>;
}

export class Pools<J extends Waiter, W extends Worker> {
  readonly #pools = new Map<string, Pool<J, W>>();
  readonly #workers = new Map<string, W>();
  readonly #of = new Map<W, Set<Pool<J, W>>>();
  readonly #supplied: (amounts: Amounts) => boolean;
  #order = 0;

  /** `supplied`: whether resources have room for amounts that a worker does not declare. */
  constructor(supplied: (amounts: Amounts) => boolean = () => false) {
    this.#supplied = supplied;
  }

  get waiting(): number {
    let sum = 0;
    for (const { queue } of this.#pools.values()) sum += queue.size;
    return sum;
  }

  pools(): IterableIterator<Pool<J, W>> {
    return this.#pools.values();
  }

  worker(id: string): W | undefined {
    return this.#workers.get(id);
  }

  workers(): IterableIterator<W> {
    return this.#workers.values();
  }

  /** Adds one; another of the same id leaves. */
  add(worker: W): void {
    const former = this.#workers.get(worker.id);
    if (former !== undefined) this.remove(former);
    this.#workers.set(worker.id, worker);
    this.#of.set(worker, new Set());
    for (const pool of this.#pools.values()) this.#join(pool, worker);
  }

  remove(worker: W): void {
    if (this.#workers.get(worker.id) === worker) this.#workers.delete(worker.id);
    for (const pool of this.#of.get(worker) ?? []) pool.workers.delete(worker);
    this.#of.delete(worker);
  }

  /** A worker that is free for it now: the nearest, and of those the least loaded. Nobody while others wait before it. */
  freeFor(waiter: J): W | undefined {
    const pool = this.#poolOf(waiter.need);
    if (pool.queue.size > 0) return undefined;
    let best: W | undefined;
    for (const worker of this.#serving(pool)) {
      if (worker.free <= 0 || !this.#hasRoom(worker, waiter.need) || this.#isBespoken(worker)) continue;
      if (best === undefined || worker.distance < best.distance) best = worker;
      else if (worker.distance === best.distance && worker.load() < best.load()) best = worker;
    }
    return best;
  }

  push(waiter: J): Place<J, W> {
    const pool = this.#poolOf(waiter.need);
    return { pool, ticket: pool.queue.push(waiter, waiter.priority, ++this.#order) };
  }

  /** Back to where it was: before all others of its priority. */
  unshift(waiter: J, order: number): Place<J, W> {
    const pool = this.#poolOf(waiter.need);
    return { pool, ticket: pool.queue.unshift(waiter, waiter.priority, order) };
  }

  leave({ pool, ticket }: Place<J, W>): void {
    pool.queue.remove(ticket);
    this.#tidy(pool);
  }

  /** The next in order that the worker can do, taken out. */
  next(worker: W): { readonly waiter: J; readonly order: number } | undefined {
    let best: Pool<J, W> | undefined;
    let first = { priority: 0, order: 0 };
    for (const pool of this.#of.get(worker) ?? []) {
      const head = pool.queue.peek();
      if (head === undefined || !this.#serves(pool, worker) || !this.#hasRoom(worker, pool.need)) continue;
      const sooner = head.priority > first.priority || (head.priority === first.priority && head.order < first.order);
      if (best !== undefined && !sooner) continue;
      best = pool;
      first = head;
    }
    const waiter = best?.queue.shift();
    if (best === undefined || waiter === undefined) return undefined;
    this.#tidy(best);
    return { waiter, order: first.order };
  }

  /** Whether anybody known could ever do it. */
  hasWorker(need: Need): boolean {
    return this.#poolOf(need).workers.size > 0;
  }

  #poolOf(need: Need): Pool<J, W> {
    const key = needKey(need);
    let pool = this.#pools.get(key);
    if (pool === undefined) {
      pool = { key, need, queue: new WaitingQueue(), workers: new Set() };
      this.#pools.set(key, pool);
      for (const worker of this.#workers.values()) this.#join(pool, worker);
      this.#bound();
    }
    return pool;
  }

  #hasRoom(worker: W, need: Need): boolean {
    if (need.amounts === undefined) return true;
    if (!worker.hasRoom(need)) return false;
    const others = foreignAmounts(worker, need.amounts);
    return others === undefined || this.#supplied(others);
  }

  /** A worker of this process takes what waits in its next turn: nobody steps in before that. */
  #isBespoken(worker: W): boolean {
    if (worker.distance > 0) return false;
    for (const { queue } of this.#of.get(worker) ?? []) if (queue.size > 0) return true;
    return false;
  }

  #join(pool: Pool<J, W>, worker: W): void {
    if (!canDo(worker, pool.need)) return;
    pool.workers.add(worker);
    this.#of.get(worker)?.add(pool);
  }

  *#serving(pool: Pool<J, W>): IterableIterator<W> {
    for (const worker of pool.workers) if (this.#serves(pool, worker)) yield worker;
  }

  #serves(pool: Pool<J, W>, worker: W): boolean {
    const rank = rankOf(worker);
    if (rank === 0) return true;
    for (const other of pool.workers) if (rankOf(other) < rank) return false;
    return true;
  }

  /** Pools of the usual needs stay; beyond a number those that nobody waits in go. */
  #tidy(pool: Pool<J, W>): void {
    if (pool.queue.size > 0 || this.#pools.size <= poolsKeptMax) return;
    this.#pools.delete(pool.key);
    for (const worker of pool.workers) this.#of.get(worker)?.delete(pool);
  }

  #bound(): void {
    if (this.#pools.size <= poolsKeptMax * 2) return;
    for (const pool of [...this.#pools.values()]) this.#tidy(pool);
  }
}

/** What of the amounts the worker does not declare; undefined: nothing. */
export function foreignAmounts(worker: Worker, amounts: Amounts): Amounts | undefined {
  const foreign = Object.entries(amounts).filter(([unit]) => !worker.declares(unit));
  return foreign.length === 0 ? undefined : Object.fromEntries(foreign);
}

/** Queues that stay though nobody waits in them. */
const poolsKeptMax = 1_000;
