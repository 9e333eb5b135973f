/** The index against a naive one: whatever changes, a list is what sorting and filtering all rows gives. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Listing, type Place } from "../../src/actors/listing.ts";

interface Fields {
  readonly created: number;
  readonly status: string;
}

const changes = fc.array(
  fc.record({
    type: fc.constantFrom("task", "run"),
    key: fc.constantFrom("a", "b", "c~1", "c", "d/x"),
    fields: fc.option(fc.record({ created: fc.nat(4), status: fc.constantFrom("ready", "ended") })),
  }),
  { maxLength: 60 },
);

function naive(rows: ReadonlyMap<string, Fields | null>, type: string, status: string | null, after: Place | null) {
  return [...rows]
    .filter(([name, fields]) => name.startsWith(`${type}/`) && fields !== null)
    .map(([name, fields]) => ({ key: name.slice(type.length + 1), fields: fields as Fields }))
    .filter(({ fields }) => status === null || fields.status === status)
    .sort((a, b) => b.fields.created - a.fields.created || (a.key < b.key ? 1 : -1))
    .filter(({ key, fields: { created } }) => {
      return after === null || created < after.created || (created === after.created && key < after.key);
    });
}

test("lists, filtered and paged, after any changes", () => {
  fc.assert(
    fc.property(changes, fc.option(fc.constantFrom("ready", "ended")), fc.nat(4), (all, status, limit) => {
      const listing = new Listing();
      const rows = new Map<string, Fields | null>();
      for (const { type, key, fields } of all) {
        listing.set(`${type}/${key}`, { type, key }, fields as never);
        rows.set(`${type}/${key}`, fields);
        const where: Record<string, string> = status === null ? {} : { status };
        for (const of of ["task", "run"]) {
          let after: Place | null = null;
          for (;;) {
            const page = listing.query(of, where, after, limit + 1);
            const expected = naive(rows, of, status, after).slice(0, limit + 1);
            expect(page.map((row) => ({ key: row.address.key, fields: row.fields }))).toEqual(expected);
            const last = page.at(-1);
            if (last === undefined) break;
            expect(last.address.type).toBe(of);
            after = { created: last.created, key: last.address.key };
          }
        }
      }
      expect(listing.size).toBe(rows.size);
    }),
    { numRuns: 50 },
  );
});
