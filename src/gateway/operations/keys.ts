/**
 * Operations on stored API keys: create (the key itself is in that one answer only), list, read, revoke.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import { type CredentialView, credentialType } from "../../machines/credential/machine.ts";
import { TroupeError } from "../../machines/errors.ts";
import { scopePattern, within } from "../auth/credential.ts";
import { newStoredKey } from "../auth/stored-keys.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { defineOperation, type OperationContext, pageFields } from "../operation.ts";
import { named, requireId } from "./values.ts";

const statuses = ["active", "revoked"] as const;
const rateLimit = z.int().min(1).max(1_000_000_000).nullable();

export const storedKey = z
  .object({
    key_id: z.string(),
    name: z.string(),
    status: z.enum(statuses),
    scopes: z.array(z.string()),
    rate_limit: rateLimit.optional().describe("Requests a minute; null: no limit; absent: the server's default."),
    created_by: z.string(),
    created_at: z.string().nullable().meta({ format: "date-time" }),
    revoked_at: z.string().nullable().meta({ format: "date-time" }),
  })
  .meta({ id: "Key" });

const createInput = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "use letters, digits, _, . and -"),
  scopes: z
    .array(z.string().max(64).regex(scopePattern, "must be area:verb, area:* or *"))
    .min(1)
    .max(64)
    .default(["*"])
    .describe("What it may do; no more than the caller may."),
  rate_limit: rateLimit.optional().describe("Requests a minute; null: no limit; default: the server's."),
});

function shown(id: string, view: unknown): z.input<typeof storedKey> {
  const { name, status, scopes, rateLimit: limit, createdBy, createdAt, revokedAt } = view as CredentialView;
  return {
    key_id: id,
    name,
    status,
    scopes,
    ...(limit !== undefined && { rate_limit: limit }),
    created_by: createdBy,
    created_at: rfc3339(createdAt),
    revoked_at: revokedAt === null ? null : rfc3339(revokedAt),
  };
}

async function create(ctx: OperationContext, input: z.output<typeof createInput>) {
  const { name, scopes, rate_limit: limit } = input;
  if (!within(scopes, ctx.credential.scopes)) {
    throw new TroupeError("forbidden", "A key may not be given more scopes than its maker has", {
      scopes: scopes.filter((one) => !within([one], ctx.credential.scopes)),
    });
  }
  const id = ctx.runtime.newId().toLowerCase();
  const { key, hash } = newStoredKey(id);
  const command = {
    type: "credential.create",
    name,
    hash,
    scopes,
    createdBy: ctx.credential.name,
    ...(limit !== undefined && { rateLimit: limit }),
  };
  const at = address(credentialType, id);
  const { view } = await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
  ctx.auth.keyMade();
  return { key: shown(id, view), secret: key };
}

const common = { tags: ["keys"] } as const;
const one = z.strictObject({ key_id: z.string().min(1).max(200) });

export const keyOperations = [
  defineOperation({
    ...common,
    name: "keys.create",
    summary: "Create an API key",
    description:
      "The first key closes a system that was open: from then on (within a second, on every gateway) each request needs a credential. `secret` is the key to send; it is not kept and cannot be read again.",
    method: "POST",
    path: "/v1/keys",
    status: 201,
    scope: "keys:write",
    errors: ["invalid_input", "forbidden"],
    example: { name: "ci", scopes: ["runs:read", "runs:write"], rate_limit: 600 },
    input: createInput,
    output: z.object({ key: storedKey, secret: z.string() }),
    handle: create,
  }),
  defineOperation({
    ...common,
    name: "keys.list",
    summary: "List stored API keys, newest first",
    method: "GET",
    path: "/v1/keys",
    scope: "keys:read",
    errors: ["invalid_input"],
    input: z.strictObject({ ...pageFields, status: z.enum(statuses).optional() }),
    output: pageOf(storedKey),
    async handle(ctx, input) {
      const page = await ctx.runtime.list({
        type: credentialType,
        ...(input.status !== undefined && { where: { status: input.status } }),
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("keys", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => shown(at.key, view));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("keys", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "keys.get",
    summary: "Read a stored API key (not the key itself)",
    method: "GET",
    path: "/v1/keys/{key_id}",
    scope: "keys:read",
    errors: ["not_found"],
    input: one,
    output: storedKey,
    async handle(ctx, input) {
      const at = address(credentialType, requireId("key", input.key_id));
      const { view } = await ctx.runtime.read(at).catch(named("key", input.key_id));
      return shown(input.key_id, view);
    },
  }),
  defineOperation({
    ...common,
    name: "keys.revoke",
    summary: "Revoke an API key",
    description: "It is refused within a second. Revoking it again changes nothing.",
    method: "DELETE",
    path: "/v1/keys/{key_id}",
    scope: "keys:write",
    errors: ["not_found"],
    input: one,
    output: storedKey,
    async handle(ctx, input) {
      const at = address(credentialType, requireId("key", input.key_id));
      const command = { type: "credential.revoke", by: ctx.credential.name };
      const asked = ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
      const { view } = await asked.catch(named("key", input.key_id));
      return shown(input.key_id, view);
    },
  }),
];
