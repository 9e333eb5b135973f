/**
 * Lists that come in pages: reads as many as are wanted.
 */
import type { z } from "zod";
import type { Session } from "./session.ts";
import { pageOf } from "./shapes.ts";

const pageMax = 200;

/** Up to `limit` entries of a list, over as many pages as it takes. */
export async function collect<T extends z.ZodType>(
  session: Session,
  path: string,
  item: T,
  query: Readonly<Record<string, string | number | undefined>>,
  limit: number,
): Promise<z.infer<T>[]> {
  const found: z.infer<T>[] = [];
  const shape = pageOf(item);
  let cursor: string | undefined;
  do {
    const page = await session.api.get(path, shape, {
      query: { ...query, limit: Math.min(pageMax, limit - found.length), cursor },
    });
    found.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && found.length < limit);
  return found.slice(0, limit);
}
