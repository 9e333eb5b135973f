import { afterEach, describe, expect, test } from "vitest";
import type { Host } from "../../src/actors/host.ts";
import type { MemoryStore } from "../../src/bus/memory/store.ts";
import { at, busOver, check, fill, found, hostOver, journalOf, keysOf, memoryStore, until } from "./support.ts";
import { cut, flip, removeMessage, rewrite } from "./tamper.ts";

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
});

/** Killed before anything reached the records: the whole journal is the tail that a take-over reads. */
async function crashed(): Promise<MemoryStore> {
  const store = memoryStore();
  const bus = busOver(store);
  const host = await hostOver(bus, { flushMs: 60_000 });
  await fill(host, 4);
  bus.setLink("dead");
  for (const partition of host.node.partitions.values()) partition.abandon();
  host.node.membership.abandon();
  for (const entry of await busOver(store).registry.list("member")) store.keys.delete(entry.key);
  return store;
}

async function start(store: MemoryStore): Promise<Host> {
  const host = await hostOver(busOver(store), { leaseMs: 400 });
  hosts.push(host);
  return host;
}

const hurt = 1;
const [victim] = keysOf(hurt, 1) as [string];

/** The partition is refused by name; the others serve on. */
async function expectContained(host: Host, cause: RegExp): Promise<void> {
  await until(() => host.node.faults.has(hurt), 10_000, "the fault");
  expect([...host.node.faults.keys()]).toEqual([hurt]);
  expect(host.node.faults.get(hurt)?.message).toMatch(cause);
  expect(host.runtime.status().partitions[hurt]?.state).toBe("stopped");
  await expect(host.runtime.ask(at(victim), { type: "add" }, { timeoutMs: 500 })).rejects.toMatchObject({
    message: expect.stringContaining(`artition ${hurt}`),
  });
  for (const p of [0, 2, 3]) {
    const [key] = keysOf(p, 1) as [string];
    const { reply } = await host.runtime.ask(at(key), { type: "add" });
    expect(reply).toBeGreaterThanOrEqual(5);
  }
}

describe("a damaged message in the tail", () => {
  const regions: [string, (bytes: Uint8Array) => Uint8Array, RegExp][] = [
    ["the magic", flip(0, 3), /do not begin as a Troupe message/],
    ["the version", flip(2, 6), /format version 65/],
    ["the kind", flip(3, 2), /checksum/],
    ["the checksum", flip(7, 5), /checksum/],
    ["the first byte of the payload", flip(12), /checksum/],
    ["the last byte", flip(-1, 7), /checksum/],
    ["a byte in the middle", (bytes) => flip(bytes.length >> 1, 4)(bytes), /checksum/],
    ["its end cut off", cut(-5), /checksum/],
    ["all but the header cut off", cut(12), /do not begin/],
    ["nothing left", cut(0), /do not begin/],
  ];
  test.each(regions)("%s: found, refused, contained", async (_, change, cause) => {
    const store = await crashed();
    const journal = await journalOf(busOver(store), hurt);
    const middle = journal[journal.length >> 1] as { seq: number };
    rewrite(store, hurt, middle.seq, change);
    const code = cause.source.includes("version") ? "newer_format" : "damaged";
    expect(found(await check(busOver(store)))).toContain(`${hurt} journal ${middle.seq}: ${code}`);
    expect(
      found(await check(busOver(store))).every((line) => line.startsWith(`${hurt} `) || /channel/.test(line)),
    ).toBe(true);
    await expectContained(await start(store), cause);
  });

  test("every byte of a message counts", async () => {
    const store = await crashed();
    const journal = await journalOf(busOver(store), hurt);
    const { seq, bytes } = journal.at(-1) as { seq: number; bytes: Uint8Array };
    for (let i = 0; i < bytes.length; i++) {
      rewrite(store, hurt, seq, () => flip(i, i % 8)(bytes));
      const problems = found(await check(busOver(store)));
      expect(
        problems.some((line) => line.startsWith(`${hurt} journal ${seq}: `)),
        `byte ${i}`,
      ).toBe(true);
    }
    rewrite(store, hurt, seq, () => bytes);
    expect(found(await check(busOver(store)))).toEqual([]);
  });
});

test("the very last message damaged: nobody goes on from it", async () => {
  const store = await crashed();
  const last = (await journalOf(busOver(store), hurt)).at(-1) as { seq: number };
  rewrite(store, hurt, last.seq, flip(40));
  await expectContained(await start(store), /checksum/);
});

test("a message removed from the middle leaves a hole that is seen", async () => {
  const store = await crashed();
  const journal = await journalOf(busOver(store), hurt);
  const index = journal.length >> 1;
  removeMessage(store, hurt, (journal[index] as { seq: number }).seq);
  const next = journal[index + 1] as { seq: number };
  expect(found(await check(busOver(store)))).toContain(`${hurt} journal ${next.seq}: broken_chain`);
  await expectContained(await start(store), /does not follow group/);
});

test("the tail's first message removed", async () => {
  const store = await crashed();
  const [first, second] = (await journalOf(busOver(store), hurt)) as unknown as [{ seq: number }, { seq: number }];
  removeMessage(store, hurt, first.seq);
  expect(found(await check(busOver(store)))).toContain(`${hurt} journal ${second.seq}: missing`);
  await expectContained(await start(store), /group 2/);
});

test("the last messages removed: letters that others have applied, or were told of, are missed", async () => {
  const store = await crashed();
  const journal = await journalOf(busOver(store), hurt);
  for (const { seq } of journal.slice(-3)) removeMessage(store, hurt, seq);
  expect(found(await check(busOver(store))).some((line) => line.startsWith("null channel"))).toBe(true);
});

test("an old group put at the end again, with the sequence that it must expect", async () => {
  const store = await crashed();
  const bus = busOver(store);
  const journal = await journalOf(bus, hurt);
  const old = journal[2] as { bytes: Uint8Array };
  const put = await bus.journal.append(hurt, old.bytes, (journal.at(-1) as { seq: number }).seq);
  if (put.kind !== "stored") throw new Error(put.kind);
  expect(found(await check(busOver(store)))).toContain(`${hurt} journal ${put.seq}: broken_chain`);
  await expectContained(await start(store), /does not follow group/);
});

test("an old group put at the end under a serving owner: it stops, the others serve on", async () => {
  const store = await crashed();
  const host = await start(store);
  await host.runtime.ask(at(victim), { type: "add" });
  const bus = busOver(store);
  const journal = await journalOf(bus, hurt);
  const put = await bus.journal.append(
    hurt,
    (journal[2] as { bytes: Uint8Array }).bytes,
    (journal.at(-1) as { seq: number }).seq,
  );
  if (put.kind !== "stored") throw new Error(put.kind);
  await host.runtime.ask(at(victim), { type: "add" }, { timeoutMs: 1500 }).catch(() => {});
  await expectContained(host, /does not follow group/);
  expect(found(await check(busOver(store)))).toContain(`${hurt} journal ${put.seq}: broken_chain`);
});

test("a group of another partition", async () => {
  const store = await crashed();
  const bus = busOver(store);
  const [foreign] = (await journalOf(bus, 3)) as unknown as [{ bytes: Uint8Array }];
  const last = (await journalOf(bus, hurt)).at(-1) as { seq: number };
  const put = await bus.journal.append(hurt, foreign.bytes, last.seq);
  if (put.kind !== "stored") throw new Error(put.kind);
  expect(found(await check(busOver(store)))).toContain(`${hurt} journal ${put.seq}: contradiction`);
  await expectContained(await start(store), /belongs to partition 3/);
});
