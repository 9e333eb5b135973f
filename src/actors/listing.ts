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

/**
 * A row as it is kept: there are as many as actors, most of them idle, so it holds nothing that follows from the rest.
 * Rows of a list are of one type: their names order as their keys do.
 */
class Kept {
  constructor(
    /** The same text object for every row of the type. */
    readonly type: string,
    /** The formatted address. */
    readonly name: string,
    readonly fields: IndexFields | null,
  ) {}

  get created(): number {
    const created = this.fields?.created;
    return typeof created === "number" ? created : 0;
  }

  toRow(): Row {
    const { type, name, created, fields } = this;
    return { address: { type, key: name.slice(type.length + 1) }, created, fields };
  }
}

/** A place in a list: rows come newest first, then by descending key. */
export interface Place {
  readonly created: number;
  readonly key: string;
}

export class Listing {
  readonly #rows = new Map<string, Kept>();
  readonly #sorted = new Map<string, Kept[]>();
  readonly #types = new Map<string, string>();
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
    const row = new Kept(this.#typeOf(address), name, fields);
    this.#rows.set(name, row);
    const list = this.#sorted.get(address.type);
    if (before === undefined || before.created !== row.created || (before.fields === null) !== (fields === null)) {
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
    let i = after === null ? list.length : lowerBound(list, after.created, `${type}/${after.key}`);
    const tests = Object.entries(where);
    while (--i >= 0 && found.length < limit) {
      const row = list[i] as Kept;
      if (tests.every(([field, wanted]) => matches(row.fields?.[field], wanted))) found.push(row.toRow());
    }
    return found;
  }

  #typeOf({ type }: Address): string {
    const known = this.#types.get(type);
    if (known !== undefined) return known;
    this.#types.set(type, type);
    return type;
  }

  #list(type: string): Kept[] {
    if (this.#stale.delete(type)) {
      const rows = [...this.#rows.values()].filter((r) => r.type === type && r.fields !== null);
      this.#sorted.set(type, rows.sort(compare));
    }
    return this.#sorted.get(type) ?? [];
  }
}

function matches(value: IndexFields[string] | undefined, wanted: string | number): boolean {
  return Array.isArray(value) ? value.includes(String(wanted)) : value === wanted;
}

function compare(a: Kept, b: Kept): number {
  return comparePlaces(a.created, a.name, b.created, b.name);
}

/** Ascending by time of creation, then by key. */
export function comparePlaces(createdA: number, keyA: string, createdB: number, keyB: string): number {
  if (createdA !== createdB) return createdA - createdB;
  return keyA < keyB ? -1 : keyA > keyB ? 1 : 0;
}

/** Index of the first row that is not below the place. */
function lowerBound(list: readonly Kept[], created: number, name: string): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    const row = list[mid] as Kept;
    if (comparePlaces(row.created, row.name, created, name) < 0) low = mid + 1;
    else high = mid;
  }
  return low;
}

function find(list: readonly Kept[], row: Kept): number {
  const at = lowerBound(list, row.created, row.name);
  return list[at]?.name === row.name ? at : -1;
}
