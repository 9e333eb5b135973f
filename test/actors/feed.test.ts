/** The feed's replays: handed over to a live listener without gap or double, under load, stopped midway, trimmed. */
import { afterEach, beforeEach, expect, test } from "vitest";
import type { FeedEvent } from "../../src/actors/client.ts";
import { decodeCursor, encodeCursor } from "../../src/actors/cursor.ts";
import { JournalFeed } from "../../src/actors/feed.ts";
import type { Host } from "../../src/actors/host.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { systemClock } from "../../src/bus/system-clock.ts";
import { hostOver, quiet } from "./support.ts";

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

test("a process that has not heard of a message yet does not tell its beginning again", async () => {
  const live = await told();
  const late: (() => void)[] = [];
  let followers = 0;
  // What follows live hears nothing until told to; reading history works.
  const follow: typeof bus.journal.follow = (stream, from, onMessage) => {
    const held = followers++ < 2;
    return bus.journal.follow(stream, from, (m) => (held ? late.push(() => onMessage(m)) : onMessage(m)));
  };
  const journal = Object.create(bus.journal, { follow: { value: follow } }) as typeof bus.journal;
  const slow = new JournalFeed({ ...bus, journal }, await loadCodec(), quiet);
  await slow.start();
  for (let i = 0; i < 3; i++) await addAll();
  await expect.poll(() => live.length).toBe(9 * keys.length);
  const first = live.findIndex((e, i) => i >= 6 * keys.length && within(e));
  const seen: FeedEvent[] = live.slice(0, first + 1);
  const joined = slow.follow({
    pattern: "event.>",
    since: (live[first] as FeedEvent).cursor,
    onEvent: (e) => seen.push(e),
  });
  await new Promise((resolve) => setTimeout(resolve, 50));
  for (const tell of late) tell();
  await joined;
  await expect.poll(() => seen.length).toBe(live.length);
  const got = numbers(seen);
  for (const key of keys) expect(got.get(key)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  await slow.stop();
});

test("a cursor within a message that is not stored is not waited for", async () => {
  await told();
  const { streams } = decodeCursor(host.runtime.feed.cursor(), 2);
  const since = encodeCursor({ streams, stream: 0, skip: 3 });
  (await host.runtime.feed.follow({ pattern: "event.>", since, onEvent: () => expect.unreachable() })).stop();
});

test("a leader that was away, and answers as it was then, makes no cursor invalid", async () => {
  const live = await told();
  const at = 3 * keys.length;
  let stale = 0;
  const bounds: typeof bus.journal.bounds = async (stream) => {
    const now = await bus.journal.bounds(stream);
    return stale-- > 0 ? { ...now, lastSeq: 1 } : now;
  };
  const journal = Object.create(bus.journal, { bounds: { value: bounds } }) as typeof bus.journal;
  const feed = new JournalFeed({ ...bus, journal }, await loadCodec(), quiet);
  await feed.start();
  stale = 5;
  const seen: FeedEvent[] = [];
  const since = (live[at] as FeedEvent).cursor;
  (await feed.follow({ pattern: "event.>", since, onEvent: (e) => seen.push(e) })).stop();
  expect(stale).toBeLessThan(0);
  expect(seen).toHaveLength(live.length - at - 1);
  await feed.stop();
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
