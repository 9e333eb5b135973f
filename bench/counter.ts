/** The smallest durable machine: counts, and says the count. What is measured around it is the runtime. */
import { assign, setup } from "xstate";
import type { ActorDefinition } from "../src/machines/definition.ts";
import { type Command, effects, reply } from "../src/machines/effects.ts";

interface Context {
  readonly count: number;
  readonly created: number;
}
type Event = Command & { meta: { now: number } };

const machine = setup({
  types: {} as { context: Context; events: Event },
  actions: {
    begin: assign(({ event }) => ({ count: 1, created: event.meta.now })),
    add: assign(({ context }) => ({ ...context, count: context.count + 1 })),
    answer: effects(({ context }: { context: Context }) => [reply(context.count)]),
  },
}).createMachine({
  context: { count: 0, created: 0 },
  initial: "absent",
  states: {
    absent: { on: { add: { target: "counting", actions: ["begin", "answer"] } } },
    counting: { on: { add: { actions: ["add", "answer"] } } },
  },
});

export const counter = {
  type: "counter",
  version: 1,
  machine,
  kind: () => "bench",
  index: ({ context }: { context: Context }) => ({ created: context.created }),
  view: ({ context }: { context: Context }) => ({ count: context.count }),
} as unknown as ActorDefinition;
