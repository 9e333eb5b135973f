/** One live Troupe per data directory: the claim chain of lock.ts. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { lockDirectory } from "../../src/bus/server/lock.ts";
import { freshDirectory, killHard, runHelper } from "./helpers.ts";

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
  const dead = (boot: string) => JSON.stringify({ pid: 2 ** 22 + 1, startTime: "x", boot });
  writeFileSync(join(directory, "troupe.lock"), dead("a"));
  writeFileSync(join(directory, "troupe.lock.a"), dead("b"));
  const release = lockDirectory(directory);
  const held = JSON.parse(readFileSync(join(directory, "troupe.lock"), "utf8")) as { pid: number };
  expect(held.pid).toBe(process.pid);
  release();
  expect(readdirSync(directory)).toEqual([]);
});

test("of many that find the same dead lock at one moment, one gets it", async () => {
  for (let round = 0; round < 3; round++) {
    const directory = freshDirectory();
    writeFileSync(join(directory, "troupe.lock"), JSON.stringify({ pid: 2 ** 22 + 1, startTime: "x", boot: "a" }));
    const at = String(Date.now() + 1500);
    const helpers = await Promise.all(Array.from({ length: 6 }, () => runHelper("locker.ts", directory, at)));
    expect(helpers.filter((one) => one.said.locked)).toHaveLength(1);
    await Promise.all(helpers.map((one) => killHard(one.child)));
  }
});
