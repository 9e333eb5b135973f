/** The step: a pure function around a machine. */

import { expect, test } from "vitest";
import { assign, createActor, fromPromise, setup } from "xstate";
import { Stepper } from "../../src/actors/step.ts";
import type { ActorDefinition, Snapshot } from "../../src/machines/definition.ts";
import { type Command, effects, emit, refuse } from "../../src/machines/effects.ts";

const meta = { self: { type: "lamp", key: "l" }, now: 1000 };

const lamp = setup({
  types: {} as { context: { switched: number }; events: Command },
  actions: {
    count: assign({ switched: ({ context }) => context.switched + 1 }),
    refuse: effects(() => [emit("never"), refuse("precondition_failed", "no")]),
  },
  delays: { tired: 5000 },
}).createMachine({
  context: { switched: 0 },
  initial: "absent",
  states: {
    absent: { on: { make: "off" } },
    off: { on: { on: { target: "on", actions: "count" } } },
    on: { on: { off: "off", spoil: { target: "off", actions: ["count", "refuse"] } }, after: { tired: "off" } },
  },
});

const define = (machine: unknown) =>
  ({ type: "lamp", version: 1, machine, kind: () => "l" }) as unknown as ActorDefinition;

function run(stepper: Stepper, commands: readonly Command[]): { snapshot: Snapshot | null; effects: unknown[] } {
  let snapshot: Snapshot | null = null;
  let last: unknown[] = [];
  for (const command of commands) {
    const result = stepper.step(snapshot, command, meta);
    snapshot = result.snapshot;
    last = [...result.effects];
  }
  return { snapshot, effects: last };
}

test("a delayed transition is a reminder, leaving its state forgets it, and it takes the machine on", () => {
  const stepper = new Stepper(define(lamp));
  const on = run(stepper, [{ type: "make" }, { type: "on" }]);
  const [armed] = on.effects as { type: string; name: string; at: number; command: Command }[];
  expect(armed).toMatchObject({ type: "remind", at: 6000 });
  const off = stepper.step(on.snapshot, { type: "off" }, meta);
  expect(off.effects).toEqual([{ type: "forget", name: armed?.name }]);
  // From JSON, as after a restart.
  const restored = JSON.parse(JSON.stringify(on.snapshot)) as Snapshot;
  const tired = stepper.step(restored, armed?.command as Command, { ...meta, now: 6000 });
  expect(tired.snapshot).toEqual({ value: "off", context: { switched: 1 } });
  // Come too late, it is a command that this state does not take.
  expect(() => stepper.step(off.snapshot, armed?.command as Command, meta)).toThrow(/does not take/);
});

test("what a state does not handle is not_found before the actor exists, conflict after", () => {
  const stepper = new Stepper(define(lamp));
  const code = (work: () => unknown) => {
    try {
      work();
    } catch (error) {
      return (error as { code?: string }).code;
    }
    return "fine";
  };
  expect(code(() => stepper.step(null, { type: "on" }, meta))).toBe("not_found");
  const made = stepper.step(null, { type: "make" }, meta).snapshot;
  expect(code(() => stepper.step(made, { type: "make" }, meta))).toBe("conflict");
  expect(code(() => stepper.step(made, { type: "toString" }, meta))).toBe("conflict");
});

test("a refusal discards all of the step, and the next step knows nothing of it", () => {
  const stepper = new Stepper(define(lamp));
  const on = run(stepper, [{ type: "make" }, { type: "on" }]);
  expect(() => stepper.step(on.snapshot, { type: "spoil" }, meta)).toThrow("no");
  expect(on.snapshot).toEqual({ value: "on", context: { switched: 1 } });
  expect(stepper.step(on.snapshot, { type: "off" }, meta).effects.map((e) => e.type)).toEqual(["forget"]);
});

test("a step that changes nothing gives the very same snapshot", () => {
  const still = setup({ types: {} as { context: { n: number } } }).createMachine({
    context: { n: 0 },
    initial: "a",
    states: { a: { on: { look: { actions: effects(() => [{ type: "reply", value: 1 }]) } } } },
  });
  const before = { value: "a", context: { n: 0 } };
  const { snapshot, effects: list } = new Stepper(define(still)).step(before, { type: "look" }, meta);
  expect(snapshot).toBe(before);
  expect(list).toEqual([{ type: "reply", value: 1 }]);
});

test.each(["side effect", "invoke"])("a machine that does something itself (%s) is stopped", (what) => {
  let done = 0;
  const rogue = setup({
    actors: { later: fromPromise(async () => done++) },
    actions: {
      act: () => {
        done++;
      },
    },
  }).createMachine({
    initial: "absent",
    states: {
      absent: { on: { go: what === "invoke" ? "busy" : { target: "plain", actions: "act" } } },
      busy: { invoke: { src: "later" } },
      plain: {},
    },
  });
  expect(() => new Stepper(define(rogue)).step(null, { type: "go" }, meta)).toThrow(/asks to execute/);
  expect(done).toBe(0);
  // The machine itself would have done it.
  const actor = createActor(rogue).start();
  actor.send({ type: "go" });
  expect(actor.getSnapshot().value).not.toBe("absent");
});
