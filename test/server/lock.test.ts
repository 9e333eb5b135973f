/** One live Troupe per data directory: the claim chain of lock.ts. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { lockDirectory, lockSteps } from "../../src/bus/server/lock.ts";
import { ServerError } from "../../src/bus/server/options.ts";
import { freshDirectory, killHard, runHelper } from "./helpers.ts";

/** A claim whose process does not exist. */
const deadClaim = (boot: string): string => JSON.stringify({ pid: 2 ** 22 + 1, startTime: "x", boot });

test("a held directory is refused with the holder's process id, and free again after release", () => {
  const directory = freshDirectory();
  const release = lockDirectory(directory);
  expect(() => lockDirectory(directory)).toThrow(new RegExp(`process ${process.pid}\\).*${directory}.*TROUPE_DATA`));
  release();
  expect(readdirSync(directory)).toEqual([]);
  lockDirectory(directory)();
});

test("the lock of a killed process is taken over", async () => {
  const directory = freshDirectory();
  const { child, said } = await runHelper("locker.ts", directory, "0");
  expect(said).toEqual({ locked: true });
  expect(() => lockDirectory(directory)).toThrow(`process ${child.pid}`);
  await killHard(child);
  lockDirectory(directory)();
  expect(readdirSync(directory)).toEqual([]);
});

test("a process id that was given again does not hold a lock", () => {
  const directory = freshDirectory();
  const claim = { pid: process.pid, startTime: "another", boot: "b" };
  writeFileSync(join(directory, "troupe.lock"), JSON.stringify(claim));
  lockDirectory(directory)();
});

test("an unreadable lock is taken over", () => {
  const directory = freshDirectory();
  writeFileSync(join(directory, "troupe.lock"), "");
  lockDirectory(directory)();
});

test("a claimant that died before it moved its claim to the head is followed", () => {
  const directory = freshDirectory();
  writeFileSync(join(directory, "troupe.lock"), deadClaim("a"));
  writeFileSync(join(directory, "troupe.lock.a"), deadClaim("b"));
  const release = lockDirectory(directory);
  const held = JSON.parse(readFileSync(join(directory, "troupe.lock"), "utf8")) as { pid: number };
  expect(held.pid).toBe(process.pid);
  release();
  expect(readdirSync(directory)).toEqual([]);
});

test("of many processes that find the same dead lock at one moment, one gets it", async () => {
  const directory = freshDirectory();
  writeFileSync(join(directory, "troupe.lock"), deadClaim("a"));
  const at = String(Date.now() + 1500);
  const helpers = await Promise.all(Array.from({ length: 6 }, () => runHelper("locker.ts", directory, at)));
  expect(helpers.filter((one) => one.said.locked)).toHaveLength(1);
});

/** Runs the claimants' file operations in the order given (claimant 0, 2, 0, 1…), then to their ends. */
function interleave(directory: string, claimants: number, order: readonly number[]): { held: number; refused: number } {
  const running = Array.from({ length: claimants }, () => lockSteps(directory) as Generator<void, unknown> | null);
  const count = { held: 0, refused: 0 };
  const advance = (i: number): void => {
    try {
      if (!running[i]?.next().done) return;
      count.held++;
    } catch (error) {
      if (!(error instanceof ServerError)) throw error;
      count.refused++;
    }
    running[i] = null;
  };
  for (const i of order) if (running[i]) advance(i);
  for (let i = 0; i < claimants; i++) while (running[i]) advance(i);
  return count;
}

test.each([
  ["no lock", []],
  ["a dead lock", ["a"]],
  ["a dead lock and a dead claim to it", ["a", "b"]],
])("in any order of their file operations, one of three gets it: %s", (_, dead) => {
  const parent = freshDirectory();
  let round = 0;
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 2 }), { maxLength: 40 }), (order) => {
      const directory = join(parent, String(round++));
      mkdirSync(directory);
      dead.forEach((boot, i) => {
        writeFileSync(join(directory, i === 0 ? "troupe.lock" : `troupe.lock.${dead[i - 1]}`), deadClaim(boot));
      });
      expect(interleave(directory, 3, order)).toEqual({ held: 1, refused: 2 });
      expect(readdirSync(directory).filter((name) => name.includes("draft"))).toEqual([]);
    }),
    { numRuns: 400 },
  );
});
