/** The application of Restate: a virtual object, the same as an XState machine, a handler of three steps, fan-outs. */
import "./node-20.ts";
import * as restate from "@restatedev/restate-sdk";
import { xstate } from "@restatedev/xstate";
import { assign, setup } from "xstate";
import { increment, type Passed } from "../step.ts";

const counter = restate.object({
  name: "Counter",
  handlers: {
    add: async (ctx: restate.ObjectContext): Promise<number> => {
      const n = ((await ctx.get<number>("n")) ?? 0) + 1;
      ctx.set("n", n);
      return n;
    },
  },
});

const machine = setup({
  types: {} as { context: { n: number }; events: { type: "add" } },
  actions: { add: assign({ n: ({ context }) => context.n + 1 }) },
}).createMachine({
  id: "counter-machine",
  context: { n: 0 },
  initial: "counting",
  states: { counting: { on: { add: { actions: "add" } } } },
});

const task = restate.service({
  name: "Task",
  handlers: {
    increment: async (_ctx: restate.Context, input: Passed): Promise<Passed> => increment(input),
  },
});

const flow = restate.service({
  name: "Flow",
  handlers: {
    chain: async (ctx: restate.Context, input: Passed): Promise<Passed> => {
      const first = await ctx.run("first", () => increment(input));
      const second = await ctx.run("second", () => increment(first));
      return ctx.run("third", () => increment(second));
    },
    calls: async (ctx: restate.Context, { tasks }: { tasks: number }): Promise<number> => {
      const client = ctx.serviceClient(task);
      const joined = await restate.RestatePromise.all(
        Array.from({ length: tasks }, (_, value) => client.increment({ value, stamps: [] })),
      );
      return joined.length;
    },
    runs: async (ctx: restate.Context, { tasks }: { tasks: number }): Promise<number> => {
      const joined = await restate.RestatePromise.all(
        Array.from({ length: tasks }, (_, value) => ctx.run(`t${value}`, () => increment({ value, stamps: [] }))),
      );
      return joined.length;
    },
  },
});

await restate
  .endpoint()
  .bind(counter)
  .bind(xstate("CounterMachine", machine))
  .bind(task)
  .bind(flow)
  .listen(Number(process.env.PORT));
process.stdout.write("ready\n");
