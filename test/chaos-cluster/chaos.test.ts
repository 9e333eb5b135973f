/**
 * A short run of `npm run chaos`: the whole cluster as processes, every kind of fault by chance, and the independent check.
 * The long one, and what came of it, stands in docs/reliability.md.
 */
import { expect, test } from "vitest";
import { seeded } from "../chaos/random.ts";
import { chaos } from "./rig.ts";
import { describe } from "./verdict.ts";

test("a cluster under faults keeps every promise", { timeout: 600_000 }, async () => {
  const { seed } = seeded("chaos on a cluster");
  const settings = {
    seed,
    ms: 40_000,
    socketLanes: 150,
    httpLanes: 12,
    perSecond: 500,
    workers: 3,
    watchers: 4,
    lightMs: 500,
    heavyMs: 500,
    blackouts: 1,
    replayBytes: 2 ** 20,
  };
  const verdict = await chaos(settings, () => undefined);
  console.log(describe(verdict).join("\n"));
  for (const { what, cases } of verdict.broken) expect(cases, what).toEqual([]);
  expect(verdict.acknowledged).toBeGreaterThan(1_000);
  expect(verdict.faults.length).toBeGreaterThan(20);
});
