/** Invariant 2: nothing leaves before the commit that holds it. And what becomes of commits that fail. */
import { expect, test } from "vitest";
import type { FeedEvent } from "../../src/actors/client.ts";
import { decodeGroup } from "../../src/actors/group.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import type { Fault } from "../../src/bus/memory/faults.ts";
import { Cluster, codeOf, counterAt, Notebook, probeAt } from "./cluster.ts";
import { doing } from "./probe.ts";

test("a journal that does not answer lets no reply, event, mail or work out", async () => {
  const cluster = new Cluster({ partitions: 2, streams: 1 });
  const notebook = new Notebook("probe");
  const node = await cluster.start("only", { executors: [notebook], flushMs: 60_000 });
  const [a, b] = [cluster.keyIn(0), cluster.keyIn(1)];
  await cluster.ask(node, probeAt(a), doing([]));
  const events: FeedEvent[] = [];
  await node.runtime.feed.follow({ pattern: "event.>", onEvent: (e) => events.push(e) });
  const live: string[] = [];
  node.bus.wire.subscribe("event.>", (m) => live.push(m.subject));
  const mails: string[] = [];
  node.bus.wire.subscribe("mail.>", (m) => mails.push(m.subject));
  node.gate.closed = true;
  let answer: unknown;
  const asked = node.runtime
    .ask(
      probeAt(a),
      doing(
        [
          { type: "reply", value: 7 },
          { type: "emit", name: "happened", data: {} },
          { type: "send", to: probeAt(b), command: doing([], { keep: "mail" }) },
          { type: "execute", id: "w", kind: "probe", spec: {} },
        ],
        { keep: "new" },
      ),
      { timeoutMs: 60_000 },
    )
    .then((it) => {
      answer = it;
    });
  await cluster.clock.advance(20_000);
  expect([answer, events, live, mails, notebook.started]).toEqual([undefined, [], [], [], []]);
  // A read sees the committed state only.
  expect((await cluster.view(node, probeAt(a))).kept).toBe(null);
  expect(await cluster.until(codeOf(node.runtime.read(probeAt(b))))).toBe("not_found");
  node.gate.open();
  await cluster.until(asked);
  await cluster.clock.advance(1000);
  expect(answer).toMatchObject({ reply: 7, view: { kept: "new" } });
  expect(events.map((e) => e.name)).toEqual(["happened"]);
  expect(live.length).toBe(1);
  expect(notebook.started.map((w) => w.id)).toEqual(["w"]);
  expect((await cluster.view(node, probeAt(b))).kept).toBe("mail");
});

test("a full store refuses, changes nothing, and serves again when there is room", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  await cluster.ask(node, counterAt("a"), { type: "add" });
  cluster.fault = (call) => (call.operation === "append" ? { kind: "full" } : undefined);
  expect(await cluster.until(codeOf(node.runtime.ask(counterAt("a"), { type: "add" })))).toBe("storage_full");
  expect((await cluster.view(node, counterAt("a"))).count).toBe(1);
  // A reminder that falls due meanwhile waits.
  cluster.fault = undefined;
  await cluster.clock.advance(1000);
  await cluster.ask(node, counterAt("a"), { type: "remind_me", name: "r", inMs: 500 });
  cluster.fault = (call) => (call.operation === "append" ? { kind: "full" } : undefined);
  await cluster.clock.advance(3000);
  expect((await cluster.view(node, counterAt("a"))).heard).toEqual([]);
  cluster.fault = undefined;
  await cluster.clock.advance(3000);
  expect((await cluster.view(node, counterAt("a"))).heard).toEqual(["reminder r"]);
  expect((await cluster.ask(node, counterAt("a"), { type: "add" })).reply).toBe(2);
});

const doubts: Fault[] = [
  { kind: "drop" },
  { kind: "answer_lost" },
  { kind: "no_responders" },
  { kind: "stored_late", ms: 2500 },
];

test.each(doubts)("an append without a certain outcome ($kind) is repeated with the same bytes", async (fault) => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const codec = await loadCodec();
  const node = await cluster.start("only", { flushMs: 60_000 });
  await cluster.ask(node, counterAt("a"), { type: "add" });
  const before = node.appends.length;
  let left = 3;
  cluster.fault = (call) => (call.operation === "append" && left-- > 0 ? fault : undefined);
  expect((await cluster.ask(node, counterAt("a"), { type: "add" })).reply).toBe(2);
  const tries = node.appends.slice(before);
  expect(tries.length).toBeGreaterThan(1);
  expect(new Set(tries.map((t) => Buffer.from(t.bytes).toString("hex"))).size).toBe(1);
  // What came of it stands in the journal once.
  await cluster.clock.advance(10_000);
  const stored = cluster.store.journal(0).range(0, 0, 1_000_000);
  const adds = stored.filter((m) => decodeGroup(codec, m.bytes).events.some((e) => e.name === "counted"));
  expect(adds.length).toBe(2);
  expect((await cluster.view(node, counterAt("a"))).count).toBe(2);
});

test("an ask whose deadline passed in the queue is refused and does nothing", async () => {
  const cluster = new Cluster({ partitions: 1, streams: 1 });
  const node = await cluster.start("only");
  await cluster.ask(node, counterAt("a"), { type: "add" });
  node.gate.closed = true;
  const first = codeOf(node.runtime.ask(counterAt("a"), { type: "add" }, { timeoutMs: 60_000 }));
  await cluster.clock.advance(10);
  const second = codeOf(node.runtime.ask(counterAt("a"), { type: "add" }, { timeoutMs: 500 }));
  await cluster.clock.advance(2000);
  node.gate.open();
  expect(await cluster.until(first)).toMatchObject({ reply: 2 });
  expect(await cluster.until(second)).toBe("timed_out");
  await cluster.clock.advance(1000);
  expect((await cluster.view(node, counterAt("a"))).count).toBe(2);
});
