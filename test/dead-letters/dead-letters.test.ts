import { afterEach, expect, test } from "vitest";
import { type Host, startHost } from "../../src/actors/host.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { deadLetterDefinition } from "../../src/machines/dead-letter/machine.ts";
import type { Json } from "../../src/machines/effects.ts";
import { counter } from "../actors/counter.ts";
import { quiet } from "../actors/support.ts";
import { at, busOver, check, found, keysOf, memoryStore, until } from "../corruption/support.ts";

const hosts: Host[] = [];
afterEach(async () => {
  for (const host of hosts.splice(0)) await host.stop();
});

async function start(bus: Bus): Promise<Host> {
  const host = await startHost({
    bus,
    definitions: [counter, deadLetterDefinition as never],
    settings: { leaseMs: 400, flushMs: 50, replayBytes: 1 << 20, activeMax: 1000 },
    logger: quiet,
    name: "test",
  });
  hosts.push(host);
  return host;
}

interface Letter {
  readonly id: string;
  readonly status: string;
  readonly to: { type: string; key: string };
  readonly command: { type: string };
  readonly error: string;
  readonly source: string;
  readonly tries: number;
}

async function letters(host: Host, status?: string): Promise<Letter[]> {
  const where = status === undefined ? {} : { where: { status } };
  const { items } = await host.runtime.list({ type: "dead_letter", ...where, limit: 50 });
  return items.map(({ address, view }) => ({ id: address.key, ...(view as object) }) as Letter);
}

const view = async (host: Host, key: string) => (await host.runtime.read(at(key))).view as { count: number };
const ask = (host: Host, id: string, type: string): Promise<{ view: Json }> =>
  host.runtime.ask({ type: "dead_letter", key: id }, { type });

const [near, near2] = keysOf(0, 2) as [string, string];
const [far] = keysOf(1, 1) as [string];

test.each([
  ["from another partition", far],
  ["within the partition", near2],
])("a letter whose step throws, %s: kept with its cause, its actor and those behind it live on", async (_, to) => {
  const store = memoryStore();
  const bus = busOver(store);
  const host = await start(bus);
  for (const key of [near, to]) await host.runtime.ask(at(key), { type: "add" });
  await host.runtime.ask(at(near), { type: "forward", to: [to], command: { type: "explode" } });
  await host.runtime.ask(at(near), { type: "forward", to: [to] });
  await until(async () => (await view(host, to)).count === 2);
  await until(async () => (await letters(host)).length === 1);
  const [letter] = (await letters(host)) as [Letter];
  expect(letter).toMatchObject({
    status: "waiting",
    to: at(to),
    command: { type: "explode" },
    error: "Error: boom",
    tries: 3,
  });
  const { events } = await host.runtime.history(to, 0, 100);
  expect(events.filter((e) => e.name === "dead_lettered")).toHaveLength(1);
  // Killed: it is where it was, once.
  bus.setLink("dead");
  for (const partition of host.node.partitions.values()) partition.abandon();
  host.node.membership.abandon();
  hosts.pop();
  const second = await start(busOver(store));
  await until(async () => (await letters(second)).length > 0);
  expect((await letters(second)).map((l) => l.id)).toEqual([letter.id]);
  // Retried: a new command, which throws again and is kept anew; the first says so.
  await ask(second, letter.id, "dead_letter.retry");
  await until(async () => (await letters(second, "waiting")).length === 1);
  const [again] = (await letters(second, "waiting")) as [Letter];
  expect(again.id).not.toBe(letter.id);
  expect((await letters(second, "retried")).map((l) => l.id)).toEqual([letter.id]);
  await expect(ask(second, letter.id, "dead_letter.retry")).rejects.toMatchObject({ code: "conflict" });
  await ask(second, again.id, "dead_letter.drop");
  await ask(second, again.id, "dead_letter.drop");
  expect(await letters(second, "waiting")).toEqual([]);
  expect((await second.runtime.ask(at(to), { type: "add" })).reply).toBe(3);
  await second.stop();
  hosts.pop();
  expect(found(await check(busOver(store)))).toEqual([]);
});

test("a command to a type that nobody knows waits for somebody who does", async () => {
  const host = await start(busOver(memoryStore()));
  const letter = { to: { type: "novelty", key: far }, command: { type: "begin" } };
  // As it would come from a newer node.
  await host.node.partitions.get(1)?.receive(0, [{ number: 1, letter }]);
  await until(async () => (await letters(host)).length === 1);
  expect((await letters(host))[0]).toMatchObject({ to: letter.to, error: expect.stringContaining("novelty") });
});

test("an ask that throws answers internal and leaves nothing: its asker knows", async () => {
  const host = await start(busOver(memoryStore()));
  await host.runtime.ask(at(near), { type: "add" });
  await expect(host.runtime.ask(at(near), { type: "explode" })).rejects.toMatchObject({ code: "internal" });
  expect(await letters(host)).toEqual([]);
});
