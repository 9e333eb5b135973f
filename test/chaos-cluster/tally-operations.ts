/** The one operation on tallies: hands a numbered command to its actor. */
import { z } from "zod";
import { defineOperation, type Operation } from "../../src/gateway/operation.ts";
import { address } from "../../src/machines/address.ts";

const input = z.strictObject({
  tally: z.string().min(1).max(64),
  act: z.enum(["add", "pass", "remind", "forget"]),
  lane: z.string().min(1).max(64),
  no: z.int().min(1),
  attempt: z.int().min(1),
  to: z.string().min(1).max(64).optional(),
  in_ms: z.int().min(0).optional(),
  of: z.int().min(1).optional(),
});

export const tallyOperations: readonly Operation[] = [
  defineOperation({
    name: "tallies.send",
    summary: "Send a numbered command to a tally",
    method: "POST",
    path: "/v1/tallies/{tally}",
    scope: "tasks:write",
    tags: ["chaos"],
    errors: ["conflict"],
    input,
    output: z.object({ total: z.int() }),
    async handle(ctx, { tally, act, in_ms: inMs, ...rest }) {
      const command = { type: `tally.${act}`, ...rest, ...(inMs !== undefined && { inMs }) };
      const answer = await ctx.runtime.ask(address("tally", tally), command, { timeoutMs: ctx.limits.askTimeoutMs });
      return answer.reply as { total: number };
    },
  }),
];
