/**
 * Operations on resources: what tasks hold amounts of while they run. Reserving is the dispatchers' business.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import type { ResourceContext } from "../../machines/resource/schema.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { idFromKey } from "../idempotency.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { amountsOf } from "./amounts.ts";
import { named, requireId } from "./values.ts";

const resourceId = z.string().min(1).max(200);
const statuses = ["available", "in_use", "full", "offline", "removed"] as const;
const amounts = z.record(z.string(), z.number());

export const resource = z
  .object({
    resource_id: z.string(),
    name: z.string(),
    resource_type: z.string(),
    status: z.enum(statuses).describe("available: nothing is held; full: nothing is left of some unit."),
    capacity: freeObject.describe("As it was written."),
    amounts: amounts.describe("The capacity in base units."),
    held: amounts.describe("What tasks hold now, in base units."),
    held_by: z.array(z.string()).describe("Ids of those tasks."),
    metadata: freeObject,
    created_at: z.string().meta({ format: "date-time" }),
  })
  .meta({ id: "Resource" });

type ResourceView = Omit<ResourceContext, "requestHash" | "contended"> & { readonly status: (typeof statuses)[number] };

export function toResource(id: string, view: ResourceView): z.input<typeof resource> {
  const held: Record<string, number> = {};
  for (const { amounts: some } of Object.values(view.held)) {
    for (const [unit, amount] of Object.entries(some)) held[unit] = (held[unit] ?? 0) + amount;
  }
  return {
    resource_id: id,
    name: view.name,
    resource_type: view.resourceType,
    status: view.status,
    capacity: view.written as Record<string, unknown>,
    amounts: { ...view.capacity },
    held,
    held_by: Object.keys(view.held),
    metadata: view.metadata as Record<string, unknown>,
    created_at: rfc3339(view.createdAt),
  };
}

const shown = (id: string, view: Json) => toResource(id, view as unknown as ResourceView);

const registerInput = z.strictObject({
  resource_id: resourceId.optional().describe("Chosen by the client, or made."),
  name: z.string().min(1).max(256),
  resource_type: z.string().min(1).max(128),
  capacity: freeObject.describe("Amounts per unit: `{gpus: 4, memory: '32Gi'}`."),
  metadata: freeObject.optional().describe("`exclusive: true`: one task at a time has it to itself."),
});

async function register(ctx: OperationContext, input: z.output<typeof registerInput>) {
  const { credential, idempotencyKey: key } = ctx;
  const made = () => (key === undefined ? ctx.runtime.newId() : idFromKey(credential.id, "resources.register", key));
  const id = input.resource_id === undefined ? `resource_${made()}` : requireId("resource", input.resource_id);
  const command = {
    type: "resource.register",
    name: input.name,
    resourceType: input.resource_type,
    capacity: amountsOf(input.capacity, "capacity"),
    written: input.capacity as JsonObject,
    metadata: (input.metadata ?? {}) as JsonObject,
    createdBy: credential.id,
    requestHash: hashJson(input as Json),
  };
  const answer = await ctx.runtime.ask(address("resource", id), command, { timeoutMs: ctx.limits.askTimeoutMs });
  return shown(id, answer.view);
}

async function tell(ctx: OperationContext, id: string, command: { type: string; [field: string]: unknown }) {
  const at = address("resource", requireId("resource", id));
  const asked = ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
  return shown(id, (await asked.catch(named("resource", id))).view);
}

const common = { tags: ["resources"], scope: "resources:read" } as const;

export const resourceOperations = [
  defineOperation({
    ...common,
    name: "resources.register",
    summary: "Register a resource",
    method: "POST",
    path: "/v1/resources",
    status: 201,
    scope: "resources:write",
    errors: ["invalid_input", "already_exists"],
    example: { name: "gpu_cluster_01", resource_type: "gpu", capacity: { gpus: 4, memory: "32Gi" } },
    input: registerInput,
    output: resource,
    handle: register,
  }),
  defineOperation({
    ...common,
    name: "resources.list",
    summary: "List resources, newest first",
    method: "GET",
    path: "/v1/resources",
    errors: ["invalid_input"],
    input: z.strictObject({
      ...pageFields,
      status: z.enum(statuses).optional(),
      resource_type: z.string().min(1).max(128).optional(),
    }),
    output: pageOf(resource),
    async handle(ctx, input) {
      const where: Record<string, string> = {};
      if (input.status !== undefined) where.status = input.status;
      if (input.resource_type !== undefined) where.resourceType = input.resource_type;
      const page = await ctx.runtime.list({
        type: "resource",
        where,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("resources", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => shown(at.key, view));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("resources", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "resources.get",
    summary: "Read a resource",
    method: "GET",
    path: "/v1/resources/{resource_id}",
    errors: ["not_found"],
    input: z.strictObject({ resource_id: resourceId }),
    output: resource,
    async handle(ctx, input) {
      const at = address("resource", requireId("resource", input.resource_id));
      const answer = await ctx.runtime.read(at).catch(named("resource", input.resource_id));
      return shown(input.resource_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "resources.update",
    summary: "Take a resource out of use for a while, or back into it",
    method: "PATCH",
    path: "/v1/resources/{resource_id}",
    scope: "resources:write",
    errors: ["not_found", "conflict"],
    input: z.strictObject({ resource_id: resourceId, offline: z.boolean() }),
    output: resource,
    handle: (ctx, input) => tell(ctx, input.resource_id, { type: "resource.set", offline: input.offline }),
  }),
  defineOperation({
    ...common,
    name: "resources.remove",
    summary: "Remove a resource; tasks that hold some of it go on",
    method: "DELETE",
    path: "/v1/resources/{resource_id}",
    scope: "resources:write",
    errors: ["not_found"],
    input: z.strictObject({ resource_id: resourceId }),
    output: resource,
    handle: (ctx, input) => tell(ctx, input.resource_id, { type: "resource.remove" }),
  }),
];
