/**
 * A resource's commands, and what its snapshot holds. The chart is in machine.ts.
 */
import { z } from "zod";
import type { JsonObject } from "../effects.ts";
import { type Amounts, amountsSchema, jsonObjectSchema, keySchema, metadataSchema } from "../schema.ts";

/** Attempts that hold something of one resource at once. */
export const reservationsMax = 1_000;
/** Pairs of tasks whose contention was told; older ones are forgotten. */
export const contendedMax = 200;

export const resourceRegisterSchema = z.strictObject({
  type: z.literal("resource.register"),
  name: z.string().min(1).max(256),
  resourceType: z.string().min(1).max(128),
  /** Per unit, in base units. */
  capacity: amountsSchema,
  /** The capacity as its client wrote it. */
  written: jsonObjectSchema.optional(),
  metadata: metadataSchema.optional(),
  createdBy: z.string().max(200).optional(),
  requestHash: z.string().max(128).optional(),
});
/** Grants all of it (and tells the task by mail), or refuses `overloaded`. */
export const resourceReserveSchema = z.strictObject({
  type: z.literal("resource.reserve"),
  task: keySchema,
  attempt: z.int().min(1),
  amounts: amountsSchema,
});
export const resourceReleaseSchema = z.strictObject({
  type: z.literal("resource.release"),
  task: keySchema,
  attempt: z.int().min(1),
});
/** From a dispatcher: this task waits for it. Of an exclusive resource that another holds, a conflict. */
export const resourceContendSchema = z.strictObject({
  type: z.literal("resource.contend"),
  task: keySchema,
  priority: z.int().min(1).max(10),
});
export const resourceSetSchema = z.strictObject({ type: z.literal("resource.set"), offline: z.boolean() });
export const resourceRemoveSchema = z.strictObject({ type: z.literal("resource.remove") });

export const resourceCommandSchema = z.discriminatedUnion("type", [
  resourceRegisterSchema,
  resourceReserveSchema,
  resourceReleaseSchema,
  resourceContendSchema,
  resourceSetSchema,
  resourceRemoveSchema,
]);
export type ResourceCommand = z.infer<typeof resourceCommandSchema>;
export type ResourceRegister = z.infer<typeof resourceRegisterSchema>;

export interface Reservation {
  readonly attempt: number;
  readonly amounts: Amounts;
  readonly at: number;
}

export interface ResourceContext {
  readonly name: string;
  readonly resourceType: string;
  readonly capacity: Amounts;
  readonly written: JsonObject;
  readonly metadata: JsonObject;
  readonly createdBy: string | null;
  readonly requestHash: string | null;
  readonly createdAt: number;
  /** By task key. */
  readonly held: Readonly<Record<string, Reservation>>;
  /** `<waiting>|<holding>`, told already. */
  readonly contended: readonly string[];
}
