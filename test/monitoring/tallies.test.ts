/** Sums over an index and amounts by ranges, against the plain way to compute them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Listing } from "../../src/actors/listing.ts";
import { mergeTallies, Tallies } from "../../src/actors/tallies.ts";
import { Distribution, merged, quantile } from "../../src/distribution.ts";
import type { IndexFields } from "../../src/machines/definition.ts";

const minute = 60_000;

const change = fc.record({
  key: fc.constantFrom("a", "b", "c", "__proto__"),
  status: fc.constantFrom("ready", "running", "completed", "failed", "cancelled"),
  agent: fc.constantFrom("x", "y", "__proto__", undefined),
  at: fc.integer({ min: 0, max: 10 * minute }),
  tookMs: fc.integer({ min: 0, max: 5000 }),
});

test("counts by status and sums by agent are what all rows together say, however they changed", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 80 }), fc.integer({ min: 0, max: 10 }), (changes, from) => {
      const listing = new Listing();
      const rows = new Map<string, IndexFields>();
      for (const { key, status, agent, at, tookMs } of changes) {
        if (rows.get(key)?.endedAt !== undefined) continue;
        const over = ["completed", "failed", "cancelled"].includes(status);
        const fields: IndexFields = {
          status,
          created: 1,
          ...(agent === undefined ? {} : { agent }),
          ...(over ? { endedAt: at, tookMs } : {}),
        };
        rows.set(key, fields);
        listing.set(`task/${key}`, { type: "task", key }, fields);
        // The very same row again, as each later step of an ended task writes it.
        listing.set(`task/${key}`, { type: "task", key }, { ...fields });
      }
      const all = [...rows.values()];
      const { counts, ended } = mergeTallies([listing.tallies.read(from * minute)]);
      for (const status of ["ready", "running", "completed", "failed", "cancelled"]) {
        const expected = all.filter((row) => row.status === status).length;
        expect(counts.task?.[status] ?? 0).toBe(expected);
      }
      for (const agent of ["x", "y", "__proto__", ""]) {
        const of = all.filter(({ endedAt, agent: a = "" }) => Number(endedAt) >= from * minute && a === agent);
        const completed = of.filter(({ status }) => status === "completed");
        const sums = ended.get(agent) ?? { completed: 0, failed: 0, cancelled: 0, tookMs: 0 };
        expect(sums).toEqual({
          completed: completed.length,
          failed: of.filter(({ status }) => status === "failed").length,
          cancelled: of.filter(({ status }) => status === "cancelled").length,
          tookMs: completed.reduce((sum, { tookMs }) => sum + Number(tookMs), 0),
        });
      }
    }),
  );
});

test("minutes older than a week leave; the totals stay", () => {
  const tallies = new Tallies();
  const end = (at: number) =>
    tallies.move("task", null, { status: "completed", agent: "x", endedAt: at, tookMs: 1, created: 1 });
  end(0);
  end(8 * 24 * 60 * minute);
  end(1);
  expect(mergeTallies([tallies.read(0)]).ended.get("x")?.completed).toBe(1);
  expect(mergeTallies([tallies.read(null)]).ended.get("x")?.completed).toBe(3);
});

test("a quantile lies in the range that holds the exact one", () => {
  const bounds = [1, 2, 5, 10, 100];
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.double({ min: 0.01, max: 1, noNaN: true }),
      (amounts, share) => {
        const parts = [new Distribution(bounds), new Distribution(bounds)];
        for (const [i, amount] of amounts.entries()) parts[i % 2]?.observe(amount);
        const whole = merged(bounds, parts);
        expect(whole.count).toBe(amounts.length);
        const sorted = [...amounts].sort((a, b) => a - b);
        const exact = sorted[Math.max(0, Math.ceil(share * amounts.length - 1e-9) - 1)] as number;
        const range = bounds.findIndex((bound) => exact <= bound);
        const found = quantile(whole, share) as number;
        expect(found).toBeGreaterThanOrEqual(range === 0 ? 0 : (bounds[range - 1] as number));
        expect(found).toBeLessThanOrEqual(bounds[range] as number);
      },
    ),
  );
  expect(quantile(new Distribution(bounds), 0.5)).toBe(null);
});
