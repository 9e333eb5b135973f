import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Json } from "../../src/machines/effects.ts";
import { runDefinition } from "../../src/machines/run/definition.ts";
import type { RunContext } from "../../src/machines/run/schema.ts";
import { type State, step } from "./driver.ts";
import { createRun } from "./workflows.ts";
import { bad, ok, type PendingWork, World } from "./world.ts";

interface Shape {
  readonly definition: Record<string, unknown>;
  readonly input: Json;
}

/** A random DAG with fan-outs, conditions, checkpoints, undo stages and strategies. */
const shapes: fc.Arbitrary<Shape> = fc
  .record({
    stages: fc.array(
      fc.record({
        dependencies: fc.array(fc.nat(30), { maxLength: 3 }),
        kind: fc.constantFrom("task", "task", "task", "fan", "when", "checkpoint"),
        undo: fc.boolean(),
        strategy: fc.constantFrom(undefined, undefined, "continue", "compensate", "stop_on_error"),
      }),
      { minLength: 1, maxLength: 10 },
    ),
    strategy: fc.constantFrom("continue", "compensate", "stop_on_error"),
    parallel: fc.boolean(),
    timeout: fc.constantFrom(undefined, 5_000),
    list: fc.array(fc.nat(9), { maxLength: 4 }),
  })
  .map(({ stages, strategy, parallel, timeout, list }) => {
    const own = stages.map((s, i) => ({
      name: `s${i}`,
      dependencies: i === 0 ? [] : [...new Set(s.dependencies.map((d) => `s${d % i}`))],
      ...(s.strategy === undefined ? {} : { failure_strategy: s.strategy }),
      ...(s.kind === "checkpoint"
        ? { kind: "checkpoint", title: "t", expires_in_ms: 2_000, on_expiry: i % 2 === 0 ? "approve" : "reject" }
        : { agent_type: "a", ...(s.undo ? { compensate: `u${i}` } : {}) }),
      ...(s.kind === "fan" ? { for_each: "input.list" } : {}),
      ...(s.kind === "when" ? { when: "size(input.list) > 1" } : {}),
    }));
    const undo = own.flatMap((s) => ("compensate" in s ? [{ name: s.compensate, agent_type: "a", undo: true }] : []));
    return {
      definition: {
        failure_strategy: strategy,
        parallel,
        ...(timeout === undefined ? {} : { default_timeout_ms: timeout }),
        stages: [...own, ...undo],
      },
      input: { list },
    };
  });

/** What happens next: which of the waiting works is answered, and how. */
const turns = fc.array(
  fc.record({
    pick: fc.nat(1_000),
    act: fc.constantFrom("ok", "ok", "ok", "ok", "fail", "retry", "lose", "pass", "decide", "cancel?"),
  }),
  { minLength: 5, maxLength: 60 },
);
type Turn = { readonly pick: number; readonly act: string };

const ended = (world: World) =>
  ["succeeded", "failed", "canceled", "timed_out"].includes(String(world.view("run/r1").status));

function take(world: World, turn: Turn): void {
  const work: PendingWork | undefined = world.work[turn.pick % Math.max(1, world.work.length)];
  if (turn.act === "pass") world.pass(300);
  else if (turn.act === "cancel?" && turn.pick % 10 === 0) world.ask("run/r1", { type: "run.cancel" });
  else if (turn.act === "decide") {
    const open = (world.view("run/r1").checkpoints as { checkpointId: string; status: string }[]).filter(
      (c) => c.status === "required",
    );
    const one = open[turn.pick % Math.max(1, open.length)];
    if (one !== undefined)
      world.ask("run/r1", {
        type: "run.decide",
        checkpointId: one.checkpointId,
        decision: turn.pick % 2 === 0 ? "approve" : "reject",
      });
  } else if (work !== undefined) {
    if (turn.act === "lose") world.ask(`task/${work.at.key}`, { type: "work.lose", id: work.id });
    else
      world.report(work, turn.act === "ok" || turn.act === "cancel?" ? ok(turn.pick) : bad("x", turn.act === "retry"));
  }
}

/** Plays the turns, then answers everything until nothing is left to do. */
function play(world: World, shape: Shape, story: readonly Turn[]): World {
  world.ask("run/r1", createRun(shape.definition, shape.input));
  for (const turn of story) take(world, turn);
  for (let i = 0; i < 500 && !ended(world); i++) {
    const work = world.work[0];
    if (work === undefined) world.pass(500);
    else world.report(work, ok(i));
  }
  return world;
}

describe("any run", () => {
  it("ends, leaves nothing behind, and its counts agree", () => {
    fc.assert(
      fc.property(shapes, turns, (shape, story) => {
        const world = play(new World(), shape, story);
        expect(ended(world)).toBe(true);
        world.pass(600_000);
        expect([world.work, world.reminders]).toEqual([[], []]);
        const context = world.context<RunContext>("run/r1");
        expect(context).toMatchObject({ phase: "ended", waiting: 0, continuing: false, todo: [] });
        const tasks = [...world.states.keys()].filter((k) => k.startsWith("task/"));
        expect(
          tasks.every((k) => ["completed", "failed", "cancelled", "timed_out"].includes(String(world.view(k).status))),
        ).toBe(true);
        if (context.status === "succeeded") expect([context.open, context.outstanding]).toEqual([0, 0]);
        const ends = world.events.filter(
          (e) => e.at === "run/r1" && ["completed", "failed", "canceled"].includes(e.name),
        );
        expect(ends).toHaveLength(1);
        for (const name of new Set(world.events.filter((e) => e.name === "stage_started").map((e) => e.data.stage))) {
          expect(world.events.filter((e) => e.name === "stage_started" && e.data.stage === name)).toHaveLength(1);
          expect(
            world.events.filter((e) => e.name === "stage_completed" && e.data.stage === name).length,
          ).toBeLessThanOrEqual(1);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("restored from JSON before any step goes on as the live one", () => {
    fc.assert(
      fc.property(shapes, turns, fc.infiniteStream(fc.boolean()), (shape, story, cuts) => {
        const live = play(new World(), shape, story);
        const restored = new World();
        restored.restore = () => cuts.next().value === true;
        play(restored, shape, story);
        const plain = (world: World) => JSON.parse(JSON.stringify([[...world.states], world.events, world.refusals]));
        expect(plain(restored)).toEqual(plain(live));
      }),
      { numRuns: 150 },
    );
  });

  it("is not changed by reports that come twice", () => {
    fc.assert(
      fc.property(shapes, turns, (shape, story) => {
        const letters: { command: Json; now: number }[] = [];
        const world = new World();
        world.onStep = (at, command) => {
          if (at === "run/r1" && command.type === "run.finish_task")
            letters.push({ command: command as unknown as Json, now: world.now });
        };
        play(world, shape, story);
        const state = world.states.get("run/r1") as State;
        for (const { command } of letters) {
          const again = step(runDefinition, state, command as never, { type: "run", key: "r1" }, world.now + 1);
          expect(again.state.context).toEqual(state.context);
        }
      }),
      { numRuns: 100 },
    );
  });

  it("refuses a second report while it runs", () => {
    fc.assert(
      fc.property(shapes, turns, (shape, story) => {
        const world = new World();
        world.onStepped = (at, command, before) => {
          if (at !== "run/r1" || command.type !== "run.finish_task" || before === undefined) return;
          const after = world.states.get(at) as State;
          const again = step(runDefinition, after, command, { type: "run", key: "r1" }, world.now);
          expect(again.state.context).toBe(after.context);
          expect(again.effects.every((e) => e.type === "refuse" || e.type === "reply")).toBe(true);
        };
        play(world, shape, story);
      }),
      { numRuns: 100 },
    );
  });

  it("gives the same output in whatever order its tasks end", () => {
    const definition = {
      stages: [
        { name: "f", agent_type: "a", for_each: "input" },
        { name: "g", agent_type: "a", for_each: "input", input: "${item * 2}" },
        { name: "m", agent_type: "a", dependencies: ["f", "g"] },
      ],
    };
    fc.assert(
      fc.property(fc.array(fc.nat(100_000), { minLength: 21, maxLength: 21 }), (order) => {
        const world = new World();
        world.ask(
          "run/r1",
          createRun(
            definition,
            Array.from({ length: 10 }, (_, i) => i),
          ),
        );
        for (const pick of order) {
          const work = world.work[pick % Math.max(1, world.work.length)];
          if (work !== undefined) world.report(work, ok(work.context.input as Json));
        }
        const twice = Array.from({ length: 10 }, (_, i) => i * 2);
        expect(world.view("run/r1")).toMatchObject({
          status: "succeeded",
          output: { f: twice.map((x) => x / 2), g: twice },
        });
      }),
      { numRuns: 50 },
    );
  });
});
