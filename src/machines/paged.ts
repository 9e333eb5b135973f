/**
 * A long list whose single changes are cheap: two levels, pages of 64. A change copies one page
 * and the list of pages, so the journal's difference by reference stays small at 10,000 entries.
 */
export interface Paged<T> {
  readonly length: number;
  readonly pages: readonly (readonly T[])[];
}

export const pageSize = 64;

const none: Paged<never> = { length: 0, pages: [] };

export function emptyPaged<T>(): Paged<T> {
  return none;
}

export function pagedOf<T>(items: readonly T[]): Paged<T> {
  const pages: T[][] = [];
  for (let i = 0; i < items.length; i += pageSize) pages.push(items.slice(i, i + pageSize));
  return { length: items.length, pages };
}

/** `length` times the same value; full pages are shared. */
export function pagedFill<T>(length: number, value: T): Paged<T> {
  const full = new Array<T>(pageSize).fill(value);
  const pages: T[][] = [];
  for (let left = length; left > 0; left -= pageSize) pages.push(left >= pageSize ? full : full.slice(0, left));
  return { length, pages };
}

export function pagedGet<T>(list: Paged<T>, index: number): T | undefined {
  return index < 0 || index >= list.length ? undefined : list.pages[Math.floor(index / pageSize)]?.[index % pageSize];
}

/** The list with `value` at `index` (0 … length - 1). Throws RangeError outside. */
export function pagedSet<T>(list: Paged<T>, index: number, value: T): Paged<T> {
  const at = Math.floor(index / pageSize);
  const page = list.pages[at];
  if (index < 0 || index >= list.length || page === undefined) throw new RangeError(`no entry ${index}`);
  return { length: list.length, pages: list.pages.with(at, page.with(index % pageSize, value)) };
}

export function pagedPush<T>(list: Paged<T>, value: T): Paged<T> {
  const last = list.pages.at(-1);
  const pages =
    last === undefined || last.length === pageSize
      ? [...list.pages, [value]]
      : list.pages.with(list.pages.length - 1, [...last, value]);
  return { length: list.length + 1, pages };
}

export function pagedItems<T>(list: Paged<T>): T[] {
  return list.pages.flat() as T[];
}
