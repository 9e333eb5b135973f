import { describe, expect, it } from "vitest";
import type { Command } from "../../src/machines/effects.ts";
import { defaultRetry } from "../../src/machines/schema.ts";
import { taskDefinition as task, taskStatus } from "../../src/machines/task/machine.ts";
import { backoffMs, unit } from "../../src/machines/task/retry.ts";
import { type Given, given, type Stepped, story } from "./driver.ts";
import { bad, ok } from "./world.ts";

const self = "task/r1~s.3";
const create: Command = {
  type: "task.create",
  taskType: "echo",
  input: { a: 1 },
  parent: { type: "run", key: "r1" },
  stage: "s",
  index: 3,
};
const start = (attempt = 1): Command => ({ type: "task.start", attempt, agent: "echo-n1", node: "n1" });
const report = (outcome: unknown, attempt = 1): Command => ({ type: "task.report", attempt, outcome });
const backoff: Command = { type: "xstate.after.backoff.task.open.retrying" };
const upon = (...commands: Given[]) => given(task, self, commands);
const state = (s: Stepped) => taskStatus(s.state.value);
const eventData = (s: Stepped, name: string) => s.effects.find((e) => e.type === "emit" && e.name === name);
const finish = (s: Stepped) => s.effects.flatMap((e) => (e.type === "send" ? [e.command] : []))[0];

describe("a task", () => {
  it("is offered as soon as it is created", () => {
    const s = upon().when(create);
    expect(story(s.effects)).toEqual(["emit created", "execute attempt-1", "emit ready"]);
    expect(eventData(s, "ready")).toMatchObject({ data: { stage: "s", index: 3, attempt: 1 } });
    expect(s.context).toMatchObject({ runId: "r1", priority: 5, attempt: 1 });
  });

  it("on its own answers whether it was created", () => {
    const own = { type: "task.create", taskType: "echo", input: 1, requestHash: "h" };
    expect(story(given(task, "task/t1", []).when(own).effects)).toContain('reply {"created":true}');
    expect(story(given(task, "task/t1", [own]).when(own).effects)).toEqual(['reply {"created":false}']);
    expect(story(given(task, "task/t1", [own]).when({ ...own, requestHash: "i" }).effects)).toEqual([
      "refuse idempotency_conflict",
    ]);
    const circular = { ...own, dependencies: ["t1"] };
    expect(story(given(task, "task/t1", []).when(circular).effects)).toEqual(["refuse invalid_input"]);
  });

  it("runs, tells of progress, and completes to its run", () => {
    expect(story(upon(create).when({ type: "task.assign", attempt: 1, agent: "a" }).effects)).toEqual([
      "settle attempt-1",
      "remind unstarted at 301000",
      "emit assigned",
    ]);
    const progressed = upon(create, start()).when({ type: "task.progress", attempt: 1, fraction: 0.5 });
    expect(progressed.context.progress).toEqual({ fraction: 0.5, message: null });
    const cost = { promptTokens: 1, completionTokens: 2, usd: 0.5 };
    const s = upon(create, start()).when(report(ok({ b: 2 }, { cost })));
    expect(story(s.effects)).toEqual(["settle attempt-1", "emit completed", "send run/r1 run.finish_task"]);
    expect(eventData(s, "completed")).toMatchObject({ data: { durationMs: 1_000, attempt: 1 } });
    expect(finish(s)).toEqual({
      type: "run.finish_task",
      stage: "s",
      index: 3,
      task: "r1~s.3",
      status: "completed",
      output: { b: 2 },
      artifacts: [],
      cost,
      attempts: 1,
    });
    expect(s.context.attempts).toEqual([
      { attempt: 1, agent: "echo-n1", node: "n1", startedAt: 1_000, endedAt: 2_000, result: "completed", error: null },
    ]);
    expect(task.ended?.(s.state)).toBe(true);
  });

  it("retries a retryable failure after its backoff, then fails", () => {
    const failed = upon(create, start()).when(report(bad("x", true)));
    expect(state(failed)).toBe("retrying");
    const delay = backoffMs(defaultRetry, 1, "r1~s.3#1");
    expect(story(failed.effects)).toEqual([
      "settle attempt-1",
      "emit attempt_failed",
      `remind xstate.after.backoff.task.open.retrying at ${2_000 + delay}`,
    ]);
    expect(eventData(failed, "attempt_failed")).toMatchObject({ data: { retryInMs: delay, error: { code: "x" } } });
    const again = upon(create, start(), report(bad("x", true)), backoff);
    expect(again.when(start(2)).context).toMatchObject({ attempt: 2, startedAt: 4_000 });
    const last = upon(
      create,
      start(),
      report(bad("x", true)),
      backoff,
      start(2),
      report(bad("x", true), 2),
      backoff,
      start(3),
    ).when(report(bad("x", true), 3));
    expect(state(last)).toBe("failed");
    expect(finish(last)).toMatchObject({ status: "failed", error: { code: "x" }, attempts: 3 });
  });

  it("does not retry what is not retryable", () => {
    expect(state(upon(create, start()).when(report(bad("x", false))))).toBe("failed");
    expect(state(upon(create).when(report(bad("no_such_agent", false))))).toBe("failed");
  });

  it("refuses what comes from another attempt, with nothing changed", () => {
    const second = upon(create, start(), report(bad("x", true)), backoff, start(2));
    const old = [
      report(ok(1)),
      { type: "task.progress", attempt: 1 },
      { type: "task.note", attempt: 1, name: "n", data: {} },
    ];
    for (const command of old) expect(story(second.when(command).effects)).toEqual(["refuse conflict"]);
    expect(upon(create, start(), report(ok(1))).when(report(ok(1))).unhandled).toBe(true);
  });

  it("takes up a lost attempt at once, without charge to the retry policy", () => {
    const lost = upon(create, start()).when({ type: "work.lose", id: "attempt-1", reason: "killed" });
    expect(story(lost.effects)).toEqual(["settle attempt-1", "emit lost", "execute attempt-2", "emit ready"]);
    expect(story(upon(create, start()).when({ type: "work.lose", id: "attempt-7" }).effects)).toEqual([
      "refuse conflict",
    ]);
    const commands: Given[] = [create];
    for (let i = 1; i <= 100; i++) commands.push({ type: "work.lose", id: `attempt-${i}` });
    const worn = upon(...commands);
    expect(state(worn.when(report(bad("x", true), 101)))).toBe("retrying");
    expect(worn.when(start(101)).context.attempts).toHaveLength(32);
    const end = worn.when({ type: "work.lose", id: "attempt-101" });
    expect([state(end), finish(end)]).toMatchObject(["failed", { error: { code: "attempts_lost" } }]);
  });

  it("ends an attempt that takes too long, and tries again", () => {
    const timed = { ...create, timeoutMs: 50, retry: { ...defaultRetry, max_attempts: 2 } };
    const started = upon(timed).when(start());
    expect(story(started.effects)).toEqual(["remind time_out at 1050", "emit started"]);
    const first = upon(timed, start()).when({ type: "task.time_out", attempt: 1 });
    expect(state(first)).toBe("retrying");
    expect(story(first.effects).slice(0, 2)).toEqual(["settle attempt-1", "forget time_out"]);
    const second = upon(timed, start(), { type: "task.time_out", attempt: 1 }, backoff, start(2)).when({
      type: "task.time_out",
      attempt: 2,
    });
    expect([state(second), finish(second)]).toMatchObject([
      "timed_out",
      { status: "timed_out", error: { code: "timed_out" } },
    ]);
    expect(upon(timed).when({ type: "task.time_out", attempt: 1 }).unhandled).toBe(true);
  });

  it("ends at its deadline whatever it does, without retry", () => {
    const due = { ...create, deadlineAt: 9_000 };
    expect(story(upon().when(due).effects)).toContain("remind deadline at 9000");
    for (const before of [[due], [due, start()], [due, start(), report(bad("x", true))]]) {
      const s = upon(...before).when({ type: "task.miss_deadline" });
      expect(state(s)).toBe("timed_out");
      expect(story(s.effects)).toContain("forget deadline");
    }
  });

  it("is cancelled in any open state, and settles what runs", () => {
    const s = upon(create, start()).when({ type: "task.cancel", reason: "no" });
    expect(story(s.effects)).toEqual(["settle attempt-1", "emit cancelled", "send run/r1 run.finish_task"]);
    expect(finish(s)).toMatchObject({ status: "cancelled", error: { code: "cancelled", message: "no" } });
    expect(s.context.attempts).toMatchObject([{ result: "cancelled" }]);
    expect(state(upon(create, start(), report(bad("x", true))).when({ type: "task.cancel" }))).toBe("cancelled");
    expect(story(upon(create, { type: "task.cancel" }).when({ type: "task.cancel" }).effects)).toEqual(["reply null"]);
    expect(upon(create, start(), report(ok(1))).when({ type: "task.cancel" }).unhandled).toBe(true);
  });

  it("adds notes as events, but none of its own names", () => {
    const note = (name: string): Command => ({ type: "task.note", attempt: 1, name, data: { x: 1, stage: "other" } });
    expect(upon(create, start()).when(note("tool_called")).effects).toMatchObject([
      { name: "tool_called", data: { x: 1, stage: "s", attempt: 1 } },
    ]);
    expect(story(upon(create, start()).when(note("completed")).effects)).toEqual(["refuse invalid_input"]);
  });
});

describe("a task with dependencies", () => {
  const waiting = { ...create, dependencies: ["t1", "t2", "t1"] };
  const done = (key: string, status: string): Command => ({ type: "task.dependency_done", key, status });

  it("watches them and begins when all have completed", () => {
    const s = upon().when(waiting);
    expect(story(s.effects)).toEqual(["emit created", "send task/t1 task.watch", "send task/t2 task.watch"]);
    expect(state(upon(waiting).when(done("t1", "completed")))).toBe("waiting");
    expect(state(upon(waiting, done("t1", "completed")).when(done("t2", "completed")))).toBe("ready");
    expect(story(upon(waiting).when(done("t9", "failed")).effects)).toEqual(["reply null"]);
  });

  it.each(["failed", "cancelled", "timed_out", "unknown"])("fails when one is %s", (status) => {
    const s = upon(waiting).when(done("t2", status));
    expect(finish(s)).toMatchObject({
      status: "failed",
      error: { code: "dependency_failed", details: { dependency: "t2", status } },
    });
  });

  it("tells its watchers of its end, at once when it is over or never was", () => {
    const watch: Command = { type: "task.watch", watcher: "w1" };
    const told = (s: Stepped) =>
      s.effects.flatMap((e) => (e.type === "send" && e.to.type === "task" ? [e.command] : []));
    expect(told(upon(create, watch, watch, start()).when(report(ok(1))))).toEqual([done("r1~s.3", "completed")]);
    expect(told(upon(create, start(), report(ok(1))).when(watch))).toEqual([done("r1~s.3", "completed")]);
    expect(told(upon(create, start(), report(bad())).when(watch))).toEqual([done("r1~s.3", "failed")]);
    expect(told(upon(create, { type: "task.cancel" }).when(watch))).toEqual([done("r1~s.3", "cancelled")]);
    const never = upon().when(watch);
    expect([never.state.value, told(never)]).toEqual(["absent", [done("r1~s.3", "unknown")]]);
    expect(task.index?.(never.state)).toBeNull();
  });

  it("has a bounded number of watchers", () => {
    const watches = Array.from({ length: 200 }, (_, i) => ({ type: "task.watch", watcher: `w${i}` }));
    expect(story(upon(create, ...watches).when({ type: "task.watch", watcher: "one-more" }).effects)).toEqual([
      "refuse overloaded",
    ]);
  });
});

describe("the backoff", () => {
  const exact = { ...defaultRetry, jitter: 0, initial_ms: 100, max_ms: 1_000 };
  it("grows by its kind, up to its maximum", () => {
    const series = (backoff: "fixed" | "linear" | "exponential") =>
      [1, 2, 3, 4, 5, 60].map((n) => backoffMs({ ...exact, backoff }, n, "s"));
    expect(series("fixed")).toEqual([100, 100, 100, 100, 100, 100]);
    expect(series("linear")).toEqual([100, 200, 300, 400, 500, 1_000]);
    expect(series("exponential")).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it("is spread by its jitter, the same for the same attempt", () => {
    const delays = Array.from({ length: 500 }, (_, i) =>
      backoffMs({ ...exact, jitter: 0.2, backoff: "fixed" }, 1, `t${i}#1`),
    );
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(80);
    expect(Math.max(...delays)).toBeLessThanOrEqual(120);
    expect(new Set(delays).size).toBeGreaterThan(20);
    expect(delays[7]).toBe(backoffMs({ ...exact, jitter: 0.2, backoff: "fixed" }, 1, "t7#1"));
    const mean = Array.from({ length: 2_000 }, (_, i) => unit(`k${i}`)).reduce((a, b) => a + b) / 2_000;
    expect(mean).toBeCloseTo(0.5, 1);
  });
});
