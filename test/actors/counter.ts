/** A small actor for tests of the runtime: counts, sends, reminds, works, refuses, and fails when told. */
import { assign, setup } from "xstate";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import {
  type Command,
  type Effect,
  effects,
  emit,
  execute,
  forget,
  type JsonObject,
  refuse,
  remind,
  reply,
  send,
  settle,
} from "../../src/machines/effects.ts";

interface Context {
  count: number;
  heard: string[];
  created: number;
  /** Letters relayed so far. */
  relayed: number;
}

type Event = Command & { meta: { now: number; self: { type: string; key: string } } };
type Args = { context: Context; event: Event };

/** What is kept of it: a reminder that comes before its time says so. */
function heard(event: Event): string {
  const early = event.due !== undefined && event.meta.now < (event.due as number);
  return `${early ? "early " : ""}${event.text as string}`;
}

const machine = setup({
  types: {} as { context: Context; events: Event },
  actions: {
    begin: assign(({ context, event }) => ({ ...context, created: context.created || event.meta.now })),
    add: assign(({ context, event }) => ({ ...context, count: context.count + ((event.by as number) ?? 1) })),
    hear: assign(({ context, event }) => ({ ...context, heard: [...context.heard, heard(event)] })),
    told: effects(({ event }: Args) => [emit("told", { text: event.text as string })]),
    relay: assign(({ context }) => ({ ...context, relayed: context.relayed + 1 })),
    relayed: effects(({ context, event }: Args) => [
      send(
        { type: "counter", key: event.to as string },
        { type: "hear", text: `${event.text as string}|${event.meta.self.key}|${context.relayed}` },
      ),
    ]),
    counted: effects(({ context }: Args) => [emit("counted", { count: context.count }), reply(context.count)]),
    forward: effects(({ event }: Args) =>
      (event.to as string[]).map((key) =>
        send({ type: "counter", key }, (event.command as Command) ?? { type: "add" }),
      ),
    ),
    remindMe: effects(({ event }: Args) => [
      remind(event.name as string, event.meta.now + (event.inMs as number), {
        type: "hear",
        text: `reminder ${event.name as string}`,
        due: event.meta.now + (event.inMs as number),
      }),
    ]),
    forgetMe: effects(({ event }: Args) => [forget(event.name as string)]),
    work: effects(({ event }: Args) => [execute(event.id as string, "test", { id: event.id as string })]),
    workDone: effects(({ event }: Args): Effect[] => [
      settle(event.id as string),
      emit("worked", { id: event.id as string }),
    ]),
    refuse: effects(() => [refuse("precondition_failed", "Not this one.", { why: "test" })]),
    explode: () => {
      throw new Error("boom");
    },
  },
}).createMachine({
  context: { count: 0, heard: [], created: 0, relayed: 0 },
  initial: "absent",
  states: {
    absent: {
      on: {
        add: { target: "counting", actions: ["begin", "add", "counted"] },
        hear: { target: "counting", actions: ["begin", "hear"] },
        tell: { target: "counting", actions: ["begin", "hear", "told"] },
        relay: { target: "counting", actions: ["begin", "relay", "relayed"] },
        remind_me: { target: "counting", actions: ["begin", "remindMe"] },
      },
    },
    counting: {
      on: {
        add: { actions: ["add", "counted"] },
        hear: { actions: "hear" },
        tell: { actions: ["hear", "told"] },
        relay: { actions: ["relay", "relayed"] },
        forward: { actions: "forward" },
        remind_me: { actions: "remindMe" },
        forget_me: { actions: "forgetMe" },
        work: { actions: "work" },
        work_done: { actions: ["add", "workDone"] },
        "work.lose": { actions: ["hear", "workDone"] },
        refuse: { actions: "refuse" },
        explode: {
          actions: [
            effects(() => {
              throw new Error("boom");
            }),
          ],
        },
        close: "closed",
      },
    },
    closed: {},
  },
});

export const counter = {
  type: "counter",
  version: 1,
  machine,
  kind: () => "test",
  index: (s: { context: Context; value: unknown }) => ({
    created: s.context.created,
    parity: s.context.count % 2 === 0 ? "even" : "odd",
  }),
  view: (s: { value: unknown; context: Context }) => ({
    state: s.value as string,
    ...(s.context as unknown as JsonObject),
  }),
} as unknown as ActorDefinition;
