/** The gateway's WebSocket: subscriptions, replays, filters, requests, both formats, slow readers, bounds. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client, type Message } from "./support/socket.ts";
import { type Started, start } from "./support/start.ts";

let on: Started;
beforeAll(async () => {
  on = await start({ limits: { wsSubscriptionsMax: 3, wsMessageBytesMax: 65_536, wsRequestsMax: 4 } });
});
afterAll(() => on.gateway.close(100));

let roots = 0;
const newRoot = () => `run_ws${++roots}`;
const emit = (root: string, name: string, data = {}) => on.runtime.emit(root, "task", `${root}~a`, "echo", name, data);

describe.each(["json", "msgpack"])("%s", (format) => {
  test("subscribe, events with cursors, unsubscribe", async () => {
    const root = newRoot();
    const client = await Client.open(on.base, [format]);
    expect(client.socket.protocol).toBe(format);
    const subscribed = await client.call({ type: "subscribe", id: "s", pattern: `event.${root}.>` });
    expect(subscribed).toEqual({ type: "subscribed", id: "s", cursor: expect.any(String) });
    emit("elsewhere", "started");
    const stored = emit(root, "started", { attempt: 1, text: 'ü\u2028"' });
    const event = await client.next((m) => m.type === "event");
    expect(event).toEqual({
      type: "event",
      id: "s",
      cursor: stored.cursor,
      event: {
        subject: stored.subject,
        root,
        no: 1,
        type: "task",
        kind: "echo",
        key: `${root}~a`,
        name: "started",
        at: new Date(stored.at).toISOString(),
        data: { attempt: 1, text: 'ü\u2028"' },
      },
    });
    expect(await client.call({ type: "unsubscribe", id: "s" })).toEqual({ type: "unsubscribed", id: "s" });
    emit(root, "completed");
    await client.call({ type: "ping", id: "p" });
    expect(client.events("s")).toHaveLength(1);
    client.close();
  });

  test("requests reach the operations; errors come by id", async () => {
    const client = await Client.open(on.base, [format]);
    const made = await client.call({
      type: "request",
      id: "1",
      operation: "runs.create",
      input: { workflow: { name: "echo" }, input: { a: [1, null, "x"] } },
      idempotency_key: `ws-${format}`,
    });
    expect(made).toMatchObject({ type: "reply", id: "1", result: { run: { input: { a: [1, null, "x"] } } } });
    const { run_id } = made.result.run;
    const read = await client.call({ type: "request", id: "2", operation: "runs.get", input: { run_id } });
    expect(read.result.run_id).toBe(run_id);
    const bad = await client.call({ type: "request", id: "3", operation: "runs.list", input: { limit: 0, colour: 1 } });
    expect(bad).toMatchObject({
      type: "error",
      id: "3",
      error: { code: "invalid_input", correlation_id: expect.any(String) },
    });
    expect(bad.error.details.problems.map((p: { path: string }) => p.path)).toEqual(
      expect.arrayContaining(["limit", "colour"]),
    );
    expect((await client.call({ type: "request", id: "4", operation: "nope" })).error.code).toBe("not_found");
    client.close();
  });
});

test("a number as id comes back as text", async () => {
  const client = await Client.open(on.base);
  client.send({ type: "request", id: 7, operation: "system.live" });
  expect(await client.next((m) => m.id === "7")).toEqual({ type: "reply", id: "7", result: { status: "ok" } });
  client.close();
});

test("every operation of the table can be requested", async () => {
  const { operations } = await import("../../src/gateway/index.ts");
  const client = await Client.open(on.base);
  // A published contract's routes leave unknown fields out; their own tests go through them.
  for (const { name } of operations.filter(({ lenient }) => lenient !== true)) {
    const answer = await client.call({ type: "request", id: name, operation: name, input: { unknown_field: 1 } });
    expect([
      name,
      answer.error?.code,
      answer.error?.details?.problems?.some((p: Message) => p.path === "unknown_field"),
    ]).toEqual([name, "invalid_input", true]);
  }
  client.close();
});

test("patterns: one token, the rest, several subscriptions at once", async () => {
  const root = newRoot();
  const client = await Client.open(on.base);
  await client.call({ type: "subscribe", id: "all", pattern: ">" });
  await client.call({ type: "subscribe", id: "done", pattern: "event.*.task.*.*.completed" });
  await client.call({ type: "subscribe", id: "short", pattern: "event.*" });
  emit(root, "started");
  emit(root, "completed");
  await client.next((m) => m.type === "event" && m.id === "done");
  expect(client.events("all").map((m) => m.event.name)).toEqual(["started", "completed"]);
  expect(client.events("done").map((m) => m.event.name)).toEqual(["completed"]);
  expect(client.events("short")).toEqual([]);
  client.close();
});

test.each([
  "",
  "event..x",
  "event.>.x",
  "event.a b",
  "event.x*",
  "task.*.completed",
  `event.${"a.".repeat(20)}b`,
  "event.\u0007",
])("the pattern %j is refused", async (pattern) => {
  const client = await Client.open(on.base);
  const answer = await client.call({ type: "subscribe", id: "s", pattern });
  expect(answer.error.code).toBe("invalid_input");
  expect(answer.error.details.problems[0].path).toBe("pattern");
  client.close();
});

test("a filter matches attributes and data; a list means any of them", async () => {
  const root = newRoot();
  const client = await Client.open(on.base);
  await client.call({
    type: "subscribe",
    id: "f",
    pattern: `event.${root}.>`,
    filter: { name: ["completed", "failed"], stage: "merge", ok: true },
  });
  emit(root, "completed", { stage: "merge", ok: true });
  emit(root, "completed", { stage: "other", ok: true });
  emit(root, "started", { stage: "merge", ok: true });
  emit(root, "failed", { stage: "merge", ok: true });
  emit(root, "failed", { stage: "merge", ok: "true" });
  emit(root, "failed", {});
  await client.call({ type: "ping", id: "p" });
  expect(client.events("f").map((m) => m.event.no)).toEqual([1, 4]);
  client.close();
});

test("since replays what came after the cursor, then live, without gap or double", async () => {
  const root = newRoot();
  const first = emit(root, "started", { i: 0 });
  for (let i = 1; i < 500; i++) emit(root, "progressed", { i });
  const client = await Client.open(on.base);
  client.send({ type: "subscribe", id: "r", pattern: `event.${root}.>`, since: first.cursor });
  for (let i = 500; i < 1_000; i++) {
    emit(root, "progressed", { i });
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await client.next((m) => m.type === "event" && m.event.data.i === 999);
  expect(client.messages[0]).toEqual({ type: "subscribed", id: "r", cursor: first.cursor });
  expect(client.events("r").map((m) => m.event.data.i)).toEqual(Array.from({ length: 999 }, (_, i) => i + 1));
  const again = await Client.open(on.base);
  again.send({ type: "subscribe", id: "r", pattern: `event.${root}.>`, since: client.events("r")[700].cursor });
  await again.next((m) => m.type === "event" && m.event.data.i === 999);
  expect(again.events("r")).toHaveLength(298);
  client.close();
  again.close();
});

test("a cursor that is too old names the oldest; one that is none is refused", async () => {
  on.runtime.oldest = 5;
  const client = await Client.open(on.base);
  const old = await client.call({ type: "subscribe", id: "o", pattern: ">", since: "c1" });
  on.runtime.oldest = 0;
  expect(old.error).toMatchObject({ code: "cursor_expired", details: { oldest: "c5" } });
  expect((await client.call({ type: "subscribe", id: "o", pattern: ">", since: "junk" })).error.code).toBe(
    "invalid_input",
  );
  // The id is free again.
  expect((await client.call({ type: "subscribe", id: "o", pattern: ">" })).type).toBe("subscribed");
  client.close();
});

test("publish and request reach agents' own subjects only", async () => {
  const client = await Client.open(on.base);
  expect(await client.call({ type: "publish", id: "p", subject: "agent.echo.hello", data: { a: 1 } })).toEqual({
    type: "reply",
    id: "p",
    result: null,
  });
  expect(on.runtime.published.at(-1)).toEqual({ subject: "agent.echo.hello", data: { a: 1 } });
  const asked = await client.call({ type: "request", id: "q", subject: "agent.echo.hello", data: 5, timeout_ms: 1234 });
  expect(asked.result).toEqual({ subject: "agent.echo.hello", data: 5, timeoutMs: 1234 });
  expect((await client.call({ type: "request", id: "n", subject: "agent.nobody.x", data: 5 })).error.code).toBe(
    "agent_unavailable",
  );
  for (const subject of ["journal.0", "agent", "agent.*", "agent.x.>", "agent..x", "$JS.API", "agent. x"]) {
    expect((await client.call({ type: "publish", id: subject, subject, data: 1 })).error.code).toBe("invalid_input");
  }
  expect(
    (await client.call({ type: "request", id: "b", subject: "agent.a.b", operation: "runs.list" })).error.code,
  ).toBe("invalid_input");
  client.close();
});

describe("bad messages are answered and the connection stays", () => {
  test.each([
    "nonsense",
    "[]",
    "null",
    '{"type":"fly"}',
    '{"type":"subscribe"}',
    '{"type":"ping","more":1}',
    '{"type":"ping","__proto__":{}}',
  ])("%s", async (text) => {
    const client = await Client.open(on.base);
    client.send(text);
    const answer = await client.next((m) => m.type === "error");
    expect(answer.error.code).toBe("invalid_input");
    expect(await client.call({ type: "ping", id: "p" })).toEqual({ type: "pong", id: "p" });
    client.close();
  });

  test("binary rubbish in MessagePack", async () => {
    const client = await Client.open(on.base, ["msgpack"]);
    client.socket.send(Buffer.from([0xc1, 0xff, 0x00]));
    expect((await client.next((m) => m.type === "error")).error.code).toBe("invalid_input");
    client.close();
  });
});

test("bounds: subscriptions, waiting requests, ids in use, message size", async () => {
  const client = await Client.open(on.base);
  for (const id of ["1", "2", "3"]) await client.call({ type: "subscribe", id, pattern: ">" });
  expect((await client.call({ type: "subscribe", id: "4", pattern: ">" })).error.code).toBe("overloaded");
  expect((await client.call({ type: "subscribe", id: "3", pattern: ">" })).error.code).toBe("already_exists");
  expect((await client.call({ type: "unsubscribe", id: "9" })).error.code).toBe("not_found");
  let release: () => void = () => undefined;
  const gate = new Promise<never>((_, reject) => (release = () => reject(new Error("late"))));
  const { request } = on.runtime;
  on.runtime.request = () => gate;
  for (let i = 0; i < 4; i++) client.send({ type: "request", id: `w${i}`, subject: "agent.x.y" });
  expect((await client.call({ type: "request", id: "w5", subject: "agent.x.y" })).error).toMatchObject({
    code: "overloaded",
    retryable: true,
  });
  release();
  on.runtime.request = request;
  expect((await client.next((m) => m.id === "w3")).error.code).toBe("internal");
  client.send(JSON.stringify({ type: "ping", id: "x".repeat(70_000) }));
  expect([1006, 1009]).toContain((await client.closed).code);
});

test("a slow reader is told and closed with 1013; others go on; memory stays bounded", async () => {
  const small = await start({ limits: { wsBufferBytesMax: 300_000 } });
  const slow = await Client.open(small.base);
  const quick = await Client.open(small.base);
  await slow.call({ type: "subscribe", id: "s", pattern: ">" });
  await quick.call({ type: "subscribe", id: "s", pattern: ">" });
  slow.socket.pause();
  const big = "x".repeat(10_000);
  let sent = 0;
  while (small.gateway.clients === 2 && sent < 5_000) {
    for (let i = 0; i < 20; i++, sent++) small.runtime.emit("r", "task", "r~a", "echo", "started", { big });
    await quick.next((m) => m.type === "event" && m.event.no === sent);
  }
  expect(sent).toBeLessThan(5_000);
  slow.socket.resume();
  const { code } = await slow.closed;
  expect(code).toBe(1013);
  const told = slow.messages.at(-1);
  expect(told).toMatchObject({ type: "error", error: { code: "overloaded", retryable: true } });
  const seen = slow.events("s").map((m) => m.event.no);
  expect(seen).toEqual(Array.from({ length: seen.length }, (_, i) => i + 1));
  expect(quick.events("s")).toHaveLength(sent);
  // It goes on from its last cursor.
  const again = await Client.open(small.base);
  again.send({ type: "subscribe", id: "s", pattern: ">", since: slow.events("s").at(-1).cursor });
  await again.next((m) => m.type === "event" && m.event.no === sent);
  expect(again.events("s").map((m) => m.event.no)).toEqual(
    Array.from({ length: sent - seen.length }, (_, i) => seen.length + i + 1),
  );
  quick.close();
  again.close();
  await small.gateway.close(0);
});

test("a long replay waits for its reader, and one that stalls is told and closed", async () => {
  const small = await start({ limits: { wsBufferBytesMax: 400_000, stallMs: 2_000 } });
  const big = "x".repeat(10_000);
  for (let i = 0; i < 3_000; i++) small.runtime.emit("r", "task", "r~a", "echo", "started", { big });
  const reader = await Client.open(small.base);
  reader.send({ type: "subscribe", id: "s", pattern: "event.r.>", since: "c0" });
  await reader.next((m) => m.type === "event" && m.event.no === 3_000);
  expect(reader.events("s").map((m) => m.event.no)).toEqual(Array.from({ length: 3_000 }, (_, i) => i + 1));
  const stalled = await Client.open(small.base);
  stalled.socket.pause();
  stalled.send({ type: "subscribe", id: "s", pattern: "event.r.>", since: "c0" });
  await expect.poll(() => small.gateway.clients, { timeout: 15_000 }).toBe(1);
  stalled.socket.resume();
  expect((await stalled.closed).code).toBe(1013);
  expect(stalled.messages.at(-1).error.code).toBe("overloaded");
  reader.close();
  await small.gateway.close(0);
});

test("too many clients are refused with 503", async () => {
  const small = await start({ limits: { wsClientsMax: 1 } });
  const one = await Client.open(small.base);
  await expect(Client.open(small.base)).rejects.toThrow(/503/);
  one.close();
  await one.closed;
  await small.gateway.close(0);
});

test("closing the gateway ends WebSockets with 1001, streams, and refuses what comes", async () => {
  const other = await start();
  other.runtime.put(
    "run",
    "run_c",
    on.runtime.views.get([...on.runtime.views.keys()].find((k) => k.startsWith("run/")) as string) as never,
  );
  const client = await Client.open(other.base);
  const stream = await fetch(`${other.base}/v1/runs/run_c/events`, { headers: { accept: "text/event-stream" } });
  const ended = stream.text();
  await other.gateway.close(1_000);
  expect((await client.closed).code).toBe(1001);
  expect(await ended).toBe(":\n\n");
  await expect(Client.open(other.base)).rejects.toThrow();
});
