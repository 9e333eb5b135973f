import { expect, test } from "vitest";
import { World } from "./world.ts";

const seeds = Array.from({ length: 60 }, (_, i) => i + 1);

test.each(seeds)("seed %i: nothing acknowledged is lost or doubled", { timeout: 120_000 }, async (seed) => {
  const verdict = await new World({ seed, nodes: 3, steps: 400, actors: 12, clients: 6 }).run();
  expect(verdict.problems).toEqual([]);
  expect(verdict.acknowledged).toBeGreaterThan(10);
  expect(verdict.faults).toBeGreaterThan(10);
});

test("the same seed gives the same world", { timeout: 120_000 }, async () => {
  const run = () => new World({ seed: 12, nodes: 3, steps: 400, actors: 12, clients: 6 }).run();
  const [first, second] = [await run(), await run()];
  expect(second).toEqual(first);
  expect(Math.min(first.reminded, first.mailed, first.followed)).toBeGreaterThan(10);
});
