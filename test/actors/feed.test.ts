/** The feed's replays: handed over to a live listener without gap or double, under load, stopped midway, trimmed. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FeedEvent } from "../../src/actors/client.ts";
import { decodeCursor } from "../../src/actors/cursor.ts";
import type { Host } from "../../src/actors/host.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { hostOver } from "./support.ts";

const at = (key: string) => ({ type: "counter", key });
const keys = Array.from({ length: 20 }, (_, i) => `c${i}`);
let bus: MemoryBus;
let host: Host;

beforeEach(async () => {
  bus = createMemoryBus({ clock: systemClock, layout: { partitions: 4, streams: 2, replicas: 1 } });
  host = await hostOver(bus);
});
afterEach(async () => {
  await host.stop();
  await bus.close();
});

const addAll = () => Promise.all(keys.map((key) => host.runtime.ask(at(key), { type: "add" })));

/** Each root's numbers in the order they came. */
function numbers(events: readonly FeedEvent[]): Map<string, number[]> {
  const byRoot = new Map<string, number[]>();
  for (const { root, no } of events) byRoot.set(root, [...(byRoot.get(root) ?? []), no]);
  return byRoot;
}

/** Adds without pause until told to stop; resolves with the rounds made. */
function load(): () => Promise<number> {
  let on = true;
  const rounds = (async () => {
    let n = 0;
    for (; on; n++) {
      await addAll();
      // The memory bus needs no time: timers would never have their turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return n;
  })();
  return () => {
    on = false;
    return rounds;
  };
}

test("under steady load a replay catches up, and hands over between two events", async () => {
  const { feed } = host.runtime;
  const since = feed.cursor();
  const live: FeedEvent[] = [];
  const joined: FeedEvent[][] = [];
  await feed.follow({
    pattern: "event.>",
    onEvent: (e) => {
      live.push(e);
      for (const one of joined) one.push(e);
    },
  });
  for (let i = 0; i < 20; i++) await addAll();
  const stop = load();
  const all: FeedEvent[][] = [];
  for (let i = 0; i < 40; i++) {
    const mine: FeedEvent[] = [];
    all.push(mine);
    const from = i % 2 === 0 ? since : (live[i * 7] as FeedEvent).cursor;
    let handedOver = 0;
    await feed.follow({
      pattern: "event.>",
      since: from,
      onEvent: (e) => {
        expect(handedOver).toBe(0);
        mine.push(e);
      },
      onCaughtUp: () => {
        handedOver++;
        joined.push(mine);
      },
    });
    expect(handedOver).toBe(1);
  }
  const rounds = (await stop()) + 20;
  await expect.poll(() => live.length).toBe(rounds * keys.length);
  const whole = Array.from({ length: rounds }, (_, i) => i + 1);
  for (const [i, mine] of all.entries()) {
    const seen = numbers(mine);
    for (const key of keys) {
      const got = seen.get(key) as number[];
      expect(got).toEqual(i % 2 === 0 ? whole : whole.slice(whole.length - got.length));
    }
  }
  for (const [i, mine] of all.entries()) if (i % 2 === 1) expect(mine.length).toBe(rounds * keys.length - i * 7 - 1);
});

/** Live events of some rounds: groups hold several, so that some cursors stand within a message. */
async function told(): Promise<FeedEvent[]> {
  const { feed } = host.runtime;
  const live: FeedEvent[] = [];
  await feed.follow({ pattern: "event.>", onEvent: (e) => live.push(e) });
  for (let i = 0; i < 6; i++) await addAll();
  await expect.poll(() => live.length).toBe(6 * keys.length);
  return live;
}

const within = ({ cursor }: FeedEvent): boolean => decodeCursor(cursor, 2).skip > 0;

test("a replay cut again and again goes on from its last cursor, whichever stream was behind", async () => {
  const { feed } = host.runtime;
  const live = await told();
  for (const [at, first] of live.entries()) {
    if (!within(first)) continue;
    const seen = live.slice(0, at + 1);
    while (seen.length < live.length) {
      const cut = new AbortController();
      await feed.follow({
        pattern: "event.>",
        since: (seen.at(-1) as FeedEvent).cursor,
        signal: cut.signal,
        onEvent: (e) => {
          seen.push(e);
          cut.abort();
        },
      });
    }
    const got = numbers(seen);
    for (const key of keys) expect(got.get(key)).toEqual([1, 2, 3, 4, 5, 6]);
  }
});

test("a signal stops a replay midway, and one that only waits", async () => {
  const { feed } = host.runtime;
  const since = feed.cursor();
  for (let i = 0; i < 5; i++) await addAll();
  const stopping = new AbortController();
  const seen: FeedEvent[] = [];
  await feed.follow({
    pattern: "event.>",
    since,
    signal: stopping.signal,
    onEvent: (e) => {
      seen.push(e);
      if (seen.length === 37) stopping.abort();
    },
    onCaughtUp: () => expect.unreachable(),
  });
  await addAll();
  expect(seen).toHaveLength(37);
  const rest: FeedEvent[] = [];
  const cursor = (seen.at(-1) as FeedEvent).cursor;
  const handle = await feed.follow({ pattern: "event.>", since: cursor, onEvent: (e) => rest.push(e) });
  await expect.poll(() => seen.length + rest.length).toBe(6 * keys.length);
  const got = numbers([...seen, ...rest]);
  for (const key of keys) expect(got.get(key)).toEqual([1, 2, 3, 4, 5, 6]);
  handle.stop();
  await addAll();
  expect(seen.length + rest.length).toBe(6 * keys.length);
  const before = await feed.follow({
    pattern: "event.>",
    since,
    signal: AbortSignal.abort(),
    onEvent: () => expect.unreachable(),
  });
  before.stop();
});

test("a cursor whose messages are trimmed ends in cursor_expired, not in a gap; from the oldest on all is there", async () => {
  await host.stop();
  host = await hostOver(bus, { replayBytes: 0, flushMs: 20 });
  const since = host.runtime.feed.cursor();
  await expect
    .poll(
      async () => {
        await addAll();
        return (await bus.journal.bounds(0)).firstSeq;
      },
      { timeout: 10_000 },
    )
    .toBeGreaterThan(10);
  // A process that has the messages in memory may still tell them; a new one may not.
  await host.stop();
  host = await hostOver(bus, { replayBytes: 0, flushMs: 20 });
  const replay = (from: string) =>
    host.runtime.feed.follow({ pattern: "event.>", since: from, onEvent: () => undefined });
  const error = await replay(since).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "cursor_expired", details: { oldest: expect.any(String) } });
  (await replay((error as { details: { oldest: string } }).details.oldest)).stop();
});
