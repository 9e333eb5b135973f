/** Requests, callbacks, topics, subscriptions, conflicts, templates: what each does with each command. */
import { describe, expect, it } from "vitest";
import {
  deliveryDefinition as delivery,
  deliveryAttemptsMax,
  deliveryLostMax,
  deliveryPauseMs,
} from "../../src/machines/callback/delivery.ts";
import { callbackDefinition as callback, callsKeptMax } from "../../src/machines/callback/machine.ts";
import { conflictDefinition as conflict } from "../../src/machines/conflict/machine.ts";
import type { Command, Effect } from "../../src/machines/effects.ts";
import { keyedMax, topicDefinition as topic, topicSchema } from "../../src/machines/publication/topic.ts";
import { requestDefinition as request } from "../../src/machines/request/machine.ts";
import { subscriptionDefinition as subscription } from "../../src/machines/subscription/machine.ts";
import { templateDefinition as template } from "../../src/machines/task-template/machine.ts";
import { type Given, given, story } from "./driver.ts";

const sent = (effects: readonly Effect[]) => effects.filter((e) => e.type === "send");

describe("a request", () => {
  const create: Command = {
    type: "request.create",
    source: "orchestrator-001",
    target: "code-gen-001",
    requestType: "generate_code",
    data: { template_id: "express-api" },
    correlationId: "workflow-123",
    timeoutMs: 300_000,
    owner: "key-a",
    requestHash: "h1",
  };
  const respond: Command = {
    type: "request.respond",
    responseId: "resp-001",
    status: "success",
    data: { files: 3 },
    errors: [],
    by: "code-gen-001",
  };
  const grown = (...commands: Given[]) => given(request, "request/req-001", commands);

  it("waits for its target, and for its time", () => {
    const s = grown().when(create);
    expect(story(s.effects)).toEqual(["remind time_out at 300000", "emit requested", 'reply {"created":true}']);
    expect(request.index?.(s.state)).toEqual({
      status: "pending",
      source: "orchestrator-001",
      target: "code-gen-001",
      created: 0,
    });
    expect(request.kind(s.state.context)).toBe("code-gen-001");
  });

  it("is the same when it comes again, and refused when it is another", () => {
    expect(story(grown(create).when(create).effects)).toEqual(['reply {"created":false}']);
    expect(story(grown(create).when({ ...create, requestHash: "h2" }).effects)).toEqual([
      "refuse idempotency_conflict",
    ]);
    const { requestHash: _, ...plain } = create;
    expect(story(grown(plain).when(plain).effects)).toEqual(["refuse already_exists"]);
  });

  it("takes one response", () => {
    const s = grown(create).when(respond);
    expect(story(s.effects)).toEqual(["forget time_out", "emit responded", 'reply {"responded":true}']);
    expect(s.view).toMatchObject({
      status: "responded",
      response: { status: "success", data: { files: 3 }, at: 1_000 },
    });
    expect(story(grown(create, respond).when(respond).effects)).toEqual(['reply {"responded":true}']);
    for (const other of [{ status: "error" }, { data: 1 }, { by: "x" }, { errors: [1] }])
      expect(grown(create, respond).when({ ...respond, ...other }).unhandled).toBe(true);
    expect(grown(create, respond).when({ type: "request.time_out" }).unhandled).toBe(true);
  });

  it("is not answered after its time", () => {
    const late = grown(create, { type: "request.time_out" });
    expect(late.when(respond).unhandled).toBe(true);
    expect(story(grown(create).when({ type: "request.time_out" }).effects)).toEqual(["emit timed_out"]);
  });

  it("can be taken back while it waits", () => {
    const s = grown(create).when({ type: "request.cancel", reason: "no longer needed" });
    expect(story(s.effects)).toEqual(["forget time_out", "emit cancelled", "reply null"]);
    expect(grown(create, respond).when({ type: "request.cancel" }).unhandled).toBe(true);
    expect(story(grown(create, { type: "request.cancel" }).when({ type: "request.cancel" }).effects)).toEqual([
      "reply null",
    ]);
  });

  it("brings its response to an address outside", () => {
    const s = grown({ ...create, callback: { url: "https://a.example/cb" } }).when(respond);
    expect(sent(s.effects)).toEqual([
      {
        type: "send",
        to: { type: "delivery", key: "req-001~callback" },
        command: {
          type: "delivery.begin",
          url: "https://a.example/cb",
          owner: "key-a",
          payload: {
            id: "resp-001",
            request_id: "req-001",
            correlation_id: "workflow-123",
            status: "success",
            data: { files: 3 },
            errors: [],
          },
        },
      },
    ]);
  });

  it("or to a mailbox here; when its time runs out it says that", () => {
    const s = grown({ ...create, callback: { mailbox: "req-001" } }).when({ type: "request.time_out" });
    expect(sent(s.effects)).toMatchObject([
      {
        to: { type: "callback", key: "req-001" },
        command: { type: "callback.receive", data: { status: "timeout", errors: [{ code: "timed_out" }] } },
      },
    ]);
  });
});

describe("a mailbox for callbacks", () => {
  const call = (id: string): Command => ({ type: "callback.receive", id, data: { id }, by: "a" });
  const grown = (...commands: Given[]) => given(callback, "callback/c1", commands);

  it("keeps each call once, the last ones", () => {
    expect(story(grown().when(call("1")).effects)).toEqual(["emit received", 'reply {"received":true}']);
    expect(story(grown(call("1")).when(call("1")).effects)).toEqual(['reply {"received":false}']);
    const many = Array.from({ length: callsKeptMax + 1 }, (_, i) => call(`${i}`));
    const s = grown(...many).when(call("last"));
    expect(s.context.count).toBe(callsKeptMax + 2);
    expect((s.context.calls as { id: string }[]).map(({ id }) => id)).toHaveLength(callsKeptMax);
    expect((s.context.calls as { id: string }[]).at(-1)?.id).toBe("last");
  });

  it("keeps what one commit can hold", () => {
    const large = (id: string): Command => ({ ...call(id), data: "x".repeat(60_000) });
    const s = grown(large("1"), large("2"), large("3")).when(large("4"));
    expect((s.context.calls as { id: string }[]).map(({ id }) => id)).toEqual(["3", "4"]);
    const huge = grown(large("1")).when({ ...call("2"), data: "x".repeat(200_000) });
    expect((huge.context.calls as { id: string }[]).map(({ id }) => id)).toEqual(["2"]);
  });
});

describe("a callback's delivery", () => {
  const begin: Command = { type: "delivery.begin", url: "https://a.example/", payload: { a: 1 }, owner: "k" };
  const report = (attempt: number, rest: object): Command => ({ type: "delivery.report", attempt, ...rest }) as Command;
  const bad = (attempt: number) => report(attempt, { ok: false, status: 503, error: "503" });
  const pause: Command = { type: "xstate.after.pause.delivery.pausing" };
  const grown = (...commands: Given[]) => given(delivery, "delivery/r~callback", commands);

  it("calls, and is done when it is taken", () => {
    expect(story(grown().when(begin).effects)).toEqual(["execute attempt-1"]);
    const s = grown(begin).when(report(1, { ok: true, status: 204 }));
    expect(story(s.effects)).toEqual(["settle attempt-1", "emit delivered"]);
    expect(s.view).toMatchObject({ status: "delivered", lastStatus: 204, endedAt: 1_000 });
    expect(JSON.stringify(s.view)).not.toContain("payload");
  });

  it("tries again after a growing pause", () => {
    const s = grown(begin).when(bad(1), 1_000);
    expect(story(s.effects).slice(0, 2)).toEqual(["settle attempt-1", "emit attempt_failed"]);
    const remind = s.effects.find((e) => e.type === "remind");
    expect(remind?.at).toBe(1_000 + deliveryPauseMs(1, 0, "r~callback#1"));
    expect(story(grown(begin, bad(1)).when(pause).effects)).toContain("execute attempt-2");
    for (let n = 1; n < 15; n++) {
      const ms = deliveryPauseMs(n, 0, `x#${n}`);
      const base = Math.min(3_600_000, 1_000 * 3 ** (n - 1));
      expect(ms).toBeGreaterThanOrEqual(base * 0.8);
      expect(ms).toBeLessThanOrEqual(base * 1.2);
    }
    expect(deliveryPauseMs(1, 60_000, "x")).toBe(60_000);
    expect(deliveryPauseMs(1, 1e9, "x")).toBe(3_600_000);
  });

  it("gives up when the receiver says so, or after its attempts", () => {
    const gone = grown(begin).when(report(1, { ok: false, status: 410, permanent: true, error: "gone" }));
    expect(story(gone.effects)).toEqual(["settle attempt-1", "emit failed"]);
    const commands: Given[] = [begin];
    for (let n = 1; n < deliveryAttemptsMax; n++) commands.push(bad(n), pause);
    expect(story(grown(...commands).when(bad(deliveryAttemptsMax)).effects)).toContain("emit failed");
  });

  it("does not charge attempts that were lost with a process", () => {
    const lose = (n: number): Command => ({ type: "work.lose", id: `attempt-${n}` });
    expect(story(grown(begin).when(lose(1)).effects)).toEqual(["settle attempt-1", "execute attempt-2"]);
    expect(story(grown(begin, lose(1)).when(lose(1)).effects)).toEqual(["refuse conflict"]);
    expect(story(grown(begin, lose(1)).when(bad(1)).effects)).toEqual(["refuse conflict"]);
    const many = Array.from({ length: deliveryLostMax }, (_, i) => lose(i + 1));
    expect(story(grown(begin, ...many).when(lose(deliveryLostMax + 1)).effects)).toContain("emit failed");
  });
});

describe("a topic", () => {
  const publish = (id: string, keyed = false): Command => ({
    type: "topic.publish",
    ...{ id, keyed, data: { n: 1 }, attributes: { project_id: "p" }, source: "a1" },
  });
  const grown = (...commands: Given[]) => given(topic, "topic/orders.paid", commands);

  it("tells every publication as an event", () => {
    const s = grown(publish("1")).when(publish("1"));
    expect(s.effects[0]).toEqual({
      type: "emit",
      name: "published",
      data: { id: "1", topic: "orders.paid", data: { n: 1 }, attributes: { project_id: "p" }, source: "a1" },
    });
    expect(s.context).toMatchObject({ count: 2, lastAt: 1_000, keyed: [] });
    expect(topic.kind(s.state.context)).toBe("orders");
  });

  it("tells one with an idempotency key once", () => {
    expect(story(grown(publish("k", true)).when(publish("k", true)).effects)).toEqual(['reply {"published":false}']);
    const many = Array.from({ length: keyedMax }, (_, i) => publish(`k${i}`, true));
    expect(grown(...many).when(publish("last", true)).context.keyed).toHaveLength(keyedMax);
  });

  it.each(["a", "task.code_generation.completed", "ä.1", "a-b_c/d.e"])("may be called %j", (name) => {
    expect(topicSchema.safeParse(name).success).toBe(true);
  });
  it.each(["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "a~b", "a\u0000", "\ud800", "x".repeat(201)])(
    "may not be called %j",
    (name) => {
      expect(topicSchema.safeParse(name).success).toBe(false);
    },
  );
});

describe("a durable subscription", () => {
  const open: Command = {
    type: "subscription.open",
    ...{ owner: "k", agentId: "a1", topics: ["task.*.completed"], filters: { priority: "high" }, position: "c1" },
  };
  const attach = (session: string): Command => ({ type: "subscription.attach", session });
  const ack = (session: string, position: string, rest = {}): Command => ({
    type: "subscription.acknowledge",
    ...{ session, position, count: 2 },
    ...rest,
  });
  const grown = (...commands: Given[]) => given(subscription, "subscription/s1", commands);

  it("keeps its position when it is opened again", () => {
    const s = grown(open, attach("x"), ack("x", "c9")).when({ ...open, position: "c50", topics: ["a"] });
    expect(story(s.effects)).toEqual(['reply {"created":false}']);
    expect(s.context).toMatchObject({ position: "c9", topics: ["a"], delivered: 2, session: "x" });
    expect(story(grown(open).when({ ...open, owner: "other" }).effects)).toEqual(["refuse already_exists"]);
  });

  it("is read by one session at a time", () => {
    expect(story(grown(open).when(attach("x")).effects)).toEqual(['reply {"position":"c1"}']);
    expect(story(grown(open, attach("x"), attach("y")).when(ack("x", "c2")).effects)).toEqual(["refuse conflict"]);
    expect(grown(open, attach("x"), attach("y")).when(ack("y", "c2")).context.position).toBe("c2");
  });

  it("tells a gap", () => {
    const s = grown(open, attach("x")).when(ack("x", "c7", { gap: true }));
    expect(story(s.effects)).toEqual(["emit gap", "reply null"]);
    expect(s.context).toMatchObject({ gaps: 1, position: "c7" });
  });

  it("ends, and may begin anew at another place", () => {
    const closed = grown(open, attach("x"), { type: "subscription.close" });
    expect(closed.when(ack("x", "c2")).unhandled).toBe(true);
    expect(closed.when(attach("y")).unhandled).toBe(true);
    expect(closed.when({ ...open, position: "c5" }).context).toMatchObject({ position: "c5", session: null });
    expect(subscription.index?.(closed.when({ type: "subscription.close" }).state)).toBeNull();
  });
});

describe("a conflict", () => {
  const report: Command = {
    type: "conflict.report",
    agentId: "agent-123",
    taskId: "task-456",
    conflictType: "resource_contention",
    description: "Multiple agents requesting same GPU resource",
    severity: "high",
    metadata: { resource_id: "gpu-001" },
    reportedBy: "runtime",
  };
  const resolve: Command = {
    type: "conflict.resolve",
    strategy: "priority",
    winner: "task-456",
    losers: [{ task: "task-457", attempt: 3 }],
    by: "operator",
  };
  const grown = (...commands: Given[]) => given(conflict, "conflict/c1", commands);

  it("is open when it is reported, once for its key", () => {
    const s = grown().when(report);
    expect(story(s.effects)).toEqual(["emit reported", 'reply {"created":true}']);
    expect(conflict.index?.(s.state)).toEqual({
      status: "open",
      severity: "high",
      conflictType: "resource_contention",
      agentId: "agent-123",
      taskId: "task-456",
      created: 0,
    });
    for (const g of [grown(report), grown(report, resolve)])
      expect(story(g.when({ ...report, description: "again" }).effects)).toEqual(['reply {"created":false}']);
    const hashed = { ...report, requestHash: "1" };
    expect(story(grown(hashed).when({ ...report, requestHash: "2" }).effects)).toEqual(["refuse idempotency_conflict"]);
  });

  it("makes the losers give way, uncharged, and tells it", () => {
    const s = grown(report).when(resolve);
    expect(story(s.effects)).toEqual(["emit resolved", "send task/task-457 work.lose", 'reply {"resolved":true}']);
    expect(sent(s.effects)[0]).toMatchObject({ command: { id: "attempt-3" } });
    expect(s.view).toMatchObject({ status: "resolved", resolution: { winner: "task-456", losers: ["task-457"] } });
  });

  it("takes one decision", () => {
    expect(story(grown(report, resolve).when(resolve).effects)).toEqual(['reply {"resolved":true}']);
    expect(grown(report, resolve).when({ ...resolve, winner: "task-457" }).unhandled).toBe(true);
  });
});

describe("a template", () => {
  const put = (hash: string): Command => ({ type: "template.put", schema: { type: "object" }, hash });
  it("is what was put last", () => {
    const grown = (...commands: Given[]) => given(template, "template/t", commands);
    expect(story(grown().when(put("1")).effects)).toEqual(["emit put", 'reply {"changed":true}']);
    expect(story(grown(put("1")).when(put("1")).effects)).toEqual(['reply {"changed":false}']);
    expect(grown(put("1")).when(put("2"), 5_000).context).toMatchObject({ hash: "2", createdAt: 0, updatedAt: 5_000 });
  });
});
