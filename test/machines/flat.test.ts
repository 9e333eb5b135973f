/** A step's cost does not grow with the workflow: counted by reference, not by time. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Command, Json } from "../../src/machines/effects.ts";
import {
  emptyPaged,
  pagedExtend,
  pagedGet,
  pagedItems,
  pagedOf,
  pagedPush,
  pagedSet,
} from "../../src/machines/paged.ts";
import { runDefinition } from "../../src/machines/run/definition.ts";
import type { RunContext } from "../../src/machines/run/schema.ts";
import { absent, type State, step } from "./driver.ts";
import { createRun } from "./workflows.ts";
import { ok, World } from "./world.ts";

/** Entries that a comparison by reference looks at, and the JSON that it finds new. */
function changed(before: unknown, after: unknown): { looked: number; bytes: number } {
  if (before === after) return { looked: 1, bytes: 0 };
  const isBranch = (v: unknown): v is object => typeof v === "object" && v !== null;
  if (!isBranch(before) || !isBranch(after) || Array.isArray(before) !== Array.isArray(after)) {
    return { looked: 1, bytes: JSON.stringify(after)?.length ?? 0 };
  }
  const sum = { looked: 1, bytes: 0 };
  for (const [key, value] of Object.entries(after)) {
    const inside = changed((before as Record<string, unknown>)[key], value);
    sum.looked += inside.looked;
    sum.bytes += inside.bytes;
  }
  return sum;
}

const self = { type: "run", key: "r1" };
const finish = (stage: string, index?: number): Command => ({
  type: "run.finish_task",
  stage,
  ...(index === undefined ? {} : { index }),
  task: "t",
  status: "completed",
  output: { x: 1 },
  artifacts: [],
  cost: { promptTokens: 0, completionTokens: 0, usd: 0 },
  attempts: 1,
});

/** The run after its creation and all its continuations. */
function begun(definition: Record<string, unknown>, input: Json = null): State {
  let state = step(runDefinition, absent(runDefinition), createRun(definition, input), self, 0).state;
  while ((state.context as RunContext).continuing)
    state = step(runDefinition, state, { type: "run.continue" }, self, 0).state;
  return state;
}

describe("the cost of a step", () => {
  it.each<[string, (n: number) => { definition: Record<string, unknown>; input?: Json }, (n: number) => Command]>([
    [
      "in a chain",
      (n) => ({
        definition: {
          stages: Array.from({ length: n }, (_, i) => ({
            name: `s${i}`,
            agent_type: "a",
            dependencies: i === 0 ? [] : [`s${i - 1}`],
          })),
        },
      }),
      () => finish("s0"),
    ],
    [
      "among stages side by side",
      (n) => ({ definition: { stages: Array.from({ length: n }, (_, i) => ({ name: `s${i}`, agent_type: "a" })) } }),
      (n) => finish(`s${n >> 1}`),
    ],
    [
      "in a fan-out",
      (n) => ({
        definition: { stages: [{ name: "f", agent_type: "a", for_each: "input" }] },
        input: Array.from({ length: n }, (_, i) => i),
      }),
      (n) => finish("f", n >> 1),
    ],
  ])("does not grow with the number of tasks %s", (_, make, command) => {
    const cost = (n: number) => {
      const { definition, input } = make(n);
      const before = begun(definition, input);
      const after = step(runDefinition, before, command(n), self, 1);
      expect([after.unhandled, after.refusal]).toEqual([false, undefined]);
      return changed(before.context, after.state.context);
    };
    const [small, large] = [cost(100), cost(10_000)];
    expect(large.looked).toBeLessThan(small.looked + 400);
    expect(large.looked).toBeLessThan(600);
    expect(large.bytes).toBeLessThan(small.bytes + 50);
    expect(large.bytes).toBeLessThan(600);
  });

  it("is bounded also where much waits: 10,000 stages begin in steps of at most 200 tasks", () => {
    const stages = Array.from({ length: 10_000 }, (_, i) => ({ name: `s${i}`, agent_type: "a" }));
    let state = absent(runDefinition);
    let command: Command = createRun({ stages });
    for (let steps = 0; ; steps++) {
      const next = step(runDefinition, state, command, self, 0);
      expect(next.effects.length).toBeLessThan(2_048);
      expect(next.effects.filter((e) => e.type === "send").length).toBeLessThanOrEqual(201);
      state = next.state;
      command = { type: "run.continue" };
      if (!(state.context as RunContext).continuing) {
        expect(steps).toBe(49);
        break;
      }
    }
    expect(state.context as RunContext).toMatchObject({ outstanding: 10_000, open: 10_000 });
  });

  it("is bounded when a stage has thousands of dependents, and none is forgotten", () => {
    const dependents = Array.from({ length: 3_000 }, (_, i) => ({
      name: `s${i}`,
      agent_type: "a",
      dependencies: ["first"],
    }));
    const world = new World();
    world.ask("run/r1", createRun({ stages: [{ name: "first", agent_type: "a" }, ...dependents], output: 1 }));
    for (let work = world.take(); work !== undefined; work = world.take()) world.report(work, ok(1));
    expect(world.sendsMost).toBeLessThanOrEqual(201);
    expect(world.view("run/r1")).toMatchObject({ status: "succeeded", stagesTotal: 3_001, stages: { length: 1_000 } });
  });

  it("stays under the runtime's bounds when a task brings a thousand artifacts", () => {
    const artifacts = Array.from({ length: 1_000 }, (_, i) => ({
      artifactId: `r1~a~s~${i}`,
      type: "record",
      name: "x",
      mimeType: "a/b",
      createdAt: 1,
    }));
    const dependents = Array.from({ length: 2_000 }, (_, i) => ({
      name: `s${i}`,
      agent_type: "a",
      dependencies: ["f"],
      when: "false",
    }));
    const before = begun({ stages: [{ name: "f", agent_type: "a" }, ...dependents] });
    const next = step(runDefinition, before, { ...finish("f"), artifacts }, self, 1);
    expect(next.effects.length).toBeLessThan(1_100);
    expect(next.effects.at(-1)).toMatchObject({ type: "send", command: { type: "run.continue" } });
  });

  it("keeps large inputs of many stages out of one step", () => {
    const stages = Array.from({ length: 50 }, (_, i) => ({ name: `s${i}`, agent_type: "a" }));
    const first = step(runDefinition, absent(runDefinition), createRun({ stages }, "x".repeat(60_000)), self, 0);
    expect(first.effects.filter((e) => e.type === "send")).toHaveLength(6);
  });
});

describe("a paged list", () => {
  it("does what an array does", () => {
    const change = fc.oneof(
      fc.record({ kind: fc.constant("push" as const), value: fc.nat() }),
      fc.record({ kind: fc.constant("set" as const), at: fc.nat(), value: fc.nat() }),
      fc.record({ kind: fc.constant("extend" as const), by: fc.nat(150), value: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(fc.nat(), { maxLength: 200 }), fc.array(change, { maxLength: 40 }), (first, changes) => {
        let array = [...first];
        let list = pagedOf(first);
        for (const c of changes) {
          if (c.kind === "push") [array, list] = [[...array, c.value], pagedPush(list, c.value)];
          else if (c.kind === "extend") {
            const length = array.length + c.by;
            list = pagedExtend(list, length, c.value);
            array = [...array, ...new Array<number>(c.by).fill(c.value)];
          } else if (array.length > 0) {
            const at = c.at % array.length;
            [array, list] = [array.with(at, c.value), pagedSet(list, at, c.value)];
          }
        }
        expect(pagedItems(list)).toEqual(array);
        expect(list.length).toBe(array.length);
        expect(pagedGet(list, array.length - 1)).toBe(array.at(-1));
        expect(list.pages.slice(0, -1).every((page) => page.length === 64)).toBe(true);
      }),
    );
    expect(pagedGet(emptyPaged(), 0)).toBeUndefined();
    expect(() => pagedSet(pagedOf([1]), 1, 2)).toThrow(RangeError);
  });
});
