/**
 * The generous guard of the main paths' speed: fails only when a ratio is less than half of the committed baseline,
 * three times in a row. `npx tsx bench/guard.ts --write` measures the baseline anew.
 */
import { expect, test } from "vitest";
import { baseline, guardRatios, type Ratios } from "../../bench/guard.ts";

const triesMax = 3;

/** Names of those that have halved; one that is missing on either side counts too. */
function halved(found: Ratios, before: Ratios): string[] {
  const names = new Set([...Object.keys(found), ...Object.keys(before)]);
  return [...names].filter((name) => !((found[name] ?? 0) >= (before[name] ?? Number.POSITIVE_INFINITY) / 2));
}

test("what counts as halved", () => {
  expect(halved({ a: 0.5, b: 1 }, { a: 1, b: 1 })).toEqual([]);
  expect(halved({ a: 0.49, b: 1 }, { a: 1, b: 1 })).toEqual(["a"]);
  expect(halved({ a: 1 }, { a: 1, b: 1 })).toEqual(["b"]);
  expect(halved({ a: 1, b: 1 }, { a: 1 })).toEqual(["b"]);
  expect(halved({ a: Number.NaN }, { a: 1 })).toEqual(["a"]);
});

// CPU times come from /proc.
test.runIf(process.platform === "linux")("no ratio has halved against the baseline", { timeout: 600_000 }, async () => {
  const before = baseline();
  let slow: string[] = [];
  for (let tries = 0; tries < triesMax; tries++) {
    const found = await guardRatios();
    slow = halved(found, before);
    if (slow.length === 0) return;
    console.log(`try ${tries + 1}: ${slow.map((name) => `${name}: ${found[name]} (was ${before[name]})`).join("; ")}`);
  }
  expect(slow).toEqual([]);
});
