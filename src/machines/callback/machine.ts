/**
 * A mailbox for callbacks (`/v1/callbacks/{id}`): what was called back, kept to be read. Owns which call is new:
 * one with an id that is there already changes nothing.
 */
import { assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, reply } from "../effects.ts";
import { jsonSize } from "../json.ts";
import type { WithMeta } from "../planned.ts";
import { jsonSchema, keySchema } from "../schema.ts";

export const callbackType = "callback";
/** Calls that are kept, and what they may weigh together (the last one stays in any case); older ones leave. */
export const callsKeptMax = 32;
const callsBytesMax = 131_072;

export const callbackReceiveSchema = z.strictObject({
  type: z.literal("callback.receive"),
  /** Unique for the call: the webhook's id, or the response's. */
  id: keySchema,
  data: jsonSchema,
  by: z.string().min(1).max(200),
});
export type CallbackReceive = z.infer<typeof callbackReceiveSchema>;

export interface CallbackContext {
  readonly calls: readonly { readonly id: string; readonly at: number; readonly by: string; readonly data: Json }[];
  readonly count: number;
  readonly createdAt: number;
}

type Event = WithMeta<CallbackReceive>;
type Calls = CallbackContext["calls"];

/** The newest that are within bounds. */
function kept(calls: Calls): Calls {
  let bytes = 0;
  let first = calls.length;
  while (first > 0 && calls.length - first < callsKeptMax) {
    bytes += jsonSize(calls[first - 1]?.data ?? null);
    if (bytes > callsBytesMax && first < calls.length) break;
    first--;
  }
  return calls.slice(first);
}

const machine = setup({
  types: { context: {} as CallbackContext, events: {} as Event },
  guards: { isKnown: ({ context, event }) => context.calls.some(({ id }) => id === event.id) },
  actions: {
    keep: assign(({ context, event }) => {
      const { id, by, data, meta } = event;
      const calls = [...(context.calls ?? []), { id, at: meta.now, by, data }];
      return {
        calls: kept(calls),
        count: (context.count ?? 0) + 1,
        createdAt: context.createdAt ?? meta.now,
      };
    }),
    tell: effects<CallbackContext, Event>(({ event }) => [
      emit("received", { id: event.id, by: event.by }),
      reply({ received: true }),
    ]),
    replyKnown: effects(() => [reply({ received: false })]),
  },
}).createMachine({
  id: callbackType,
  context: {} as CallbackContext,
  initial: "absent",
  states: {
    absent: { on: { "callback.receive": { target: "called", actions: ["keep", "tell"] } } },
    called: {
      on: { "callback.receive": [{ guard: "isKnown", actions: "replyKnown" }, { actions: ["keep", "tell"] }] },
    },
  },
});

export const callbackDefinition: ActorDefinition<CallbackContext> = {
  type: callbackType,
  version: 1,
  machine,
  kind: () => "mailbox",
  index: ({ context }) => ({ created: context.createdAt }),
  view: ({ context }) => context as unknown as Json,
};
