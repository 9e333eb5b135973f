/** An actor that does as it is told: the command lists the effects, what to keep, or what to throw. */
import { assign, setup } from "xstate";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import { type Command, type Effect, effects, emit, type Json } from "../../src/machines/effects.ts";

type Event = Command & { meta: { now: number; self: { type: string; key: string } } };
type Args = { context: { kept: Json; steps: number }; event: Event };

const perform = effects(({ event }: Args): readonly Effect[] => {
  if (event.throws !== undefined) throw new Error(event.throws as string);
  return (event.effects as readonly Effect[] | undefined) ?? [];
});

/** A small command with a large change: `times` events of `bytes` each, nested `depth` deep. */
const grow = effects(({ event }: Args): readonly Effect[] => {
  let value: Json = "x".repeat((event.bytes as number) ?? 0);
  for (let i = 0; i < ((event.depth as number) ?? 0); i++) value = [value];
  return Array.from({ length: event.times as number }, (_, i) => emit("large", { i, value }));
});

const machine = setup({
  types: {} as { context: Args["context"]; events: Event },
  actions: {
    keep: assign(({ context, event }) => ({
      kept: event.keep === undefined ? context.kept : (event.keep as Json),
      steps: context.steps + 1,
    })),
    perform,
    grow,
  },
}).createMachine({
  context: { kept: null, steps: 0 },
  initial: "absent",
  states: {
    absent: {
      on: {
        do: { target: "present", actions: ["keep", "perform"] },
        burst: { actions: "perform" },
        grow: { target: "present", actions: ["keep", "grow"] },
      },
    },
    present: {
      on: {
        do: { actions: ["keep", "perform"] },
        burst: { actions: "perform" },
        grow: { actions: ["keep", "grow"] },
        "work.lose": { actions: "keep" },
        end: "over",
      },
    },
    over: {},
  },
});

export const probe = {
  type: "probe",
  version: 1,
  machine,
  kind: () => "probe",
  index: () => ({ created: 1 }),
  ended: (s: { value: unknown }) => s.value === "over",
} as unknown as ActorDefinition;

export const doing = (list: readonly Effect[], more: object = {}): Command => ({ type: "do", effects: list, ...more });
