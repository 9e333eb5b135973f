/**
 * Sums over a partition's index, kept up with every row: how many actors of a type stand where, and
 * how the ended ones did by agent and minute. Derived from the rows alone, so a take-over has them again.
 */
import type { IndexFields } from "../machines/definition.ts";
import type { EndedTally, Tally } from "./client.ts";

const minuteMs = 60_000;
/** Minutes kept: a week. What ended before counts in the totals only. */
const minutesMax = 7 * 24 * 60;

interface Sums {
  completed: number;
  failed: number;
  cancelled: number;
  tookMs: number;
}

type ByAgent = Map<string, Sums>;

export class Tallies {
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #total: ByAgent = new Map();
  readonly #minutes = new Map<number, ByAgent>();
  #newest = 0;

  /** A row changes (`null`: is in no list). */
  move(type: string, before: IndexFields | null | undefined, after: IndexFields | null): void {
    const from = statusOf(before);
    const to = statusOf(after);
    if (from !== to) {
      const counts = this.#counts.get(type) ?? new Map<string, number>();
      this.#counts.set(type, counts);
      if (from !== undefined) add(counts, from, -1);
      if (to !== undefined) add(counts, to, 1);
    }
    // An end is final: it is counted once, when the row first tells it.
    if (after?.endedAt !== undefined && before?.endedAt === undefined) this.#end(after);
  }

  #end(fields: IndexFields): void {
    const agent = typeof fields.agent === "string" ? fields.agent : "";
    const minute = Math.floor(Number(fields.endedAt) / minuteMs);
    this.#forget(minute);
    count(this.#total, agent, fields);
    if (minute <= this.#newest - minutesMax) return;
    const byAgent: ByAgent = this.#minutes.get(minute) ?? new Map();
    this.#minutes.set(minute, byAgent);
    count(byAgent, agent, fields);
  }

  #forget(minute: number): void {
    if (minute <= this.#newest) return;
    this.#newest = minute;
    for (const old of this.#minutes.keys()) if (old <= minute - minutesMax) this.#minutes.delete(old);
  }

  /** `since`: only what ended in or after that minute (ms; at most a week back); null: ever. */
  read(since: number | null): PartitionTally {
    const ended: ByAgent = since === null ? this.#total : new Map();
    if (since !== null) {
      const first = Math.floor(since / minuteMs);
      for (const [minute, byAgent] of this.#minutes) {
        if (minute >= first) for (const [agent, sums] of byAgent) merge(ended, agent, sums);
      }
    }
    return {
      counts: Object.fromEntries([...this.#counts].map(([type, counts]) => [type, Object.fromEntries(counts)])),
      ended: [...ended].map(([agent, sums]) => [agent, { ...sums }] as const),
    };
  }
}

/** As it goes over the wire: ids that clients chose are no keys of an object there. */
export interface PartitionTally {
  readonly counts: Tally["counts"];
  readonly ended: readonly (readonly [agent: string, sums: EndedTally])[];
}

/** The sums of several partitions as one. */
export function mergeTallies(parts: readonly PartitionTally[]): Tally {
  const counts: Record<string, Record<string, number>> = {};
  const ended: ByAgent = new Map();
  for (const part of parts) {
    for (const [type, byStatus] of Object.entries(part.counts)) {
      const own = counts[type] ?? {};
      counts[type] = own;
      for (const [status, n] of Object.entries(byStatus)) own[status] = (own[status] ?? 0) + n;
    }
    for (const [agent, sums] of part.ended) merge(ended, agent, sums);
  }
  return { counts, ended };
}

function statusOf(fields: IndexFields | null | undefined): string | undefined {
  if (fields === null || fields === undefined) return undefined;
  return typeof fields.status === "string" ? fields.status : "";
}

function add(counts: Map<string, number>, name: string, n: number): void {
  const now = (counts.get(name) ?? 0) + n;
  if (now === 0) counts.delete(name);
  else counts.set(name, now);
}

function count(into: ByAgent, agent: string, fields: IndexFields): void {
  const { status } = fields;
  const completed = status === "completed" ? 1 : 0;
  const cancelled = status === "cancelled" ? 1 : 0;
  const tookMs = completed === 1 ? Number(fields.tookMs ?? 0) : 0;
  merge(into, agent, { completed, cancelled, failed: 1 - completed - cancelled, tookMs });
}

function merge(into: ByAgent, agent: string, sums: EndedTally): void {
  const own = into.get(agent) ?? { completed: 0, failed: 0, cancelled: 0, tookMs: 0 };
  into.set(agent, own);
  own.completed += sums.completed;
  own.failed += sums.failed;
  own.cancelled += sums.cancelled;
  own.tookMs += sums.tookMs;
}
