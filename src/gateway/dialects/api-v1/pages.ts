/**
 * Lists as bare arrays: pages of a core operation, put together up to a bound. What follows after the bound is told
 * in a header.
 */
import { z } from "zod";
import { call } from "../../dialect.ts";
import type { OperationContext } from "../../operation.ts";

const pageMax = 200;
/** Entries of the core that one answer looks through. */
const lookedThroughMax = 20_000;

export const listFields = {
  limit: z.int().min(1).max(10_000).default(1_000).describe("Entries at most."),
  cursor: z.string().min(1).max(2_000).optional().describe("`X-Next-Cursor` of the answer before."),
};

interface Page<T> {
  readonly data: readonly T[];
  readonly next_cursor: string | null;
}

export interface Collected<T, R> {
  readonly operation: string;
  readonly query: Readonly<Record<string, unknown>>;
  /** The entry as it is shown; null: left out. */
  show(one: T): R | null;
}

/** Entries in the core's order; `X-Next-Cursor` is set when there may be more. */
export async function collect<T, R extends object | string>(
  ctx: OperationContext,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
  { operation, query, show }: Collected<T, R>,
): Promise<R[]> {
  const found: R[] = [];
  let next = cursor ?? null;
  for (let looked = 0; found.length < limit && looked < lookedThroughMax; ) {
    const size = Math.min(pageMax, limit - found.length);
    const page = await call<Page<T>>(ctx, operation, { ...query, limit: size, ...(next !== null && { cursor: next }) });
    looked += page.data.length;
    for (const one of page.data) {
      const shown = show(one);
      if (shown !== null) found.push(shown);
    }
    next = page.next_cursor;
    if (next === null) return found;
  }
  if (next !== null) ctx.note?.("X-Next-Cursor", next);
  return found;
}
