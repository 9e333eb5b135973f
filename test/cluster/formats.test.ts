/**
 * A rolling upgrade over a change of format, on a real server: nodes that read format 1 beside nodes that read
 * format 2. Format 2 is a test's own; an older reader refuses it by name, which is what would break here.
 */
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Host } from "../../src/actors/host.ts";
import { partitionOf } from "../../src/actors/placement.ts";
import { FORMAT_VERSION } from "../../src/bus/codec.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { hostOver } from "../actors/support.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { until } from "../support/until.ts";

const older = FORMAT_VERSION;
const newer = FORMAT_VERSION + 1;
const partitions = 8;
const leaseMs = 600;
const at = (key: string) => ({ type: "counter", key });

interface Running {
  readonly bus: NatsBus;
  readonly host: Host;
}

let server: TestNatsServer;
let running: Running[] = [];
beforeEach(async () => {
  server = await startNatsServer();
});
afterEach(async () => {
  for (const one of running.splice(0)) await end(one);
  await server.stop();
});

async function start(name: string, format: number): Promise<Running> {
  const bus = await connectNats({ servers: server.url, layout: { partitions, streams: 2 } });
  try {
    const one = { bus, host: await hostOver(bus, { name, format, leaseMs }) };
    running.push(one);
    return one;
  } catch (error) {
    await bus.close();
    throw error;
  }
}

async function end(one: Running): Promise<void> {
  running = running.filter((other) => other !== one);
  await one.host.stop(10_000);
  await one.bus.close();
}

/** As kill -9 does it: no hand-over, nobody listens any more. */
async function kill(one: Running): Promise<void> {
  running = running.filter((other) => other !== one);
  for (const partition of one.host.node.partitions.values()) partition.abandon();
  one.host.node.membership.abandon();
  await one.bus.close();
}

/** A key in each partition. */
const keys = Array.from({ length: partitions }, (_, p) => {
  for (let i = 0; ; i++) if (partitionOf(`k${i}`, partitions) === p) return `k${i}`;
});

async function addEverywhere({ host }: Running, total: number): Promise<void> {
  const replies = await Promise.all(
    keys.map(async (key) => (await host.runtime.ask(at(key), { type: "add" }, { timeoutMs: 60_000 })).reply),
  );
  expect(replies).toEqual(keys.map(() => total));
}

/** Format of each stored group, by partition, in order. */
async function formatsOf({ bus }: Running): Promise<number[][]> {
  const all: number[][] = [];
  for (let p = 0; p < partitions; p++) {
    const last = await bus.journal.last(p);
    const formats: number[] = [];
    if (last !== null)
      for await (const message of bus.journal.read(p, 1, last.seq)) formats.push(message.bytes[2] ?? 0);
    all.push(formats);
  }
  return all;
}

async function recordFormats({ bus }: Running): Promise<Set<number>> {
  const found = new Set<number>();
  for (let p = 0; p < partitions; p++) for await (const { bytes } of bus.records.scan(p, [])) found.add(bytes[2] ?? 0);
  return found;
}

const members = ({ host }: Running) => host.node.membership.members.length;
const owned = ({ host }: Running) => [...host.node.partitions.values()].filter((p) => p.phase === "serving").length;
const settled = () => running.reduce((sum, one) => sum + owned(one), 0) === partitions;

describe("nodes of two versions side by side", () => {
  test("all write what the oldest reads, whoever takes over from whom; the newer format comes when it has gone", async () => {
    const old = await start("old", older);
    await addEverywhere(old, 1);
    // The roll: a newer node joins, takes partitions, and their journals stay readable for the older one.
    const first = await start("first", newer);
    const second = await start("second", newer);
    await until(() => settled() && owned(first) + owned(second) > 0 && members(first) === 3, 30_000, "the newer nodes");
    await addEverywhere(first, 2);
    await addEverywhere(old, 3);
    // Back: what the newer nodes wrote is taken over by the older one, which would refuse format 2.
    await kill(first);
    await kill(second);
    await until(() => owned(old) === partitions, 30_000, "the older node's take-over");
    await addEverywhere(old, 4);
    expect(old.host.node.faults.size).toBe(0);
    expect([...new Set((await formatsOf(old)).flat())]).toEqual([older]);
    // Forward: the newer nodes again, and the older one leaves for good.
    const third = await start("third", newer);
    expect(third.host.node.membership.written).toBe(older);
    await until(() => settled() && members(third) === 2, 30_000, "the newer node");
    await end(old);
    await until(() => third.host.node.membership.written === newer, 30_000, "the newer format");
    await addEverywhere(third, 5);
    const formats = await formatsOf(third);
    expect(formats.every((one) => one.at(-1) === newer && one[0] === older)).toBe(true);
    await until(async () => (await recordFormats(third)).has(newer), 20_000, "records of the newer format");
    // Records of both formats, journals that change it in the middle: the next owner reads them all.
    await kill(third);
    const fourth = await start("fourth", newer);
    await addEverywhere(fourth, 6);
    const page = await fourth.host.runtime.list({ type: "counter", limit: 200 });
    expect(page.items).toHaveLength(partitions);
  }, 180_000);

  test("an older node does not join a cluster that writes the newer format: it says why, and nothing moves", async () => {
    const one = await start("one", newer);
    await addEverywhere(one, 1);
    expect(new Set((await formatsOf(one)).flat())).toEqual(new Set([newer]));
    await expect(start("late", older)).rejects.toThrow(
      `The member one (${one.host.node.boot}) writes format ${newer}; this Troupe reads up to ${older}. Start a newer Troupe.`,
    );
    await addEverywhere(one, 2);
    expect(owned(one)).toBe(partitions);
  }, 60_000);

  test("an older node alone on a newer store refuses each partition by name and changes nothing", async () => {
    const one = await start("one", newer);
    await addEverywhere(one, 1);
    await end(one);
    const late = await start("late", older);
    const before = await formatsOf(late);
    expect([...late.host.node.faults.keys()].sort()).toEqual(keys.map((_, p) => p));
    for (const fault of late.host.node.faults.values())
      expect(fault.message).toBe(
        `A stored message has format version ${newer}; this Troupe reads up to ${older}. Start a newer Troupe.`,
      );
    await expect(late.host.runtime.ask(at(keys[0] as string), { type: "add" }, { timeoutMs: 500 })).rejects.toThrow();
    expect(late.host.node.ready).toBe(false);
    expect(await formatsOf(late)).toEqual(before);
    await end(late);
    await addEverywhere(await start("again", newer), 2);
  }, 60_000);

  test("the written format rises only after a while: an older node that restarts finds what it can read", async () => {
    const old = await start("old", older);
    const young = await start("young", newer);
    await until(() => settled() && members(young) === 2, 30_000, "both");
    await addEverywhere(young, 1);
    await kill(old);
    await until(() => members(young) === 1, 30_000, "its end");
    const back = await start("old", older);
    await until(() => settled() && members(young) === 2, 30_000, "it to be back");
    await addEverywhere(back, 2);
    expect(new Set((await formatsOf(back)).flat())).toEqual(new Set([older]));
    expect([...back.host.node.faults, ...young.host.node.faults]).toEqual([]);
  }, 60_000);
});
