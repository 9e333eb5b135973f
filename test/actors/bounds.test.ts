/** Everything has a bound; what happens at it. */
import { expect, test } from "vitest";
import { limits } from "../../src/actors/limits.ts";
import { emit, remind, send } from "../../src/machines/effects.ts";
import { Cluster, codeOf, counterAt, probeAt } from "./cluster.ts";
import { doing } from "./probe.ts";

const small = { payloadBytesMax: 200_000 };
const text = (bytes: number) => "x".repeat(bytes);

test("a group that grows too large is made again in parts, each command once and in order", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only", small);
  await cluster.ask(node, counterAt("a"), { type: "add" });
  node.gate.closed = true;
  const blocker = node.runtime.ask(counterAt("b"), { type: "add" });
  await cluster.clock.advance(10);
  // Small commands with large changes: each event is 9 kB, all in one group would be far too much.
  const asks = Array.from({ length: 60 }, (_, i) =>
    node.runtime.ask(probeAt(`p${i % 3}`), doing([emit("e", { text: text(9000), i })]), { timeoutMs: 60_000 }),
  );
  await cluster.clock.advance(10);
  node.gate.open();
  await cluster.until(Promise.all([blocker, ...asks]));
  for (let a = 0; a < 3; a++) {
    const { events } = await cluster.until(node.runtime.history(`p${a}`, 0, 100));
    expect(events.map((e) => e.data.i)).toEqual(Array.from({ length: 20 }, (_, n) => n * 3 + a));
  }
  expect(Math.max(...node.appends.map((a) => a.bytes.length))).toBeLessThanOrEqual(small.payloadBytesMax);
});

test("a command that is too large, or changes too much, is refused and changes nothing", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only", small);
  const big = { type: "hear", text: text(150_000) };
  expect(await cluster.until(codeOf(node.runtime.ask(counterAt("a"), big)))).toBe("too_large");
  expect(await cluster.until(codeOf(node.runtime.read(counterAt("a"))))).toBe("not_found");
  const wide = doing(Array.from({ length: 10 }, (_, i) => send(probeAt(`t${i}`), doing([], { keep: text(30_000) }))));
  const compact = { ...wide, effects: wide.effects };
  expect(await cluster.until(codeOf(node.runtime.ask(probeAt("w"), compact)))).toBe("too_large");
  expect(await cluster.until(codeOf(node.runtime.read(probeAt("t0"))))).toBe("not_found");
  expect((await cluster.ask(node, counterAt("a"), { type: "add" })).reply).toBe(1);
});

test("a too large change beside a repeated and a large other one ends, and all are answered", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only", small);
  await cluster.ask(node, counterAt("a"), { type: "add" });
  node.gate.closed = true;
  const blocker = node.runtime.ask(counterAt("b"), { type: "add" });
  await cluster.clock.advance(10);
  const grow = (times: number) => ({ type: "grow", times, bytes: 30_000 });
  const outcomes = [
    codeOf(node.runtime.ask(counterAt("a"), { type: "add" })),
    codeOf(node.runtime.ask(probeAt("w"), grow(2))),
    codeOf(node.runtime.ask(probeAt("w"), grow(12))),
    codeOf(node.runtime.ask(counterAt("late"), { type: "unknown" })),
    codeOf(node.runtime.ask(probeAt("w"), grow(4))),
    codeOf(node.runtime.ask(counterAt("a"), { type: "add" })),
  ];
  await cluster.clock.advance(10);
  node.gate.open();
  await cluster.until(Promise.all([blocker, ...outcomes]));
  expect(await outcomes[0]).toMatchObject({ reply: 2 });
  expect(await outcomes[1]).toMatchObject({ step: 1 });
  expect(await outcomes[2]).toBe("too_large");
  expect(await outcomes[3]).toBe("not_found");
  expect(await outcomes[4]).toMatchObject({ step: 2 });
  expect(await outcomes[5]).toMatchObject({ reply: 3 });
});

test("a letter and a reminder whose change no commit can hold become dead letters; the partition goes on", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const node = await cluster.start("only", small);
  const [from, to] = [cluster.keyIn(0), cluster.keyIn(1)];
  const grow = { type: "grow", times: 10, bytes: 30_000 };
  await cluster.ask(node, probeAt(to), doing([remind("r", cluster.clock.now() + 5000, grow)]));
  await cluster.ask(
    node,
    probeAt(from),
    doing([send(probeAt(to), grow), send(probeAt(to), doing([], { keep: "after" }))]),
  );
  await cluster.clock.advance(10_000);
  expect([...node.host.node.faults]).toEqual([]);
  expect((await cluster.view(node, probeAt(to))).kept).toBe("after");
  const { events } = await cluster.until(node.runtime.history(to, 0, 100));
  expect(events.map((e) => [e.name, e.data.command])).toEqual([
    ["dead_lettered", grow],
    ["dead_lettered", grow],
  ]);
  cluster.kill(node);
  const next = await cluster.start("next", small);
  await cluster.clock.advance(10_000);
  expect((await cluster.until(next.runtime.history(to, 0, 100))).last).toBe(2);
});

test("asks beyond the inbox's bound are answered overloaded at once", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  await cluster.ask(node, counterAt("a"), { type: "add" });
  const bound = limits as { inboxAsksMax: number };
  const before = bound.inboxAsksMax;
  bound.inboxAsksMax = 100;
  try {
    node.gate.closed = true;
    const blocker = codeOf(node.runtime.ask(counterAt("a"), { type: "add" }, { timeoutMs: 60_000 }));
    await cluster.clock.advance(10);
    const outcomes = Array.from({ length: 130 }, () =>
      codeOf(node.runtime.ask(counterAt("a"), { type: "add" }, { timeoutMs: 60_000 })),
    );
    const refused = { count: 0 };
    for (const outcome of outcomes) void outcome.then((o) => o === "overloaded" && refused.count++);
    await cluster.clock.advance(10);
    expect(refused.count).toBe(30);
    node.gate.open();
    await cluster.until(Promise.all([blocker, ...outcomes]));
  } finally {
    bound.inboxAsksMax = before;
  }
  expect((await cluster.view(node, counterAt("a"))).count).toBe(102);
});

test("a machine that asks for too many effects, or for what is not JSON, changes nothing", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only", { payloadBytesMax: 1_000_000 });
  const many = doing(Array.from({ length: limits.stepEffectsMax + 1 }, () => emit("e")));
  expect(await cluster.until(codeOf(node.runtime.ask(probeAt("a"), many)))).toBe("internal");
  // Found out only when the effects are looked at: the first of the two would be fine.
  const deep = { type: "grow", times: 2, depth: 300, keep: "changed" };
  expect(await cluster.until(codeOf(node.runtime.ask(probeAt("a"), deep)))).toBe("invalid_input");
  expect(await cluster.until(codeOf(node.runtime.read(probeAt("a"))))).toBe("not_found");
});

test("an event without a kind or with a lone surrogate in its name stops nobody", async () => {
  const { probe } = await import("./probe.ts");
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only", { definitions: [{ ...probe, kind: () => "" }] });
  const subjects: string[] = [];
  await node.runtime.feed.follow({ pattern: "event.>", onEvent: (e) => subjects.push(e.subject) });
  await cluster.ask(node, probeAt("a"), doing([emit("odd\ud800"), emit("")]));
  await cluster.clock.advance(500);
  expect(subjects).toEqual(["event.a.probe.unknown.a.odd=EF=BF=BD", "event.a.probe.unknown.a.-"]);
});

test("remembered replies are bounded by what the partition's own record can hold", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const node = await cluster.start("only", { payloadBytesMax: 100_000, flushMs: 100 });
  // An ask that goes on waiting keeps all later ones of this process remembered.
  cluster.fault = (call) => (call.operation === "append" && call.about === "1" ? { kind: "drop" } : undefined);
  const waiting = codeOf(node.runtime.ask(probeAt(cluster.keyIn(1)), doing([]), { timeoutMs: 60_000 }));
  await cluster.clock.advance(10);
  const talk = doing([{ type: "reply", value: text(2_000) }], { keep: 1 });
  const outcomes: unknown[] = [];
  for (let i = 0; i < 80; i++)
    outcomes.push(await cluster.until(codeOf(node.runtime.ask(probeAt(cluster.keyIn(0)), talk))));
  await cluster.clock.advance(2000);
  expect([...node.host.node.faults]).toEqual([]);
  expect(outcomes.at(-1)).toBe("overloaded");
  cluster.fault = undefined;
  expect(await cluster.until(waiting)).toMatchObject({ step: 1 });
  await cluster.clock.advance(200_000);
  expect(await cluster.until(codeOf(node.runtime.ask(probeAt(cluster.keyIn(0)), talk)))).toMatchObject({});
});
