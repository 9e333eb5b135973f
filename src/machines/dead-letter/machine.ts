/**
 * A dead letter: a command that its actor could not step, kept with the cause until somebody retries or drops
 * it. An actor of its own root, so that it outlives the one it was for. Who puts commands here is the runtime.
 */
import { assertEvent, assign, setup } from "xstate";
import type { Address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import { type Command, effects, emit, type Json, refuse, reply, send } from "../effects.ts";
import type { WithMeta } from "../planned.ts";

export const deadLetterType = "dead_letter";

export interface DeadLetterKeep {
  readonly type: "dead_letter.keep";
  readonly to: Address;
  readonly command: Command;
  /** The command is over what is kept: only its type is here, and it cannot be retried. */
  readonly truncated: boolean;
  readonly error: string;
  /** Where it came from: `letter 4 of partition 2`, `reminder deadline`. */
  readonly source: string;
  /** How often the step was tried. */
  readonly tries: number;
}

export type DeadLetterCommand =
  | DeadLetterKeep
  | { readonly type: "dead_letter.retry" }
  | { readonly type: "dead_letter.drop" };

export interface DeadLetterContext extends Omit<DeadLetterKeep, "type"> {
  readonly createdAt: number;
  /** When it was retried or dropped; null while it waits. */
  readonly endedAt: number | null;
}

type Event = WithMeta<DeadLetterCommand>;

const machine = setup({
  types: { context: {} as DeadLetterContext, events: {} as Event },
  guards: { isTruncated: ({ context }) => context.truncated },
  actions: {
    keep: assign(({ event }) => {
      assertEvent(event, "dead_letter.keep");
      const { type: _, meta, ...kept } = event;
      return { ...kept, createdAt: meta.now, endedAt: null };
    }),
    end: assign(({ event }) => ({ endedAt: event.meta.now })),
    tellKept: effects<DeadLetterContext, Event>(({ context }) => [
      emit("kept", { to: `${context.to.type}/${context.to.key}`, command: context.command.type, error: context.error }),
    ]),
    sendAgain: effects<DeadLetterContext, Event>(({ context }) => [
      send(context.to, context.command),
      emit("retried"),
      reply(null),
    ]),
    tellDropped: effects(() => [emit("dropped"), reply(null)]),
    acknowledge: effects(() => [reply(null)]),
    refuseTruncated: effects(() => [
      refuse("conflict", "the command was too large to be kept; it can only be dropped"),
    ]),
  },
}).createMachine({
  id: deadLetterType,
  context: {} as DeadLetterContext,
  initial: "absent",
  states: {
    absent: { on: { "dead_letter.keep": { target: "waiting", actions: ["keep", "tellKept"] } } },
    waiting: {
      on: {
        "dead_letter.retry": [
          { guard: "isTruncated", actions: "refuseTruncated" },
          { target: "retried", actions: ["end", "sendAgain"] },
        ],
        "dead_letter.drop": { target: "dropped", actions: ["end", "tellDropped"] },
      },
    },
    retried: {},
    dropped: { on: { "dead_letter.drop": { actions: "acknowledge" } } },
  },
});

export const deadLetterDefinition: ActorDefinition<DeadLetterContext> = {
  type: deadLetterType,
  version: 1,
  machine,
  kind: (context) => context.to.type,
  index: ({ value, context }) => ({ status: String(value), toType: context.to.type, created: context.createdAt }),
  view: ({ value, context }) => ({ status: String(value), ...context }) as unknown as Json,
  ended: ({ value }) => value !== "waiting",
};
