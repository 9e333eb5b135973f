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

/** The list made `length` long (not shorter) with `value`. Copies the list of pages once. */
export function pagedExtend<T>(list: Paged<T>, length: number, value: T): Paged<T> {
  if (length <= list.length) return list;
  const pages = [...list.pages];
  for (let have = list.length; have < length; ) {
    const last = have % pageSize === 0 ? [] : (pages.pop() ?? []);
    const room = Math.min(pageSize - last.length, length - have);
    pages.push([...last, ...new Array<T>(room).fill(value)]);
    have += room;
  }
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
