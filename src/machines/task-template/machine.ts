/**
 * A template that tasks and requests name (`template_id`): the JSON Schema of its parameters. Owns the schema as it
 * is now; checking parameters against it is the gateway's.
 */
import { assign, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, type JsonObject, reply } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { jsonSchemaSchema, keySchema } from "../schema.ts";

export const templateType = "template";

export const templatePutSchema = z.strictObject({
  type: z.literal("template.put"),
  schema: jsonSchemaSchema,
  description: z.string().max(4_096).optional(),
  /** Of schema and description. */
  hash: keySchema,
});
export type TemplatePut = z.infer<typeof templatePutSchema>;

export interface TemplateContext {
  readonly schema: JsonObject;
  readonly description: string | null;
  readonly hash: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}

type Event = WithMeta<TemplatePut>;

const machine = setup({
  types: { context: {} as TemplateContext, events: {} as Event },
  guards: { isSame: ({ context, event }) => context.hash === event.hash },
  actions: {
    keep: assign(({ context, event }) => ({
      schema: event.schema,
      description: event.description ?? null,
      hash: event.hash,
      createdAt: context.createdAt ?? event.meta.now,
      updatedAt: event.meta.now,
    })),
    tell: effects<TemplateContext, Event>(({ event }) => [emit("put", { hash: event.hash }), reply({ changed: true })]),
    replySame: effects(() => [reply({ changed: false })]),
  },
}).createMachine({
  id: templateType,
  context: {} as TemplateContext,
  initial: "absent",
  states: {
    absent: { on: { "template.put": { target: "present", actions: ["keep", "tell"] } } },
    present: { on: { "template.put": [{ guard: "isSame", actions: "replySame" }, { actions: ["keep", "tell"] }] } },
  },
});

export const templateDefinition: ActorDefinition<TemplateContext> = {
  type: templateType,
  version: 1,
  machine,
  kind: () => "parameters",
  index: ({ context }) => ({ created: context.createdAt }),
  view: ({ context }) => context as unknown as Json,
};
