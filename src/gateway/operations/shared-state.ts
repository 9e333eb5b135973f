/**
 * Operations on shared states: read one, change fields of one. A state that nobody has changed yet is empty.
 */
import { z } from "zod";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { type SharedStateContext, sharedStateAddress } from "../../machines/shared-state/machine.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { defineOperation, freeObject } from "../operation.ts";

const part = (max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[^:~\p{Cc}\p{Cs}]+$/u, "must not hold ':', '~' or control characters");
const names = { state_type: part(64), state_id: part(128) };

const sharedState = z
  .object({
    state_type: z.string(),
    state_id: z.string(),
    data: freeObject,
    version: z.int().describe("Counts the changes; 0: none yet."),
    updated_at: z.string().nullable().meta({ format: "date-time" }),
  })
  .meta({ id: "SharedState" });

type Names = { readonly state_type: string; readonly state_id: string };

function shown({ state_type, state_id }: Names, context: SharedStateContext): z.input<typeof sharedState> {
  const { data, version, updatedAt } = context;
  return { state_type, state_id, data: data as Record<string, unknown>, version, updated_at: rfc3339(updatedAt) };
}

const common = { tags: ["shared state"], path: "/v1/shared-state/{state_type}/{state_id}" } as const;

export const sharedStateOperations = [
  defineOperation({
    ...common,
    name: "shared_state.get",
    summary: "Read a shared state",
    method: "GET",
    scope: "state:read",
    errors: ["invalid_input"],
    input: z.strictObject(names),
    output: sharedState,
    async handle(ctx, input) {
      try {
        const answer = await ctx.runtime.read(sharedStateAddress(input.state_type, input.state_id));
        return shown(input, answer.view as unknown as SharedStateContext);
      } catch (error) {
        if (!(error instanceof TroupeError) || error.code !== "not_found") throw error;
        return { ...input, data: {}, version: 0, updated_at: null };
      }
    },
  }),
  defineOperation({
    ...common,
    name: "shared_state.update",
    summary: "Set fields of a shared state",
    description: "Top-level fields of `data` are set, the others stay. Who listens is told the whole state.",
    method: "PATCH",
    scope: "state:write",
    errors: ["invalid_input", "too_large"],
    example: { data: { phase: "planning" } },
    input: z.strictObject({ ...names, data: freeObject }),
    output: sharedState,
    async handle(ctx, input) {
      const to = sharedStateAddress(input.state_type, input.state_id);
      const command = { type: "shared_state.update", stateType: input.state_type, data: input.data as Json };
      const { view } = await ctx.runtime.ask(to, command, { timeoutMs: ctx.limits.askTimeoutMs });
      return shown(input, view as unknown as SharedStateContext);
    },
  }),
];
