/**
 * Operations on callbacks: a mailbox of this API that a `callback_url` may name, and the secret with which a
 * credential verifies the callbacks that it gets outside.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import { type CallbackContext, callbackType } from "../../machines/callback/machine.ts";
import type { Json } from "../../machines/effects.ts";
import { callbackSecret, callbackSecretName } from "../../webhooks.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { defineOperation, freeJson, type OperationContext } from "../operation.ts";
import { madeId, named, requireId, whole } from "./values.ts";

const id = z.string().min(1).max(200);
const time = z.string().meta({ format: "date-time" });

export const callback = z
  .object({
    callback_id: z.string(),
    count: z.int().describe("Calls so far."),
    data: freeJson.describe("What came last."),
    calls: z
      .array(z.object({ call_id: z.string(), received_at: time, from: z.string(), data: freeJson }))
      .describe("The last 32, oldest first."),
  })
  .meta({ id: "Callback" });

async function shown(ctx: OperationContext, callbackId: string, view: Json): Promise<z.input<typeof callback>> {
  const { calls, count } = view as unknown as CallbackContext;
  const told = calls.map(async (call) => ({
    call_id: call.id,
    received_at: rfc3339(call.at),
    from: call.by,
    data: await whole(ctx.runtime, call.data),
  }));
  const all = await Promise.all(told);
  return { callback_id: callbackId, count, data: all.at(-1)?.data ?? null, calls: all };
}

const common = { tags: ["callbacks"], scope: "callbacks:read" } as const;

export const callbackOperations = [
  defineOperation({
    ...common,
    name: "callbacks.receive",
    summary: "Call back: the body is kept to be read",
    method: "POST",
    path: "/v1/callbacks/{callback_id}",
    scope: "callbacks:write",
    body: "data",
    errors: ["invalid_input", "not_found", "too_large"],
    example: { id: "resp-001", request_id: "req-001", status: "success", data: {}, errors: [] },
    input: z.strictObject({ callback_id: id, data: freeJson }),
    output: callback,
    async handle(ctx, input) {
      const key = requireId("callback", input.callback_id);
      const command = {
        type: "callback.receive",
        id: madeId(ctx, "call", "callbacks.receive"),
        data: await ctx.runtime.values.offload(key, (input.data ?? null) as Json),
        by: ctx.credential.name,
      };
      const answer = await ctx.runtime.ask(address(callbackType, key), command, { timeoutMs: ctx.limits.askTimeoutMs });
      return shown(ctx, key, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "callbacks.get",
    summary: "What was called back",
    method: "GET",
    path: "/v1/callbacks/{callback_id}",
    errors: ["not_found"],
    input: z.strictObject({ callback_id: id }),
    output: callback,
    async handle(ctx, input) {
      const at = address(callbackType, requireId("callback", input.callback_id));
      const answer = await ctx.runtime.read(at).catch(named("callback", input.callback_id));
      return shown(ctx, input.callback_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "callbacks.secret",
    summary: "The secret that signs this credential's callbacks",
    description:
      "As Standard Webhooks has it: `webhook-signature` is `v1,` and the HMAC-SHA256 of `id.timestamp.body`.",
    method: "GET",
    path: "/v1/callback-secret",
    errors: [],
    input: z.strictObject({}),
    output: z.object({ secret: z.string().describe("`whsec_…`") }),
    async handle(ctx) {
      return { secret: callbackSecret(await ctx.runtime.secret(callbackSecretName), ctx.credential.id) };
    },
  }),
];
