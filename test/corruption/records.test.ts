import { afterEach, describe, expect, test } from "vitest";
import type { Host } from "../../src/actors/host.ts";
import type { MemoryStore } from "../../src/bus/memory/store.ts";
import { at, busOver, check, fill, found, hostOver, keysOf, memoryStore, settled, until } from "./support.ts";
import { cut, flip, recordNamed, recordNames, removeRecord, rewriteRecord } from "./tamper.ts";

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
});

const hurt = 2;
const [victim] = keysOf(hurt, 1) as [string];
const actor = `a/counter/${victim}`;
const history = `h/${victim}`;
const page = `e/${victim}/0`;

/** Everything in the records, the node stopped in good order. */
async function rested(rounds = 70): Promise<MemoryStore> {
  const store = memoryStore();
  const host = await hostOver(busOver(store));
  await fill(host, rounds);
  await settled(host);
  await host.stop();
  return store;
}

async function start(store: MemoryStore): Promise<Host> {
  const host = await hostOver(busOver(store), { leaseMs: 400 });
  hosts.push(host);
  return host;
}

async function expectContained(host: Host, cause: RegExp): Promise<void> {
  await until(() => host.node.faults.has(hurt), 10_000, "the fault");
  expect([...host.node.faults.keys()]).toEqual([hurt]);
  expect(host.node.faults.get(hurt)?.message).toMatch(cause);
  for (const p of [0, 1, 3]) {
    const [key] = keysOf(p, 1) as [string];
    expect((await host.runtime.ask(at(key), { type: "add" })).reply).toBe(72);
  }
}

describe.each([actor, history, "m"])("the record %s", (name) => {
  test.each([
    ["a bit of its header", flip(1), /do not begin/],
    ["a bit of its checksum", flip(6, 3), /checksum/],
    ["a bit of its payload", flip(20, 1), /checksum/],
    ["a bit at its end", flip(-1), /checksum/],
    ["its version", flip(2, 7), /format version 129/],
    ["its end cut off", cut(-3), /checksum/],
    ["all cut off", cut(0), /do not begin/],
  ])("%s: found, refused, contained", async (_, change, cause) => {
    const store = await rested();
    rewriteRecord(store, hurt, name, change);
    const code = cause.source.includes("version") ? "newer_format" : "damaged";
    expect(found(await check(busOver(store)))).toContain(`${hurt} record ${name}: ${code}`);
    await expectContained(await start(store), cause);
  });
});

test("every byte of an actor's record counts", async () => {
  const store = await rested(3);
  const { bytes } = recordNamed(store, hurt, actor);
  for (let i = 0; i < bytes.length; i++) {
    rewriteRecord(store, hurt, actor, () => flip(i, i % 8)(bytes));
    expect(
      found(await check(busOver(store))).some((line) => line.includes(actor)),
      `byte ${i}`,
    ).toBe(true);
  }
});

test("a record put in another's place", async () => {
  const store = await rested();
  const { bytes } = recordNamed(store, hurt, history);
  rewriteRecord(store, hurt, actor, () => bytes);
  expect(found(await check(busOver(store)))).toContain(`${hurt} record ${actor}: damaged`);
  await expectContained(await start(store), /kind 3 where 2 belongs/);
});

test("a record of a journal that lost its end (power loss with relaxed sync) stops its partition", async () => {
  const store = await rested();
  const other = memoryStore();
  const host = await hostOver(busOver(other));
  await fill(host, 150);
  await settled(host);
  await host.stop();
  rewriteRecord(store, hurt, actor, () => recordNamed(other, hurt, actor).bytes);
  expect(found(await check(busOver(store)))).toContain(`${hurt} record ${actor}: ahead_of_journal`);
  await expectContained(await start(store), /the journal ends at|not in the journal|is behind/);
});

test.each([
  [
    "an older record put back",
    async (store: MemoryStore, old: Uint8Array) => rewriteRecord(store, hurt, actor, () => old),
    "broken_chain",
  ],
  ["a record removed", async (store: MemoryStore) => removeRecord(store, hurt, actor), "missing"],
])("%s: the audit names it from the journal behind the floor", async (_, change, code) => {
  const store = memoryStore();
  const host = await hostOver(busOver(store));
  await fill(host, 3);
  await settled(host);
  const old = recordNamed(store, hurt, actor).bytes;
  await fill(host, 3);
  await settled(host);
  await host.stop();
  expect(found(await check(busOver(store)))).toEqual([]);
  await change(store, old);
  expect(found(await check(busOver(store)))).toContain(`${hurt} record ${actor}: ${code}`);
});

test("a page of history damaged or gone: its readers are told, the partition's others are found sound", async () => {
  const store = await rested();
  expect(recordNames(store, hurt)).toContain(page);
  removeRecord(store, hurt, page);
  expect(found(await check(busOver(store)))).toEqual([`${hurt} record ${page}: missing`]);
  const host = await start(store);
  await expect(host.runtime.history(victim, 0, 10)).rejects.toThrow();
  const [other] = keysOf(0, 1) as [string];
  expect((await host.runtime.history(other, 0, 10)).events).toHaveLength(10);
});

test("blobs: gone, or not what was stored", async () => {
  const { references } = await import("./blobs.ts");
  const store = memoryStore();
  const { names, host } = await references(store);
  await host.stop();
  expect(found(await check(busOver(store), true))).toEqual([]);
  const [gone, changed] = names as [string, string];
  store.blobs.delete(gone);
  store.blobs.set(changed, flip(100)(store.blobs.get(changed) as Uint8Array));
  expect(found(await check(busOver(store), true))).toEqual(
    expect.arrayContaining([`null blob ${gone}: missing`, `null blob ${changed}: damaged`]),
  );
  expect(found(await check(busOver(store), false))).toEqual([`null blob ${gone}: missing`]);
});
