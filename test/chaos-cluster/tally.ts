/**
 * The chaos rig's own actor: small commands that show in the journal one by one. Each is numbered by the lane it
 * came on, and says which of its sender's tries it is, so that what was lost, doubled or put in another order can be seen
 * from the stored events alone.
 */
import { assign, setup } from "xstate";
import type { ActorDefinition } from "../../src/machines/definition.ts";
import {
  type Command,
  type Effect,
  effects,
  emit,
  forget,
  refuse,
  remind,
  reply,
  send,
} from "../../src/machines/effects.ts";

interface Context {
  readonly created: number;
  /** Commands taken. */
  readonly total: number;
  /** By lane: the last number taken, and the total it made. */
  readonly lanes: Readonly<Record<string, readonly [no: number, total: number]>>;
  /** By other tally: letters sent to it. */
  readonly passed: Readonly<Record<string, number>>;
}

/** What a lane asks for. */
export interface Numbered extends Command {
  readonly lane: string;
  readonly no: number;
  readonly attempt: number;
}
type Event = (
  | (Numbered & { type: "tally.add" })
  | (Numbered & { type: "tally.pass"; to: string })
  | (Numbered & { type: "tally.remind"; inMs: number })
  | (Numbered & { type: "tally.forget"; of: number })
  | { type: "tally.hear"; from: string; n: number }
  | { type: "tally.fire"; lane: string; no: number; due: number }
) & { meta: { now: number; self: { type: string; key: string } } };
type Args = { context: Context; event: Event };
type Of<T extends Event["type"]> = Extract<Event, { type: T }>;

const last = (context: Context, event: Event): number => context.lanes[(event as Numbered).lane]?.[0] ?? 0;
const named = (lane: string, no: number): string => `${lane}-${no}`;

function on<T extends Event["type"]>(fn: (event: Of<T>, context: Context) => readonly Effect[]) {
  return effects(({ context, event }: Args) => fn(event as Of<T>, context));
}

const machine = setup({
  types: {} as { context: Context; events: Event },
  guards: {
    isOld: ({ context, event }) => (event as Numbered).no <= last(context, event),
    isAhead: ({ context, event }) => (event as Numbered).no > last(context, event) + 1,
  },
  actions: {
    take: assign(({ context, event }) => {
      const { lane, no } = event as Numbered;
      const total = context.total + 1;
      return {
        created: context.created || event.meta.now,
        total,
        lanes: { ...context.lanes, [lane]: [no, total] as const },
      };
    }),
    tellTaken: on<"tally.add">(({ lane, no, attempt }, { total }) => [
      emit("added", { lane, no, attempt, total }),
      reply({ total }),
    ]),
    /** Told, not hidden: two steps of one try are a fault, one step of a later try is none. */
    tellOld: on<"tally.add">(({ lane, no, attempt }, context) => [
      emit("repeated", { lane, no, attempt }),
      reply({ total: last(context, { lane } as never) === no ? (context.lanes[lane]?.[1] ?? 0) : 0 }),
    ]),
    refuseAhead: on<"tally.add">((event, context) => [
      refuse("conflict", `${event.lane} sends ${event.no}, but only ${last(context, event as never)} are here`),
    ]),
    countPassed: assign(({ context, event }) => {
      const { to } = event as Of<"tally.pass">;
      return { passed: { ...context.passed, [to]: (context.passed[to] ?? 0) + 1 } };
    }),
    pass: on<"tally.pass">(({ to, meta }, { passed }) => [
      emit("passed", { to, n: passed[to] as number }),
      send({ type: "tally", key: to }, { type: "tally.hear", from: meta.self.key, n: passed[to] as number }),
    ]),
    begin: assign(({ context, event }) => ({ created: context.created || event.meta.now })),
    tellHeard: on<"tally.hear">(({ from, n }) => [emit("heard", { from, n })]),
    remind: on<"tally.remind">(({ lane, no, inMs, meta }) => {
      const due = meta.now + inMs;
      return [remind(named(lane, no), due, { type: "tally.fire", lane, no, due }), emit("armed", { lane, no, due })];
    }),
    tellFired: on<"tally.fire">(({ lane, no, due, meta }) => [emit("fired", { lane, no, due, now: meta.now })]),
    forget: on<"tally.forget">(({ lane, of }) => [forget(named(lane, of)), emit("forgotten", { lane, no: of })]),
  },
}).createMachine({
  context: { created: 0, total: 0, lanes: {}, passed: {} },
  initial: "counting",
  states: {
    counting: {
      on: {
        "tally.add": [
          { guard: "isOld", actions: "tellOld" },
          { guard: "isAhead", actions: "refuseAhead" },
          { actions: ["take", "tellTaken"] },
        ],
        "tally.pass": [
          { guard: "isOld", actions: "tellOld" },
          { guard: "isAhead", actions: "refuseAhead" },
          { actions: ["take", "countPassed", "tellTaken", "pass"] },
        ],
        "tally.remind": [
          { guard: "isOld", actions: "tellOld" },
          { guard: "isAhead", actions: "refuseAhead" },
          { actions: ["take", "tellTaken", "remind"] },
        ],
        "tally.forget": [
          { guard: "isOld", actions: "tellOld" },
          { guard: "isAhead", actions: "refuseAhead" },
          { actions: ["take", "tellTaken", "forget"] },
        ],
        "tally.hear": { actions: ["begin", "tellHeard"] },
        "tally.fire": { actions: "tellFired" },
      },
    },
  },
});

export const tally = {
  type: "tally",
  version: 1,
  machine,
  kind: () => "chaos",
  index: ({ context }: { context: Context }) => ({ created: context.created }),
  view: ({ context }: { context: Context }) => ({ total: context.total }),
} as unknown as ActorDefinition;
