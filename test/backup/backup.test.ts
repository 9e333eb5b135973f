import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { backup } from "../../src/actors/backup/backup.ts";
import { readBackup } from "../../src/actors/backup/file.ts";
import { restore } from "../../src/actors/backup/restore.ts";
import { restoreMark } from "../../src/actors/backup/restore-mark.ts";
import type { Host } from "../../src/actors/host.ts";
import type { Bus, Layout } from "../../src/bus/bus.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import {
  at,
  busOver,
  check,
  codec,
  fill,
  found,
  hostOver,
  keysOf,
  memoryStore,
  settled,
  until,
} from "../corruption/support.ts";

const hosts: Host[] = [];
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-backup-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
});

let made = 0;
const path = () => join(folder, `${made++}.troupe`);
const save = (bus: Bus, file: string) => backup({ bus, codec, replicas: 1 }, file);
/** Into a new memory store; gives it. */
async function bring(file: string): Promise<MemoryStore> {
  let store: MemoryStore | undefined;
  await restore(file, codec, async (layout: Layout) => {
    store = new MemoryStore(layout, systemClock);
    return busOver(store);
  });
  return store as MemoryStore;
}
async function start(store: MemoryStore, latencyMs = 0, settings = {}): Promise<Host> {
  const host = await hostOver(busOver(store, { latencyMs }), { leaseMs: 500, ...settings });
  hosts.push(host);
  return host;
}
const view = async (host: Host, key: string) =>
  (await host.runtime.read(at(key))).view as { count: number; heard: string[] };

test("a store at rest comes back whole: actors, events, lists, blobs, secrets; and goes on", async () => {
  const store = memoryStore();
  const host = await start(store);
  await fill(host);
  const ref = await host.runtime.values.putBytes("k0", new Uint8Array(700_000).fill(7));
  const secret = await host.runtime.secret("links");
  await settled(host);
  const file = path();
  const summary = await save(busOver(store), file);
  expect(summary).toMatchObject({ blobs: 1, secrets: 1 });
  const brought = await bring(file);
  expect(found(await check(busOver(brought), true))).toEqual([]);
  const second = await start(brought);
  for (let p = 0; p < 4; p++) {
    for (const key of keysOf(p, 3)) {
      expect(await view(second, key)).toEqual(await view(host, key));
      const events = await host.runtime.history(key, 0, 1000);
      expect(await second.runtime.history(key, 0, 1000)).toEqual(events);
      expect(events.events.length).toBeGreaterThanOrEqual(70);
      expect((await second.runtime.ask(at(key), { type: "add" })).reply).toBe(((await view(host, key)).count ?? 0) + 1);
    }
  }
  expect((await second.runtime.values.getBytes(ref))?.length).toBe(700_000);
  expect([...(await second.runtime.secret("links"))]).toEqual([...secret]);
  await settled(second);
  expect(found(await check(busOver(brought), true))).toEqual([]);
});

describe("under load", () => {
  test.each([1 << 20, 1 << 15])(
    "no letter is lost or doubled across the cut, replay window %i",
    { timeout: 60_000 },
    async (replayBytes) => {
      const store = memoryStore();
      const host = await start(store, 1, { flushMs: 15, replayBytes, activeMax: 3 });
      const pairs = Array.from({ length: 4 }, (_, p) => keysOf(p, 3)).flat();
      for (const key of pairs) await host.runtime.ask(at(key), { type: "add" });
      let working = true;
      const acknowledged = new Map<string, number>();
      const load = pairs.map(async (from, i) => {
        const to = pairs[(i * 5 + 4) % pairs.length] as string;
        for (let no = 1; working; no++) {
          const command = { type: "hear", text: `${from} ${no}` };
          await host.runtime.ask(at(from), { type: "forward", to: [to], command });
          acknowledged.set(from, no);
        }
      });
      await until(() => [...acknowledged.values()].every((no) => no > 5) && acknowledged.size === pairs.length);
      for (let round = 0; round < 3; round++) {
        const before = new Map(acknowledged);
        const file = path();
        await save(busOver(store, { latencyMs: 1 }), file);
        const brought = await bring(file);
        expect(found(await check(busOver(brought)))).toEqual([]);
        const second = await hostOver(busOver(brought), { leaseMs: 500 });
        await until(() => [...second.node.partitions.values()].every((p) => p.state.channels.oldestSeq() === 0));
        for (const [i, from] of pairs.entries()) {
          const to = pairs[(i * 5 + 4) % pairs.length] as string;
          const heard = (await view(second, to)).heard.filter((text) => text.startsWith(`${from} `));
          // Each once, in order, without a hole, and at least what was acknowledged before the backup began.
          expect(heard).toEqual(heard.map((_, n) => `${from} ${n + 1}`));
          expect(heard.length).toBeGreaterThanOrEqual(before.get(from) ?? 0);
        }
        await settled(second);
        expect(found(await check(busOver(brought)))).toEqual([]);
        await second.stop();
      }
      working = false;
      await Promise.all(load);
    },
  );
});

describe("what is not restored", () => {
  let file: string;
  let bytes: Buffer;
  beforeAll(async () => {
    const store = memoryStore();
    const host = await hostOver(busOver(store));
    await fill(host, 3);
    await host.stop();
    file = path();
    await save(busOver(store), file);
    bytes = await readFile(file);
  });
  const broken = async (content: Buffer): Promise<string> => {
    const other = path();
    await writeFile(other, content);
    return other;
  };
  const attempt = async (other: string) => {
    let connected = false;
    const refused = await restore(other, codec, async (layout) => {
      connected = true;
      return busOver(new MemoryStore(layout, systemClock));
    }).then(
      () => "restored",
      (error: Error) => error.message,
    );
    return { connected, refused };
  };

  test("a cut file, wherever it is cut", async () => {
    for (const length of [0, 10, 32, 40, bytes.length >> 1, bytes.length - 9, bytes.length - 1]) {
      const { connected, refused } = await attempt(await broken(bytes.subarray(0, length)));
      expect(connected, `${length}`).toBe(false);
      expect(refused).toMatch(/damaged or cut|is cut|no backup of Troupe/);
    }
  });

  test("a damaged file", async () => {
    for (let i = 0; i < 40; i++) {
      const copy = Buffer.from(bytes);
      const index = 42 + Math.floor(((bytes.length - 50) * i) / 40);
      copy[index] = (copy[index] ?? 0) ^ (1 << (i % 8));
      expect((await attempt(await broken(copy))).connected, `byte ${index}`).toBe(false);
    }
  });

  test("a newer one, and one of something else", async () => {
    const newer = Buffer.from(bytes);
    newer.write("2", "TROUPE BACKUP ".length);
    expect((await attempt(await broken(newer))).refused).toMatch(/version 2; this Troupe reads up to 1/);
    expect((await attempt(await broken(Buffer.from("PK\u0003\u0004 something else, long enough")))).refused).toMatch(
      /no backup/,
    );
  });

  test("into a store that has anything", async () => {
    const store = memoryStore();
    const host = await hostOver(busOver(store));
    await expect(restore(file, codec, async () => busOver(store))).rejects.toThrow(/not empty: it has a journal/);
    await host.stop();
  });

  test("a store whose restore broke off starts no node", async () => {
    const store = memoryStore();
    const bus = busOver(store);
    await bus.registry.create(restoreMark, new Uint8Array(1));
    await expect(hostOver(bus)).rejects.toThrow(/being restored/);
  });

  test("the file's frames: header first, end last", async () => {
    const kinds: string[] = [];
    for await (const frame of readBackup(codec, file)) kinds.push(frame.kind);
    expect(kinds[0]).toBe("header");
    expect(kinds.at(-1)).toBe("end");
  });
});
