/**
 * Operations on dead letters: commands that their actors could not step, kept with the cause. List, read,
 * retry (a new command to the actor), drop.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import { type DeadLetterContext, deadLetterType } from "../../machines/dead-letter/machine.ts";
import type { Json } from "../../machines/effects.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { defineOperation, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { brief, named, requireId } from "./values.ts";

const statuses = ["waiting", "retried", "dropped"] as const;

export const deadLetter = z
  .object({
    dead_letter_id: z.string(),
    status: z.enum(statuses),
    to: z.string().describe("The actor that it was for: `type/key`."),
    command: freeObject.describe("Large values stand as references."),
    truncated: z
      .boolean()
      .describe("The command was too large to be kept: only its type is here, and it cannot be retried."),
    error: z.string().describe("What the step threw."),
    source: z.string().describe("Where the command came from."),
    tries: z.int().describe("How often the step was tried."),
    created_at: z.string().nullable().meta({ format: "date-time" }),
    ended_at: z.string().nullable().meta({ format: "date-time" }),
  })
  .meta({ id: "DeadLetter" });

type View = DeadLetterContext & { readonly status: (typeof statuses)[number] };

function shown(id: string, view: Json): z.input<typeof deadLetter> {
  const v = view as unknown as View;
  return {
    dead_letter_id: id,
    status: v.status,
    to: `${v.to.type}/${v.to.key}`,
    command: brief(v.command as Json) as Record<string, unknown>,
    truncated: v.truncated,
    error: v.error,
    source: v.source,
    tries: v.tries,
    created_at: rfc3339(v.createdAt),
    ended_at: v.endedAt === null ? null : rfc3339(v.endedAt),
  };
}

async function ask(ctx: OperationContext, id: string, type: string) {
  const at = address(deadLetterType, requireId("dead letter", id));
  const asked = ctx.runtime.ask(at, { type }, { timeoutMs: ctx.limits.askTimeoutMs });
  return shown(id, (await asked.catch(named("dead letter", id))).view);
}

const common = { tags: ["dead letters"], scope: "system:read" } as const;
const one = z.strictObject({ dead_letter_id: z.string().min(1).max(200) });

export const deadLetterOperations = [
  defineOperation({
    ...common,
    name: "dead_letters.list",
    summary: "List dead letters, newest first",
    method: "GET",
    path: "/v1/dead-letters",
    errors: ["invalid_input"],
    input: z.strictObject({ ...pageFields, status: z.enum(statuses).optional() }),
    output: pageOf(deadLetter),
    async handle(ctx, input) {
      const page = await ctx.runtime.list({
        type: deadLetterType,
        ...(input.status !== undefined && { where: { status: input.status } }),
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("dead-letters", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => shown(at.key, view));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("dead-letters", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "dead_letters.get",
    summary: "Read a dead letter",
    method: "GET",
    path: "/v1/dead-letters/{dead_letter_id}",
    errors: ["not_found"],
    input: one,
    output: deadLetter,
    async handle(ctx, input) {
      const at = address(deadLetterType, requireId("dead letter", input.dead_letter_id));
      const answer = await ctx.runtime.read(at).catch(named("dead letter", input.dead_letter_id));
      return shown(input.dead_letter_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "dead_letters.retry",
    summary: "Send the command to its actor again, as a new one",
    description: "What fails again becomes a new dead letter.",
    method: "POST",
    path: "/v1/dead-letters/{dead_letter_id}/retry",
    status: 202,
    scope: "system:write",
    errors: ["not_found", "conflict"],
    bodyRequired: false,
    input: one,
    output: deadLetter,
    handle: (ctx, input) => ask(ctx, input.dead_letter_id, "dead_letter.retry"),
  }),
  defineOperation({
    ...common,
    name: "dead_letters.drop",
    summary: "Drop a dead letter: its command will not be carried out",
    method: "DELETE",
    path: "/v1/dead-letters/{dead_letter_id}",
    scope: "system:write",
    errors: ["not_found", "conflict"],
    input: one,
    output: deadLetter,
    handle: (ctx, input) => ask(ctx, input.dead_letter_id, "dead_letter.drop"),
  }),
];
