/** Subscriptions to topics: missed first, then live, each once and in order, however slow the receiver is. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DurableSession } from "../../src/gateway/durable.ts";
import { followInbox } from "../../src/gateway/request-inbox.ts";
import type { TopicMessage } from "../../src/gateway/topics.ts";
import { address } from "../../src/machines/address.ts";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { until } from "../support/until.ts";
import { gate, gatewayOver, open, publish } from "./support.ts";

let real: Real;
beforeAll(async () => {
  real = await startReal();
});
afterAll(() => real.stop());

let names = 0;
const fresh = () => `t${++names}`;
const fail = (error: unknown): void => {
  throw error;
};
const nOf = (message: TopicMessage) => (message.data as { n: number }).n;
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

test("live: in order, once, though several patterns match", async () => {
  const { subscriber } = gatewayOver(real.runtime);
  const topic = fresh();
  const got: number[] = [];
  const subscription = await subscriber.subscribe({
    topics: [`${topic}.x`, `${topic}.*`, ">"],
    onMessage: (m) => void (m.topic === `${topic}.x` && got.push(nOf(m))),
    onError: fail,
  });
  for (const n of range(0, 20)) await publish(real.runtime, `${topic}.x`, n);
  await until(() => got.length === 20);
  expect(got).toEqual(range(0, 20));
  subscription.stop();
  await publish(real.runtime, `${topic}.x`, 99);
  expect(got).toHaveLength(20);
});

test("a receiver that stands still falls back to stored events: nothing grows, nothing is lost or doubled", async () => {
  const { subscriber } = gatewayOver(real.runtime);
  const topic = fresh();
  const got: number[] = [];
  const hold = gate();
  const subscription = await subscriber.subscribe({
    topics: [`${topic}.>`],
    onMessage: async (m) => {
      await hold.opened;
      got.push(nOf(m));
    },
    onError: fail,
  });
  const count = 2_600;
  for (let n = 0; n < count; n += 100) {
    await Promise.all(range(n, n + 100).map((i) => publish(real.runtime, `${topic}.${i % 3}`, i)));
  }
  const inner = subscription as unknown as { queue: unknown[]; mode: string };
  await until(() => inner.mode === "behind");
  expect(inner.queue.length).toBeLessThanOrEqual(2_049);
  hold.open();
  await until(() => got.length >= count, 60_000);
  expect(got.toSorted((a, b) => a - b)).toEqual(range(0, count));
  await until(() => subscription.idle);
  subscription.stop();
}, 120_000);

test("stopping and resuming anywhere, with receivers of any pace: each message once, in order", async () => {
  const { subscriber } = gatewayOver(real.runtime);
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 30 }),
      fc.array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      async (count, stops, slow) => {
        const topic = fresh();
        const got: number[] = [];
        let since = real.runtime.feed.cursor();
        const writing = (async () => {
          for (const n of range(0, count)) await publish(real.runtime, topic, n, { odd: n % 2 === 1 });
        })();
        for (const take of [...stops, Number.POSITIVE_INFINITY]) {
          const enough = gate();
          let taken = 0;
          const subscription = await subscriber.subscribe({
            topics: [topic],
            since,
            onMessage: (m) => {
              if (taken >= take) return new Promise<void>(() => undefined);
              taken++;
              got.push(nOf(m));
              since = m.stored.cursor;
              if (taken >= take || got.length >= count) enough.open();
              return slow ? Promise.resolve() : undefined;
            },
            onError: fail,
          });
          if (got.length >= count) enough.open();
          await enough.opened;
          subscription.stop();
        }
        await writing;
        expect(got).toEqual(range(0, count));
      },
    ),
    { numRuns: 25 },
  );
}, 120_000);

test("a cursor that is none is refused, a malformed topic too", async () => {
  const { subscriber } = gatewayOver(real.runtime);
  const common = { topics: ["a"], onMessage: () => undefined, onError: fail };
  await expect(subscriber.subscribe({ ...common, since: "x" })).rejects.toMatchObject({ code: "invalid_input" });
  await expect(subscriber.subscribe({ ...common, topics: ["a..b"] })).rejects.toMatchObject({ code: "invalid_input" });
});

test("who was away longer than the window reaches is told of the gap, and goes on from the oldest that is kept", async () => {
  const { subscriber, durable } = gatewayOver(real.runtime);
  const topic = fresh();
  const id = fresh();
  await open(real.runtime, id, [topic]);
  const since = real.runtime.feed.cursor();
  const filler = "x".repeat(60_000);
  let sent = 0;
  let told: string | undefined;
  const got: number[] = [];
  const look = async (): Promise<boolean> => {
    for (let i = 0; i < 10; i++) await publish(real.runtime, topic, sent++, { filler });
    const subscription = await subscriber.subscribe({
      topics: ["none"],
      since,
      onMessage: () => undefined,
      onGap: (oldest) => {
        told = oldest;
      },
      onError: fail,
    });
    subscription.stop();
    return told !== undefined;
  };
  await until(look, 30_000);
  const session = new DurableSession(durable, {
    id,
    onMessage: (m) => void got.push(nOf(m)),
    onGap: () => void got.push(-1),
    onError: fail,
    onReplaced: () => undefined,
  });
  await session.start();
  await until(() => got.at(-1) === sent - 1);
  expect(got[0]).toBe(-1);
  expect(got.slice(1)).toEqual(range(got[1] as number, sent));
  await session.stop();
  expect((await real.runtime.read(address("subscription", id))).view).toMatchObject({ gaps: 1 });
}, 60_000);

test("a durable subscription: what came while nobody listened comes first; a second session takes over", async () => {
  const { durable } = gatewayOver(real.runtime);
  const topic = fresh();
  const id = fresh();
  await open(real.runtime, id, [`${topic}.*`], { odd: true });
  for (const n of range(0, 6)) await publish(real.runtime, `${topic}.a`, n, { odd: n % 2 === 1 });
  const session = (got: number[], replaced: { value: boolean }) =>
    new DurableSession(durable, {
      id,
      onMessage: (m) => void got.push(nOf(m)),
      onError: fail,
      onReplaced: () => {
        replaced.value = true;
      },
    });
  const [first, firstReplaced] = [[] as number[], { value: false }];
  const one = session(first, firstReplaced);
  await one.start();
  await publish(real.runtime, `${topic}.b`, 7, { odd: true });
  await until(() => first.length === 4);
  expect(first).toEqual([1, 3, 5, 7]);
  await one.stop();
  await publish(real.runtime, `${topic}.b`, 9, { odd: true });
  const [second, secondReplaced] = [[] as number[], { value: false }];
  const two = session(second, secondReplaced);
  await two.start();
  await until(() => second.length === 1);
  expect(second).toEqual([9]);
  const [third, thirdReplaced] = [[] as number[], { value: false }];
  const three = session(third, thirdReplaced);
  await three.start();
  await publish(real.runtime, `${topic}.b`, 11, { odd: true });
  await until(() => secondReplaced.value);
  await until(() => third.includes(11));
  await three.stop();
  // What the replaced one had not acknowledged may have come again; nothing is missing.
  expect([...new Set(third)].slice(-1)).toEqual([11]);
  const view = (await real.runtime.read(address("subscription", id))).view as { gaps: number; delivered: number };
  expect(view.gaps).toBe(0);
  expect(view.delivered).toBeGreaterThanOrEqual(5);
  expect(firstReplaced.value || thirdReplaced.value).toBe(false);
});

test("a crashed session's messages come again from the last acknowledged one, none is missing", async () => {
  const { durable } = gatewayOver(real.runtime);
  const topic = fresh();
  const id = fresh();
  await open(real.runtime, id, [topic]);
  const got: number[] = [];
  const lost = new DurableSession(durable, {
    id,
    onMessage: (m) => void got.push(nOf(m)),
    onError: fail,
    onReplaced: () => undefined,
  });
  await lost.start();
  for (const n of range(0, 5)) await publish(real.runtime, topic, n);
  await until(() => got.length === 5);
  // It dies: no stop, nothing acknowledged by it any more.
  const again: number[] = [];
  const next = new DurableSession(durable, {
    id,
    onMessage: (m) => void again.push(nOf(m)),
    onError: fail,
    onReplaced: () => undefined,
  });
  await next.start();
  for (const n of range(5, 8)) await publish(real.runtime, topic, n);
  await until(() => again.at(-1) === 7);
  const from = again[0] as number;
  expect(from).toBeLessThanOrEqual(5);
  expect(again).toEqual(range(from, 8));
  await next.stop();
  await lost.stop();
});

test("an inbox: requests from before first, then new ones, and what becomes of one's own", async () => {
  const { hub, clock } = gatewayOver(real.runtime);
  const [a, b] = [fresh(), fresh()];
  const ask = (id: string, source: string, target: string) =>
    real.runtime.ask(address("request", id), {
      type: "request.create",
      ...{ source, target, requestType: "t", data: { id }, timeoutMs: 60_000, owner: "k" },
    });
  const [r1, r2, r3] = [fresh(), fresh(), fresh()];
  await ask(r1, a, b);
  const requests: string[] = [];
  const ended: string[] = [];
  const inbox = await followInbox({
    runtime: real.runtime,
    hub,
    clock,
    agentId: b,
    onRequest: ({ id }) => void requests.push(id),
    onEnded: ({ id, status }) => void ended.push(`${id} ${status}`),
    onError: fail,
  });
  await ask(r2, a, b);
  await ask(r3, b, a);
  await until(() => requests.length === 2);
  expect(requests).toEqual([r1, r2]);
  const respond = { type: "request.respond", responseId: "x", status: "success", data: 1, errors: [], by: a };
  await real.runtime.ask(address("request", r3), respond);
  await real.runtime.ask(address("request", r1), { ...respond, by: b });
  await until(() => ended.length === 1);
  expect(ended).toEqual([`${r3} responded`]);
  inbox.stop();
});
