import { afterEach, expect, test } from "vitest";
import { describeReport } from "../../src/actors/audit/report.ts";
import type { Host } from "../../src/actors/host.ts";
import { at, busOver, check, fill, found, hostOver, keysOf, memoryStore, settled } from "../corruption/support.ts";

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
});

test("an empty store is sound", async () => {
  const report = await check(busOver(memoryStore()));
  expect(found(report)).toEqual([]);
  expect(report).toMatchObject({ sound: true, blobs: { stored: 0, referenced: 0 } });
});

test("a store that was worked on is sound, at rest and with its node stopped", async () => {
  const store = memoryStore();
  const host = await hostOver(busOver(store));
  await fill(host);
  await settled(host);
  const report = await check(busOver(store));
  expect(found(report)).toEqual([]);
  expect(report.partitions.map((p) => p.actors)).toEqual([3, 3, 3, 3]);
  expect(report.partitions.every((p) => p.groups > 10 && p.firstNumber === 1 && p.events >= 210)).toBe(true);
  expect(describeReport(report).at(-1)).toBe("the store is sound");
  await host.stop();
  expect(found(await check(busOver(store)))).toEqual([]);
});

test("owners at work, flushing and trimming without a window, do not look like damage", async () => {
  const store = memoryStore();
  const host = await hostOver(busOver(store, { latencyMs: 1 }), { flushMs: 5, replayBytes: 0, activeMax: 2 });
  hosts.push(host);
  let working = true;
  const keys = Array.from({ length: 4 }, (_, p) => keysOf(p, 6)).flat();
  const work = keys.map(async (key, i) => {
    while (working) {
      await host.runtime.ask(at(key), { type: "add" });
      await host.runtime.ask(at(key), { type: "forward", to: [keys[(i * 7 + 1) % keys.length] as string] });
    }
  });
  const verdicts: string[] = [];
  for (let i = 0; i < 6; i++) verdicts.push(...found(await check(busOver(store, { latencyMs: 1 }))));
  working = false;
  await Promise.all(work);
  expect(verdicts).toEqual([]);
  expect((await check(busOver(store))).partitions.some((p) => p.firstNumber > 1)).toBe(true);
});
