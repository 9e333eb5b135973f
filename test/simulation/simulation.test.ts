import { expect, test } from "vitest";
import { World } from "./world.ts";

const seeds = Array.from({ length: 60 }, (_, i) => i + 1);

test.each(seeds)("seed %i: nothing acknowledged is lost or doubled", { timeout: 120_000 }, async (seed) => {
  const verdict = await new World({ seed, nodes: 3, steps: 400, actors: 12, clients: 6 }).run();
  expect(verdict.problems).toEqual([]);
  expect(verdict.acknowledged).toBeGreaterThan(10);
  expect(verdict.faults).toBeGreaterThan(10);
});
