/**
 * A shared state: one JSON object under a name, which everybody who knows the name changes field by field and
 * hears of. Owns merging and the bound of its size; who listens is the gateway's.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import { type Address, address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import { announce, effects, type Json, type JsonObject, refuse, reply } from "../effects.ts";
import { isLarger } from "../json.ts";
import type { WithMeta } from "../planned.ts";
import { jsonObjectSchema } from "../schema.ts";

export const sharedStateType = "shared_state";
/** Of the JSON text, in characters. */
export const sharedStateCharsMax = 262_144;

export const sharedStateUpdateSchema = z.strictObject({
  type: z.literal("shared_state.update"),
  stateType: z.string().min(1).max(64),
  /** Top-level fields that are set; the others stay. */
  data: jsonObjectSchema,
});
export type SharedStateCommand = z.infer<typeof sharedStateUpdateSchema>;

export interface SharedStateContext {
  readonly stateType: string;
  readonly data: JsonObject;
  /** Counts the updates. */
  readonly version: number;
  readonly createdAt: number;
  readonly updatedAt: number;
}

type Event = WithMeta<SharedStateCommand>;

/** Both parts are names without `:` and `~`. */
export function sharedStateAddress(stateType: string, stateId: string): Address {
  return address(sharedStateType, `${stateType}:${stateId}`);
}

function merged(context: Partial<SharedStateContext>, event: Event): JsonObject {
  return { ...context.data, ...event.data };
}

const machine = setup({
  types: { context: {} as SharedStateContext, events: {} as Event },
  guards: { isTooLarge: ({ context, event }) => isLarger(merged(context, event), sharedStateCharsMax) },
  actions: {
    update: assign(({ context, event }) => {
      assertEvent(event, "shared_state.update");
      return {
        stateType: event.stateType,
        data: merged(context, event),
        version: (context.version ?? 0) + 1,
        createdAt: context.createdAt ?? event.meta.now,
        updatedAt: event.meta.now,
      };
    }),
    tellUpdated: effects<SharedStateContext, Event>(({ context }) => [
      // Live only: each state takes the place of the one before, so a history of them would grow for nothing.
      announce("updated", { version: context.version, state: context.data }),
      reply({ version: context.version }),
    ]),
    refuseLarge: effects(() => [
      refuse("too_large", `a shared state is at most ${sharedStateCharsMax} characters of JSON`),
    ]),
  },
}).createMachine({
  id: sharedStateType,
  context: {} as SharedStateContext,
  initial: "absent",
  on: {
    "shared_state.update": [
      { guard: "isTooLarge", actions: "refuseLarge" },
      { target: ".present", actions: ["update", "tellUpdated"] },
    ],
  },
  states: { absent: {}, present: {} },
});

export const sharedStateDefinition: ActorDefinition<SharedStateContext> = {
  type: sharedStateType,
  version: 1,
  machine,
  kind: (context) => context.stateType,
  index: ({ context }) => ({ stateType: context.stateType, created: context.createdAt }),
  view: ({ context }) => context as unknown as Json,
};
