import { describe, expect, it } from "vitest";
import type { Json } from "../../src/machines/effects.ts";
import { runDefinition } from "../../src/machines/run/definition.ts";
import { given } from "./driver.ts";
import { createRun } from "./workflows.ts";
import { bad, ok, World } from "./world.ts";

const stage = (name: string, more: object = {}) => ({ name, agent_type: name, ...more });
const undo = (name: string, more: object = {}) => stage(name, { undo: true, ...more });

function started(definition: Record<string, unknown>, input: Json = null): World {
  const world = new World();
  world.ask("run/r1", createRun(definition, input));
  return world;
}

function answer(world: World, name: string, outcome: unknown): void {
  const work = world.take((w) => w.at.key === `r1~${name}`);
  if (work === undefined) throw new Error(`no work for ${name}`);
  world.report(work, outcome);
}

const waiting = (world: World) => world.work.map((w) => w.at.key.slice(3));
const statuses = (world: World) => Object.fromEntries(world.stages().map((s) => [s.name, s.status]));

describe("a failed stage", () => {
  const stages = [
    stage("a"),
    stage("b"),
    stage("c", { dependencies: ["a"], input: { s: "${stages.a.status}", o: "${stages.a.output}" } }),
  ];

  it("fails the run at once and cancels what runs, unless told otherwise", () => {
    const world = started({ stages });
    answer(world, "a", bad("x"));
    expect(world.view("run/r1")).toMatchObject({
      status: "failed",
      error: { code: "x", message: "stage a: it is x", details: { stage: "a" } },
    });
    expect(world.work).toEqual([]);
    expect(world.view("task/r1~b").status).toBe("cancelled");
    expect(statuses(world)).toEqual({ a: "failed", b: "cancelled", c: "pending" });
    expect(world.eventNames("run/r1").slice(-2)).toEqual(["stage_failed", "failed"]);
    expect(world.refusals).toEqual([]);
  });

  it("under `continue` lets dependents run, who see it", () => {
    const world = started({ failure_strategy: "continue", stages });
    answer(world, "a", bad("x"));
    expect(world.work.find((w) => w.at.key === "r1~c")?.context.input).toEqual({ s: "failed", o: null });
    answer(world, "b", ok("B"));
    answer(world, "c", ok("C"));
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", output: { b: "B", c: "C" } });
  });

  it("under `continue` fails the run when nothing at its end has come out", () => {
    const world = started({ failure_strategy: "continue", stages: [stage("a"), stage("b"), stage("c")] });
    for (const name of ["a", "b"]) answer(world, name, bad("x"));
    expect(world.view("run/r1").status).toBe("running");
    answer(world, "c", bad("x"));
    expect(world.view("run/r1")).toMatchObject({ status: "failed", error: { code: "stages_failed" } });
  });

  it("may have a strategy of its own", () => {
    const world = started({ stages: [stage("a", { failure_strategy: "continue" }), stage("b")] });
    answer(world, "a", bad("x"));
    answer(world, "b", ok("B"));
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", output: { a: null, b: "B" } });
  });

  it("is one whose task was cancelled or timed out", () => {
    const world = started({ stages: [stage("a", { timeout_ms: 50, retry: { max_attempts: 1 } })] });
    world.ask("task/r1~a", { type: "task.start", attempt: 1, agent: "a" });
    world.pass(50);
    expect(world.view("run/r1")).toMatchObject({ status: "failed", error: { code: "timed_out" } });
    const cancelled = started({ stages: [stage("a")] });
    cancelled.ask("task/r1~a", { type: "task.cancel" });
    expect(cancelled.view("run/r1")).toMatchObject({ status: "failed", error: { code: "cancelled" } });
  });
});

describe("an output with a schema", () => {
  const output_schema = { type: "object", required: ["a"] };
  const finishing = (definition: object) => {
    const world = started({ stages: [stage("a")], ...definition });
    answer(world, "a", ok("A"));
    return world;
  };
  const resolved = (fields: object) => ({ type: "run.resolve", stage: "$output", ...fields });

  it("is left to the executor, which alone can check it", () => {
    expect(finishing({}).view("run/r1").status).toBe("succeeded");
    const world = finishing({ output_schema });
    expect(world.view("run/r1")).toMatchObject({ status: "running", output: null });
    expect(world.work).toMatchObject([{ id: "resolve-$output-1", kind: "resolve" }]);
    world.ask("run/r1", resolved({ ok: true, output: { a: 1 } }));
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", output: { a: 1 } });
    expect(world.work).toEqual([]);
  });

  it("fails the run with what the executor found", () => {
    const world = finishing({ output_schema });
    const error = {
      code: "invalid_output",
      message: "output.a is missing",
      details: { problems: [{ path: "output.a" }] },
    };
    world.ask("run/r1", resolved({ ok: false, error }));
    expect(world.view("run/r1")).toMatchObject({
      status: "failed",
      output: null,
      error: { ...error, retryable: false },
    });
    expect(world.events.at(-1)).toMatchObject({ name: "failed", data: { error: { code: "invalid_output" } } });
    expect(world.work).toEqual([]);
  });

  it("is asked for anew when the executor's process died", () => {
    const world = finishing({ output_schema });
    world.ask("run/r1", { type: "work.lose", id: "resolve-$output-1", reason: "gone" });
    expect(world.work.map((w) => w.id)).toEqual(["resolve-$output-2"]);
    world.ask("run/r1", { type: "run.cancel" });
    expect(world.view("run/r1").status).toBe("canceled");
    expect(world.work).toEqual([]);
  });
});

describe("compensation", () => {
  const stages = [
    stage("a", { compensate: "ua" }),
    stage("b", { compensate: "ub", dependencies: ["a"] }),
    stage("slow", { compensate: "us" }),
    stage("c", { dependencies: ["b"] }),
    undo("ua"),
    undo("ub", { input: { undo: "${stages.b.output}" } }),
    undo("us"),
  ];
  const failing = () => {
    const world = started({ failure_strategy: "compensate", stages });
    answer(world, "a", ok("A"));
    answer(world, "b", ok("B"));
    answer(world, "c", bad("x"));
    return world;
  };

  it("undoes what has completed, in reverse order, once nothing runs", () => {
    const world = failing();
    expect(world.view("task/r1~slow").status).toBe("cancelled");
    expect(world.view("run/r1").status).toBe("running");
    expect(waiting(world)).toEqual(["ub"]);
    expect(world.work[0]?.context.input).toEqual({ undo: "B" });
    answer(world, "ub", ok(1));
    expect(waiting(world)).toEqual(["ua"]);
    expect(world.work[0]?.context.input).toBe("A");
    answer(world, "ua", ok(1));
    expect(world.view("run/r1")).toMatchObject({ status: "failed", error: { code: "x", details: { stage: "c" } } });
    expect(statuses(world)).toMatchObject({ slow: "cancelled", us: "pending", ua: "completed", ub: "completed" });
    expect(world.refusals).toEqual([]);
  });

  it("goes on past an undo stage that fails, and names it", () => {
    const world = failing();
    answer(world, "ub", bad("y"));
    answer(world, "ua", ok(1));
    expect(world.view("run/r1")).toMatchObject({
      status: "failed",
      error: { code: "x", details: { undo_failed: ["ub"] } },
    });
  });

  it("keeps to the first failure when another comes before its cancellation", () => {
    const definition = {
      failure_strategy: "compensate",
      stages: [stage("a"), stage("b", { failure_strategy: "stop_on_error" })],
    };
    const failed = (name: string, code: string) => ({
      type: "run.finish_task",
      stage: name,
      task: `r1~${name}`,
      status: "failed",
      error: { code, message: code },
      artifacts: [],
      cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
      attempts: 1,
    });
    const halted = given(runDefinition, "run/r1", [createRun(definition), failed("a", "x")]);
    expect(halted.when(failed("b", "y")).view).toMatchObject({ status: "failed", error: { code: "x" } });
  });

  it("ends at once when there is nothing to undo", () => {
    const world = started({ failure_strategy: "compensate", stages });
    answer(world, "a", bad("x"));
    expect(world.view("run/r1")).toMatchObject({ status: "failed", error: { code: "x" } });
    expect(world.work).toEqual([]);
  });

  it("comes before the end by time-out, and is not stopped by it", () => {
    const world = started({ failure_strategy: "compensate", default_timeout_ms: 1_000, stages });
    answer(world, "a", ok("A"));
    world.pass(1_000);
    expect(waiting(world)).toEqual(["ua"]);
    expect(world.reminders.filter((r) => r.startsWith("run/"))).toEqual([]);
    answer(world, "ua", ok(1));
    expect(world.view("run/r1")).toMatchObject({ status: "timed_out", error: { code: "timed_out" } });
  });

  it("is stopped by a human's cancellation", () => {
    const world = failing();
    world.ask("run/r1", { type: "run.cancel", reason: "enough" });
    expect(world.view("run/r1")).toMatchObject({ status: "canceled", error: { message: "enough" } });
    expect(world.view("task/r1~ub").status).toBe("cancelled");
  });

  it("waits for the items of a failed fan-out", () => {
    const world = started({
      failure_strategy: "compensate",
      stages: [
        stage("a", { compensate: "ua" }),
        stage("f", { dependencies: ["a"], for_each: "stages.a.output", compensate: "uf" }),
        undo("ua"),
        undo("uf"),
      ],
    });
    answer(world, "a", ok([1, 2, 3]));
    answer(world, "f.0", ok(1));
    answer(world, "f.1", bad("x"));
    expect(world.view("task/r1~f.2").status).toBe("cancelled");
    expect(waiting(world)).toEqual(["ua"]);
    expect(world.work[0]?.context.input).toEqual([1, 2, 3]);
  });
});

describe("cancellation", () => {
  it("ends the run at once, cancels its tasks, and is idempotent", () => {
    const world = started(
      { default_timeout_ms: 9_000, stages: [stage("a"), stage("f", { for_each: "input" })] },
      [1, 2, 3],
    );
    expect(world.ask("run/r1", { type: "run.cancel", reason: "no need" }).refused).toBeUndefined();
    expect(world.view("run/r1")).toMatchObject({ status: "canceled", error: { code: "canceled", message: "no need" } });
    expect(statuses(world)).toEqual({ a: "cancelled", f: "cancelled" });
    expect([world.work, world.reminders, world.refusals]).toEqual([[], [], []]);
    expect(world.events.filter((e) => e.name === "canceled")).toMatchObject([
      { at: "run/r1", data: { reason: "no need" } },
    ]);
    expect(world.ask("run/r1", { type: "run.cancel" })).toEqual({ reply: null });
  });

  it("of thousands of tasks goes in bounded steps", () => {
    const world = started(
      { stages: [stage("f", { for_each: "input" })] },
      Array.from({ length: 2_500 }, (_, i) => i),
    );
    world.sendsMost = 0;
    world.ask("run/r1", { type: "run.cancel" });
    expect(world.work).toEqual([]);
    expect(world.sendsMost).toBeLessThanOrEqual(256);
    expect(
      [...world.states.keys()].filter((k) => k.startsWith("task/")).every((k) => world.view(k).status === "cancelled"),
    ).toBe(true);
  });

  it("is refused when the run has ended otherwise", () => {
    const world = started({ stages: [stage("a")] });
    answer(world, "a", ok(1));
    expect(world.ask("run/r1", { type: "run.cancel" }).refused).toBe("conflict");
    expect(world.ask("run/r1", { type: "run.decide", checkpointId: "a", decision: "approve" }).refused).toBe(
      "conflict",
    );
    expect(world.ask("run/none", { type: "run.cancel" }).refused).toBe("conflict");
  });

  it("settles what is being resolved", () => {
    const ref = { $blob: { name: "b", bytes: 1, sha256: "x" } };
    const world = started({ stages: [stage("a", { when: "input.x" })] }, ref);
    world.ask("run/r1", { type: "run.cancel" });
    expect([world.work, statuses(world)]).toEqual([[], { a: "cancelled" }]);
  });
});

describe("a time-out", () => {
  it("ends the run with the code that clients know", () => {
    const world = started({ default_timeout_ms: 500, stages: [stage("a")] });
    world.pass(499);
    expect(world.view("run/r1").status).toBe("running");
    world.pass(1);
    expect(world.view("run/r1")).toMatchObject({
      status: "timed_out",
      error: { code: "timed_out", message: "not done within 500 ms" },
    });
    expect(world.events.at(-2)).toMatchObject({ at: "run/r1", name: "failed", data: { error: { code: "timed_out" } } });
    expect(world.work).toEqual([]);
  });

  it("is forgotten when the run ends before", () => {
    const world = started({ default_timeout_ms: 500, stages: [stage("a")] });
    answer(world, "a", ok(1));
    expect(world.reminders).toEqual([]);
  });
});

describe("a checkpoint", () => {
  const checkpoint = (more: object = {}) => ({ name: "ok", kind: "checkpoint", title: "Fine?", ...more });
  const waitingFor = (more: object = {}, top: object = {}) =>
    started({ ...top, stages: [checkpoint(more), stage("p", { dependencies: ["ok"] })] }, { text: "hello" });
  const decide = (world: World, decision: string, more: object = {}) =>
    world.ask("run/r1", { type: "run.decide", checkpointId: "ok", decision, ...more });

  it("holds the run until a human approves", () => {
    const world = waitingFor({ instructions: "Read ${input.text}", schema: { type: "object" } });
    expect(world.view("run/r1")).toMatchObject({
      status: "waiting_human",
      checkpoints: [
        {
          checkpointId: "ok",
          status: "required",
          instructions: "Read hello",
          requiredSchema: { type: "object" },
          expiresAt: null,
        },
      ],
    });
    expect(world.events.at(-1)).toMatchObject({
      name: "checkpoint_required",
      data: { stage: "ok", checkpoint: { title: "Fine?" } },
    });
    expect(decide(world, "approve", { note: "yes", by: "me" }).reply).toMatchObject({
      status: "approved",
      decision: { approved: true, note: "yes", by: "me", decidedAt: 1_000 },
    });
    expect(world.view("run/r1").status).toBe("running");
    expect(world.work[0]?.context.input).toEqual({ status: "approved", approved: true, note: "yes", input: null });
  });

  it("takes the same decision twice, and no other after it", () => {
    const world = waitingFor();
    decide(world, "approve", { note: "yes" });
    expect(decide(world, "approve", { note: "yes" }).reply).toMatchObject({ status: "approved" });
    expect(decide(world, "reject").refused).toBe("conflict");
    expect(decide(world, "approve", { note: "other" }).refused).toBe("conflict");
    expect(world.ask("run/r1", { type: "run.decide", checkpointId: "no", decision: "approve" }).refused).toBe(
      "not_found",
    );
  });

  it("takes input", () => {
    const world = waitingFor();
    decide(world, "provide_input", { input: { summary: "mine" } });
    expect(world.work[0]?.context.input).toEqual({
      status: "input_provided",
      approved: true,
      note: null,
      input: { summary: "mine" },
    });
    expect(world.view("run/r1").checkpoints).toMatchObject([
      { status: "input_provided", providedInput: { summary: "mine" } },
    ]);
  });

  it("rejected fails the run, or goes on when told so", () => {
    const world = waitingFor();
    decide(world, "reject", { note: "bad" });
    expect(world.view("run/r1")).toMatchObject({
      status: "failed",
      error: { code: "rejected", message: "stage ok: rejected: bad" },
    });
    const goesOn = waitingFor({ on_reject: "continue" });
    decide(goesOn, "reject", { note: "bad" });
    expect(goesOn.work[0]?.context.input).toEqual({ status: "rejected", approved: false, note: "bad", input: null });
  });

  it.each([
    ["fail", "failed", "resolved"],
    ["approve", "running", "resolved"],
    ["reject", "failed", "resolved"],
    ["cancel", "canceled", "resolved"],
    [undefined, "failed", "resolved"],
  ])("that expires does what on_expiry says: %s", (on_expiry, status, checkpointStatus) => {
    const world = waitingFor({ expires_in_ms: 100, ...(on_expiry === undefined ? {} : { on_expiry }) });
    expect(world.view("run/r1").checkpoints).toMatchObject([{ expiresAt: 1_100 }]);
    world.pass(100);
    expect(world.view("run/r1")).toMatchObject({ status, checkpoints: [{ status: checkpointStatus }] });
    if (status === "failed") expect(world.view("run/r1").error).toMatchObject({ code: "checkpoint_expired" });
  });

  it("that was decided does not expire, and closes with its run", () => {
    const world = waitingFor({ expires_in_ms: 100 });
    decide(world, "approve");
    expect(world.reminders).toEqual([]);
    const canceled = waitingFor({ expires_in_ms: 100 });
    canceled.ask("run/r1", { type: "run.cancel" });
    expect(canceled.view("run/r1")).toMatchObject({
      status: "canceled",
      checkpoints: [{ status: "resolved", decision: null }],
    });
    expect(canceled.reminders).toEqual([]);
  });

  it("is skipped by its condition, and runs beside other stages", () => {
    expect(statuses(waitingFor({ when: "false" }))).toEqual({ ok: "skipped", p: "running" });
    const world = started({ stages: [checkpoint(), stage("a")] });
    answer(world, "a", ok(1));
    expect(world.view("run/r1").status).toBe("waiting_human");
    decide(world, "approve");
    expect(world.view("run/r1").status).toBe("succeeded");
  });

  it("keeps events small", () => {
    const world = waitingFor({
      instructions: `\${input.text} ${"x".repeat(4_000)}`,
      schema: { description: "z".repeat(9_000) },
    });
    const event = world.events.find((e) => e.name === "checkpoint_required");
    expect(JSON.stringify(event?.data).length).toBeLessThan(8_192);
    expect(world.view("run/r1").checkpoints).toMatchObject([
      { requiredSchema: { description: expect.stringMatching(/^z+$/) } },
    ]);
  });
});
