/** Names of events, patterns over them, filters: pure. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FeedEvent } from "../../src/actors/client.ts";
import { subjectToken } from "../../src/actors/client.ts";
import { checkFilters, passes } from "../../src/gateway/attributes.ts";
import { matchesTopics, parseTopicPattern, subjectsOf, topicMessage, topicOf } from "../../src/gateway/topics.ts";
import { PatternTrie } from "../../src/gateway/trie.ts";
import type { JsonObject } from "../../src/machines/effects.ts";

let numbers = 0;
function event(type: string, kind: string, name: string, data: JsonObject = {}, key = "k1"): FeedEvent {
  const subject = ["event", key, type, kind, key, name].map(subjectToken).join(".");
  return { root: key, no: ++numbers, type, key, kind, name, at: 1, data, subject, cursor: `c${numbers}` };
}
const published = (topic: string, data: JsonObject[string] = {}, attributes: JsonObject = {}) =>
  event(
    "topic",
    topic.split(".")[0] as string,
    "published",
    { id: "p1", topic, data, attributes, source: "a1" },
    topic,
  );

const matches = (pattern: string, e: FeedEvent) => matchesTopics([parseTopicPattern(pattern)], e);

describe("topics", () => {
  it.each([
    [event("task", "code_generation", "completed"), "task.code_generation.completed", "task.completed"],
    [event("task", "code_generation", "progressed"), "task.code_generation.progress", "task.progress"],
    [event("task", "x", "timed_out"), "task.x.timed_out", "task.failed"],
    [event("agent", "coder", "registered"), "agent.registered", "agent.registered"],
    [event("agent", "coder", "unavailable"), "agent.status_changed", "agent.status_changed"],
    [event("agent", "coder", "status_changed"), "agent.status_changed", "agent.status_changed"],
    [event("agent", "coder", "deregistered"), "agent.deregistered", "agent.deregistered"],
    [event("run", "w", "started"), "workflow.started", "workflow.started"],
    [event("run", "w", "stage_completed"), "workflow.stage_completed", "workflow.stage_completed"],
    [event("run", "w", "failed"), "workflow.failed", "workflow.failed"],
    [event("conflict", "resource_contention", "reported"), "conflict.reported", "conflict.reported"],
    [event("task", "x", "dead_lettered"), "system.alert", "system.alert"],
    [published("orders.eu.paid"), "orders.eu.paid", "orders.eu.paid"],
  ])("%#: %s is known as %s", (e, topic, name) => {
    expect(topicOf(e)).toMatchObject({ topic, event: name });
  });

  it("what is private to its actor has none", () => {
    for (const type of ["request", "subscription", "callback", "delivery", "template", "dead_letter", "workflow"])
      expect(topicOf(event(type, "k", "created"))).toBeNull();
  });

  it.each<[string, FeedEvent, boolean]>([
    ["task.*.completed", event("task", "code_generation", "completed"), true],
    ["task.*.completed", event("task", "code_generation", "failed"), false],
    ["task.completed", event("task", "code_generation", "completed"), true],
    ["task.>", event("task", "code_generation", "created"), true],
    ["task.*.completed", event("task", "a.b", "completed"), true],
    ["task.a.b.completed", event("task", "a.b", "completed"), true],
    ["task.*.failed", event("task", "x", "timed_out"), true],
    ["task.*.timed_out", event("task", "x", "timed_out"), true],
    ["system.alerts", event("task", "x", "dead_lettered"), true],
    ["system.alert", event("run", "x", "dead_lettered"), true],
    ["system.alert", published("system.alerts"), true],
    ["system.alerts", published("system.alert"), true],
    ["workflow.stage_completed", event("run", "w", "stage_completed"), true],
    ["workflow.*.stage_completed", event("run", "w", "stage_completed"), true],
    ["agent.*", event("agent", "coder", "available"), true],
    ["agent.coder.registered", event("agent", "coder", "registered"), true],
    ["task.*.completed", published("task.code_generation.completed"), true],
    ["orders.*", published("orders.eu.paid"), false],
    ["orders.>", published("orders.eu.paid"), true],
    [">", published("orders.eu.paid"), true],
    ["*.registered", event("agent", "coder", "registered"), true],
    [">", event("request", "a1", "requested"), false],
  ])("%s over %#", (pattern, e, wanted) => {
    expect(matches(pattern, e)).toBe(wanted);
  });

  it.each(["", ".", "a..b", "a.>.b", "a b", "a*", ">x", "a.\u0000", "x".repeat(600), Array(20).fill("a").join(".")])(
    "refuses the pattern %j",
    (pattern) => {
      expect(() => parseTopicPattern(pattern)).toThrowError(expect.objectContaining({ code: "invalid_input" }));
    },
  );

  it("the subjects of a pattern let everything through that the pattern chooses", () => {
    const word = fc.constantFrom(
      "task",
      "agent",
      "workflow",
      "conflict",
      "system",
      "alert",
      "alerts",
      "completed",
      "a.b",
      "x",
      "timed_out",
      "failed",
    );
    const token = fc.oneof(
      { weight: 3, arbitrary: word.map((w) => w.split(".")[0] as string) },
      { weight: 1, arbitrary: fc.constant("*") },
    );
    const pattern = fc
      .tuple(fc.array(token, { minLength: 1, maxLength: 4 }), fc.boolean())
      .map(([t, rest]) => [...t, ...(rest ? [">"] : [])].join("."));
    const any = fc.oneof(
      fc
        .tuple(
          fc.constantFrom("task", "agent", "run", "conflict", "request"),
          word,
          fc.constantFrom("completed", "failed", "timed_out", "dead_lettered", "registered", "alert"),
        )
        .map(([t, k, n]) => event(t, k, n)),
      fc
        .array(
          word.map((w) => w.split(".")[0] as string),
          { minLength: 1, maxLength: 4 },
        )
        .map((t) => published(t.join("."))),
    );
    fc.assert(
      fc.property(pattern, any, (p, e) => {
        if (!matches(p, e)) return;
        const trie = new PatternTrie<number>();
        for (const subject of subjectsOf(parseTopicPattern(p))) trie.add(subject, 1);
        let found = 0;
        trie.match(e.subject, () => found++);
        expect([p, e.subject, found > 0]).toEqual([p, e.subject, true]);
      }),
      { numRuns: 2_000 },
    );
  });

  it("a message is made once, with what it is known by", () => {
    const e = event(
      "task",
      "coder",
      "completed",
      { agent: "a7", attempt: 1, durationMs: 5, error: { code: "x" } },
      "t1",
    );
    const message = topicMessage(e);
    expect(message).toMatchObject({
      source: "a7",
      attributes: { task_id: "t1", task_type: "coder", agent_id: "a7", attempt: 1 },
    });
    expect(message?.attributes).not.toHaveProperty("error");
    expect(topicMessage(e)).toBe(message);
    expect(topicMessage(published("a.b", { priority: "high", deep: { x: 1 } }, { project_id: "p" }))).toMatchObject({
      id: "p1",
      source: "a1",
      data: { priority: "high", deep: { x: 1 } },
      attributes: { priority: "high", project_id: "p", topic: "a.b" },
    });
  });
});

describe("filters", () => {
  it.each<[JsonObject, JsonObject, boolean]>([
    [{}, {}, true],
    [{ priority: ["high", "critical"] }, { priority: "critical" }, true],
    [{ priority: ["high", "critical"] }, { priority: 8 }, true],
    [{ priority: ["high", "critical"] }, { priority: 5 }, false],
    [{ priority: 8 }, { priority: 8 }, true],
    [{ priority: "8" }, { priority: 8 }, true],
    [{ project_id: "p" }, { project_id: "p", x: 1 }, true],
    [{ project_id: "p" }, {}, false],
    [{ project_id: "p", x: 2 }, { project_id: "p", x: 1 }, false],
    [{ capabilities: "python" }, { capabilities: ["rust", "python"] }, true],
    [{ toString: "x" }, {}, false],
    [{ done: true }, { done: true }, true],
    [{ a: [] }, { a: 1 }, false],
  ])("%j over %j: %s", (filters, attributes, wanted) => {
    expect(passes(checkFilters(filters), attributes)).toBe(wanted);
  });

  it.each([[[]], ["x"], [null], [{ a: {} }], [{ a: [{}] }], [{ a: null }], [{ a: Array(65).fill(1) }]])(
    "refuses %j",
    (filters) => {
      expect(() => checkFilters(filters)).toThrowError(expect.objectContaining({ code: "invalid_input" }));
    },
  );
});
