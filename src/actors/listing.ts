/**
 * The index of one partition: every actor that exists, in memory or not, with the fields that lists
 * filter by. Derived from records and commits; never stored by itself.
 */
import type { Address } from "../machines/address.ts";
import type { IndexFields } from "../machines/definition.ts";
import { Tallies } from "./tallies.ts";

export interface Row {
  readonly address: Address;
  readonly created: number;
  /** null: exists, but is in no list. */
  readonly fields: IndexFields | null;
}

/** A place in a list: rows come newest first, then by descending key. */
export interface Place {
  readonly created: number;
  readonly key: string;
}

export class Listing {
  readonly #rows = new Map<string, Row>();
  readonly #sorted = new Map<string, Row[]>();
  readonly #stale = new Set<string>();
  /** Kept up with every row. */
  readonly tallies = new Tallies();

  get size(): number {
    return this.#rows.size;
  }

  has(name: string): boolean {
    return this.#rows.has(name);
  }

  /** `name`: the formatted address. */
  set(name: string, address: Address, fields: IndexFields | null): void {
    const before = this.#rows.get(name);
    if (before !== undefined && before.fields === fields) return;
    this.tallies.move(address.type, before?.fields, fields);
    const created = typeof fields?.created === "number" ? fields.created : (before?.created ?? 0);
    const row: Row = { address, created, fields };
    this.#rows.set(name, row);
    const list = this.#sorted.get(address.type);
    if (before === undefined || before.created !== created || (before.fields === null) !== (fields === null)) {
      if (list === undefined) {
        if (fields !== null) this.#sorted.set(address.type, [row]);
        return;
      }
      const end = list.at(-1);
      if (before === undefined && fields !== null && (end === undefined || compare(end, row) < 0)) list.push(row);
      else if (before !== undefined || fields !== null) this.#stale.add(address.type);
      return;
    }
    if (list === undefined || this.#stale.has(address.type)) return;
    const at = find(list, before);
    if (at >= 0) list[at] = row;
  }

  /** Rows of the type that match, newest first, beyond `after`; `limit` at most. */
  query(type: string, where: Readonly<Record<string, string | number>>, after: Place | null, limit: number): Row[] {
    const list = this.#list(type);
    const found: Row[] = [];
    let i = after === null ? list.length : lowerBound(list, after);
    const tests = Object.entries(where);
    while (--i >= 0 && found.length < limit) {
      const row = list[i] as Row;
      if (tests.every(([field, wanted]) => matches(row.fields?.[field], wanted))) found.push(row);
    }
    return found;
  }

  #list(type: string): Row[] {
    if (this.#stale.delete(type)) {
      const rows = [...this.#rows.values()].filter((r) => r.address.type === type && r.fields !== null);
      this.#sorted.set(type, rows.sort(compare));
    }
    return this.#sorted.get(type) ?? [];
  }
}

function matches(value: IndexFields[string] | undefined, wanted: string | number): boolean {
  return Array.isArray(value) ? value.includes(String(wanted)) : value === wanted;
}

function compare(a: Row, b: Row): number {
  return comparePlaces(a.created, a.address.key, b.created, b.address.key);
}

/** Ascending by time of creation, then by key. */
export function comparePlaces(createdA: number, keyA: string, createdB: number, keyB: string): number {
  if (createdA !== createdB) return createdA - createdB;
  return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
}

/** Index of the first row that is not below the place. */
function lowerBound(list: readonly Row[], place: Place): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    const row = list[mid] as Row;
    if (comparePlaces(row.created, row.address.key, place.created, place.key) < 0) low = mid + 1;
    else high = mid;
  }
  return low;
}

function find(list: readonly Row[], row: Row): number {
  const at = lowerBound(list, { created: row.created, key: row.address.key });
  return list[at]?.address.key === row.address.key ? at : -1;
}
