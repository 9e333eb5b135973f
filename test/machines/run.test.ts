import { describe, expect, it } from "vitest";
import type { Json } from "../../src/machines/effects.ts";
import { runDefinition } from "../../src/machines/run/definition.ts";
import { resolveStage } from "../../src/machines/run/resolve.ts";
import type { RunContext } from "../../src/machines/run/schema.ts";
import { given, story } from "./driver.ts";
import { createRun } from "./workflows.ts";
import { bad, ok, World } from "./world.ts";

const stage = (name: string, more: object = {}) => ({ name, agent_type: name, ...more });
const inputs = (world: World) =>
  Object.fromEntries(world.work.map((w) => [w.at.key.slice(3), w.context.input as Json]));

/** A run `r1` of these stages; tasks wait to be answered. */
function started(definition: Record<string, unknown>, input: Json = null, more: Record<string, Json> = {}): World {
  const world = new World();
  world.ask("run/r1", createRun(definition, input, more));
  return world;
}

/** Answers the tasks of a stage. */
function answer(world: World, name: string, outcome: unknown): void {
  const match = (w: { at: { key: string } }) => w.at.key === `r1~${name}` || w.at.key.startsWith(`r1~${name}.`);
  const work = world.take(match);
  if (work === undefined) throw new Error(`no work for ${name}`);
  world.report(work, outcome);
}

describe("a run", () => {
  it("of one stage gives the input to it, and its output", () => {
    const world = started({ stages: [stage("echo")] }, { a: 1 });
    expect(inputs(world)).toEqual({ echo: { a: 1 } });
    answer(world, "echo", ok({ a: 1 }, { cost: { promptTokens: 3, completionTokens: 1, usd: 0.1 } }));
    expect(world.view("run/r1")).toMatchObject({
      status: "succeeded",
      output: { a: 1 },
      error: null,
      timing: { createdAt: 1_000, startedAt: 1_000, finishedAt: 1_000 },
      cost: { promptTokens: 3, completionTokens: 1, usd: 0.1 },
    });
    expect(world.stages()).toMatchObject([{ name: "echo", status: "completed" }]);
    expect(world.eventNames("run/r1")).toEqual(["started", "stage_started", "stage_completed", "completed"]);
  });

  it("is created once: the same request is a success without change, another names what differs", () => {
    const create = createRun({ stages: [stage("a")] }, 1);
    const known = given(runDefinition, "run/r1", [create]);
    expect(story(known.when(create).effects)).toEqual(['reply {"created":false}']);
    const other = createRun({ stages: [stage("b")] }, 2);
    expect(known.when(other).refusal).toMatchObject({
      code: "idempotency_conflict",
      details: { differs: ["workflow", "input"] },
    });
    const world = started({ stages: [stage("a")] }, 1);
    answer(world, "a", ok(1));
    expect(world.ask("run/r1", create).reply).toEqual({ created: false });
  });

  it("starts stages when those they wait for have ended, with outputs as inputs", () => {
    const world = started(
      {
        stages: [stage("a"), stage("b"), stage("c", { dependencies: ["a"] }), stage("d", { dependencies: ["a", "b"] })],
        output: { c: "${stages.c.output}", d: "${stages.d.output}", by: "${run.labels.by} in ${context}" },
      },
      1,
      { labels: { by: "me" }, context: "ctx" },
    );
    expect(inputs(world)).toEqual({ a: 1, b: 1 });
    answer(world, "a", ok("A"));
    expect(inputs(world)).toEqual({ b: 1, c: "A" });
    answer(world, "b", ok("B"));
    expect(inputs(world)).toEqual({ c: "A", d: { a: "A", b: "B" } });
    answer(world, "c", ok("C"));
    answer(world, "d", ok("D"));
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", output: { c: "C", d: "D", by: "me in ctx" } });
  });

  it("skips a stage whose condition is false; dependents see that", () => {
    const world = started(
      {
        stages: [
          stage("a", { when: "input.go" }),
          stage("b", { dependencies: ["a"], input: { status: "${stages.a.status}", output: "${stages.a.output}" } }),
        ],
      },
      { go: false },
    );
    expect(inputs(world)).toEqual({ b: { status: "skipped", output: null } });
    answer(world, "b", ok(1));
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", output: 1 });
  });

  it("fails when an expression fails, with the place", () => {
    const world = started({ stages: [stage("a", { when: "input.go" })] }, {});
    expect(world.view("run/r1")).toMatchObject({
      status: "failed",
      error: { code: "invalid_expression", message: "stage a: when: No such key: go at character 7: go" },
    });
    expect(started({ stages: [stage("a", { when: "input" })] }, 1).view("run/r1").error).toMatchObject({
      message: "stage a: when: gives a number, not a bool",
    });
    const beside = started({ stages: [stage("a", { when: "input.go" }), stage("b")] }, {});
    expect([beside.work, [...beside.states.keys()]]).toEqual([[], ["run/r1"]]);
    const output = started({ stages: [stage("a")], output: "${input.x}" }, {});
    answer(output, "a", ok(1));
    expect(output.view("run/r1")).toMatchObject({ status: "failed", error: { code: "invalid_expression" } });
  });

  it("runs one stage at a time when not parallel", () => {
    const world = started({ parallel: false, stages: [stage("a"), stage("b"), stage("c")] });
    for (const name of ["a", "b", "c"]) {
      expect(Object.keys(inputs(world))).toEqual([name]);
      answer(world, name, ok(name));
    }
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", output: { a: "a", b: "b", c: "c" } });
  });

  it("collects artifacts and costs of all its tasks", () => {
    const artifact = {
      artifactId: "r1~a~a~0",
      type: "record",
      name: "x",
      mimeType: "application/json",
      createdAt: 1,
      data: { y: 1 },
    };
    const world = started({ stages: [stage("a"), stage("b")] });
    answer(world, "a", ok(1, { artifacts: [artifact], cost: { promptTokens: 1, completionTokens: 1, usd: 1 } }));
    answer(world, "b", ok(1, { cost: { promptTokens: 1, completionTokens: 0, usd: 0.5 } }));
    expect(world.view("run/r1")).toMatchObject({
      artifacts: { length: 1, pages: [[artifact]] },
      cost: { promptTokens: 2, completionTokens: 1, usd: 1.5 },
    });
    expect(world.events).toContainEqual({
      at: "run/r1",
      name: "artifact_created",
      data: { artifactId: "r1~a~a~0", type: "record", name: "x", stage: "a" },
    });
  });

  it("lists itself by status, workflow and time", () => {
    const s = given(runDefinition, "run/r1", []).when(createRun({ stages: [stage("a")] }));
    expect(runDefinition.index?.(s.state)).toEqual({ status: "running", workflow: "w", created: 0 });
    expect(runDefinition.kind(s.state.context)).toBe("w");
  });
});

describe("a fan-out", () => {
  const fan = {
    stages: [
      stage("f", { for_each: "input", input: { x: "${item}", i: "${index}" } }),
      stage("m", { dependencies: ["f"] }),
    ],
  };

  it("has a task per item and their outputs in order", () => {
    const world = started(fan, ["a", "b", "c"]);
    expect(inputs(world)).toEqual({ "f.0": { x: "a", i: 0 }, "f.1": { x: "b", i: 1 }, "f.2": { x: "c", i: 2 } });
    answer(world, "f.2", ok("C"));
    answer(world, "f.0", ok("A"));
    expect(world.stages()).toMatchObject([{ name: "f", status: "running", fan: { count: 3, done: 2 } }, {}]);
    answer(world, "f.1", ok("B"));
    expect(inputs(world)).toEqual({ m: ["A", "B", "C"] });
  });

  it("over nothing completes at once; over no list fails", () => {
    expect(inputs(started(fan, []))).toEqual({ m: [] });
    expect(started(fan, 7).view("run/r1").error).toMatchObject({
      message: "stage f: for_each: gives a number, not a list",
    });
    expect(inputs(started({ stages: [stage("f", { for_each: "input" })] }, [5, 6]))).toEqual({ "f.0": 5, "f.1": 6 });
  });

  it("of thousands is created in bounded steps, and all of it runs", () => {
    const world = started(
      fan,
      Array.from({ length: 3_000 }, (_, i) => i),
    );
    expect(world.work).toHaveLength(3_000);
    expect(world.sendsMost).toBeLessThanOrEqual(256);
    for (let i = 0; i < 3_000; i++) answer(world, `f.${i}`, ok(i));
    expect(inputs(world).m).toHaveLength(3_000);
    expect(world.refusals).toEqual([]);
  });

  it("under `continue` survives failed items", () => {
    const world = started({ failure_strategy: "continue", ...fan }, ["a", "b"]);
    answer(world, "f.0", bad("x"));
    answer(world, "f.1", ok("B"));
    expect(inputs(world)).toEqual({ m: [null, "B"] });
    const all = started({ failure_strategy: "continue", ...fan }, ["a"]);
    answer(all, "f.0", bad("x"));
    expect(all.stages()).toMatchObject([
      { status: "failed", fan: { failed: 1 }, error: { code: "x" } },
      { status: "running" },
    ]);
  });

  it("under `stop_on_error` stops the others at the first failure", () => {
    const world = started(fan, ["a", "b", "c"]);
    answer(world, "f.1", bad("x"));
    expect(world.view("run/r1")).toMatchObject({ status: "failed", error: { code: "x", details: { stage: "f" } } });
    expect(world.work).toEqual([]);
    expect(world.view("task/r1~f.0").status).toBe("cancelled");
    expect(world.refusals).toEqual([]);
  });
});

describe("what is too large for the machine", () => {
  const ref = { $blob: { name: "r1/x", bytes: 100_000, sha256: "x" } };
  const stages = [stage("a", { when: "size(input) > 3" }), stage("b", { dependencies: ["a"] })];

  it("passes through untouched when nobody looks into it", () => {
    const world = started({ stages: [stage("a")] }, ref as unknown as Json);
    expect(inputs(world)).toEqual({ a: ref });
  });

  it("is left to the resolve executor when an expression looks into it", () => {
    const world = started({ stages }, ref as unknown as Json);
    const [work] = world.work;
    expect(work).toMatchObject({ kind: "resolve", id: "resolve-a-1", at: { key: "r1" } });
    const context = work?.context as unknown as RunContext;
    expect(resolveStage({ ...context, input: "long text" }, "a")).toEqual({ ok: true, input: "long text" });
    expect(resolveStage({ ...context, input: "no" }, "a")).toEqual({ ok: true, skip: true });
    expect(resolveStage(context, "a", { input: [1, 2, 3, 4] })).toEqual({ ok: true, input: [1, 2, 3, 4] });
    expect(resolveStage(context, "a")).toMatchObject({ ok: false });
    world.ask("run/r1", { type: "run.resolve", stage: "a", ok: true, input: ref });
    expect(world.work.map((w) => w.id)).toEqual(["attempt-1"]);
    expect(world.ask("run/r1", { type: "run.resolve", stage: "a", ok: true, input: 1 }).refused).toBe("conflict");
  });

  it("is asked for again when the executor died, and given up in the end", () => {
    const world = started({ stages }, ref as unknown as Json);
    expect(world.ask("run/r1", { type: "work.lose", id: "resolve-a-9" }).refused).toBe("conflict");
    for (let n = 1; n < 100; n++) world.ask("run/r1", { type: "work.lose", id: `resolve-a-${n}` });
    expect(world.work.map((w) => w.id)).toEqual(["resolve-a-100"]);
    world.ask("run/r1", { type: "work.lose", id: "resolve-a-100" });
    expect(world.view("run/r1")).toMatchObject({ status: "failed", error: { code: "attempts_lost" } });
  });

  it("may be skipped, fail, or be a list of inputs kept outside", () => {
    const resolved = (command: object) => {
      const world = started(
        { stages: [stage("a", { for_each: "input.list" }), stage("b", { dependencies: ["a"] })] },
        ref as unknown as Json,
      );
      world.ask("run/r1", { type: "run.resolve", stage: "a", ...command });
      return world;
    };
    expect(resolved({ ok: true, skip: true }).stages()).toMatchObject([{ status: "skipped" }, {}]);
    expect(resolved({ ok: false, error: "for_each: no" }).view("run/r1").error).toMatchObject({
      code: "invalid_expression",
      message: "stage a: for_each: no",
    });
    expect(inputs(resolved({ ok: true, items: ["x"] }))).toEqual({ "a.0": "x" });
    const outside = resolved({ ok: true, itemsRef: { $blob: { ...ref.$blob, at: "/list" } }, count: 300 });
    expect(outside.work).toHaveLength(300);
    expect(inputs(outside)["a.299"]).toEqual({ $blob: { ...ref.$blob, at: "/list/299" } });
  });

  it("leaves large scopes and results to it, also the output", () => {
    const world = started(
      { stages: [stage("f", { for_each: "input" }), stage("m", { dependencies: ["f"] })] },
      [1, 2, 3],
    );
    for (let i = 0; i < 3; i++) answer(world, `f.${i}`, ok("x".repeat(30_000)));
    expect(world.work.map((w) => w.id)).toEqual(["resolve-m-1"]);
    const context = world.work[0]?.context as unknown as RunContext;
    expect(resolveStage(context, "m")).toMatchObject({ ok: true, input: { length: 3 } });
    const grows = started({ stages: [stage("a", { input: "${[input, input, input]}" })] }, "x".repeat(30_000));
    expect(grows.work.map((w) => w.id)).toEqual(["resolve-a-1"]);

    const output = started({ stages: [stage("a")], output: { size: "${size(stages.a.output)}" } });
    answer(output, "a", ok(ref));
    expect(output.work.map((w) => w.id)).toEqual(["resolve-$output-1"]);
    output.ask("run/r1", { type: "work.lose", id: "resolve-$output-1" });
    expect(output.work.map((w) => w.id)).toEqual(["resolve-$output-2"]);
    expect(resolveStage(output.context<RunContext>("run/r1"), "$output", { stages: { a: { output: "abc" } } })).toEqual(
      { ok: true, output: { size: 3 } },
    );
    output.ask("run/r1", { type: "run.resolve", stage: "$output", ok: true, output: { size: 9 } });
    expect(output.view("run/r1")).toMatchObject({ status: "succeeded", output: { size: 9 } });
  });
});
