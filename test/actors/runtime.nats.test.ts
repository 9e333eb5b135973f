import { afterAll, beforeAll, expect, test } from "vitest";
import type { FeedEvent } from "../../src/actors/client.ts";
import { connectNats } from "../../src/bus/nats/bus.ts";
import { startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { hostOver } from "./support.ts";

let server: TestNatsServer;
beforeAll(async () => {
  server = await startNatsServer();
});
afterAll(() => server.stop());

const at = (key: string) => ({ type: "counter", key });

test("commands are committed, read, listed and survive a new owner", async () => {
  const bus = await connectNats({ servers: server.url, layout: { partitions: 4, streams: 2, replicas: 1 } });
  const host = await hostOver(bus);
  const seen: FeedEvent[] = [];
  await host.runtime.feed.follow({ pattern: "event.*.counter.>", onEvent: (e) => seen.push(e) });
  const keys = Array.from({ length: 50 }, (_, i) => `c${i}`);
  for (let round = 1; round <= 4; round++) {
    const answers = await Promise.all(keys.map((k) => host.runtime.ask(at(k), { type: "add" })));
    expect(answers.every((a) => a.reply === round)).toBe(true);
  }
  await expect(host.runtime.ask(at("c1"), { type: "refuse" })).rejects.toMatchObject({
    code: "precondition_failed",
    details: { why: "test" },
  });
  await expect(host.runtime.ask(at("c1"), { type: "unknown" })).rejects.toMatchObject({ code: "conflict" });
  await expect(host.runtime.ask(at("none"), { type: "unknown" })).rejects.toMatchObject({ code: "not_found" });
  await expect(host.runtime.ask(at("c1"), { type: "explode" })).rejects.toMatchObject({ code: "internal" });
  await host.runtime.ask(at("c0"), { type: "forward", to: keys, command: { type: "hear", text: "hi" } });
  await expect.poll(async () => (await host.runtime.read(at("c49"))).view).toMatchObject({ count: 4, heard: ["hi"] });
  await expect.poll(() => seen.length).toBe(200);
  const page = await host.runtime.list({ type: "counter", limit: 30 });
  const rest = await host.runtime.list({ type: "counter", limit: 30, cursor: page.nextCursor as string });
  expect(new Set([...page.items, ...rest.items].map((i) => i.address.key)).size).toBe(50);
  expect(rest.nextCursor).toBeNull();
  // A second owner that knows nothing, while the first is frozen out by its epoch.
  const bus2 = await connectNats({ servers: server.url });
  for (const p of host.node.partitions.values()) p.abandon();
  host.node.membership.abandon();
  await bus.close();
  const host2 = await hostOver(bus2);
  expect((await host2.runtime.read(at("c7"))).view).toMatchObject({ count: 4, heard: ["hi"] });
  expect((await host2.runtime.ask(at("c7"), { type: "add" })).reply).toBe(5);
  const history = await host2.runtime.history("c7", 0, 100);
  expect(history.events.map((e) => e.no)).toEqual([1, 2, 3, 4, 5]);
  expect((await host2.runtime.list({ type: "counter", limit: 200 })).items.length).toBe(50);
  const again: FeedEvent[] = [];
  await host2.runtime.feed.follow({
    pattern: "event.c7.>",
    since: (seen[99] as FeedEvent).cursor,
    onEvent: (e) => again.push(e),
  });
  await expect.poll(() => again.map((e) => e.no)).toEqual([3, 4, 5]);
  await host2.stop();
  await bus2.close();
});
