/**
 * Schemas that several actors share: names, JSON, costs, artifacts, errors of tasks. Types are
 * inferred from them. Owns no command.
 */
import { z } from "zod";
import { keyCharsMax } from "./address.ts";
import type { Json, JsonObject } from "./effects.ts";
import { isObject } from "./json.ts";

/** Any JSON value; what comes here was parsed from JSON or MessagePack. */
export const jsonSchema = z.unknown().refine((v) => v !== undefined, "is required") as unknown as z.ZodType<Json>;
export const jsonObjectSchema = z.record(z.string(), z.unknown()) as unknown as z.ZodType<JsonObject>;

/** A JSON Schema (2020-12); its validity is the gateway's to check. */
export const jsonSchemaSchema = jsonObjectSchema;

export const keySchema = z.string().min(1).max(keyCharsMax);
export const addressSchema = z.strictObject({ type: z.string().min(1).max(64), key: keySchema });

/** What agents are asked for: a type, or a capability. */
export const agentTypePattern = /^[a-z0-9][a-z0-9_.-]{0,63}$/;
export const agentTypeSchema = z.string().regex(agentTypePattern, "must match [a-z0-9][a-z0-9_.-]{0,63}");
export const capabilitiesSchema = z.array(z.string().min(1).max(128)).max(64);

/** Milliseconds, at most 366 days. */
export const durationMsSchema = z.int().min(1).max(31_622_400_000);
/** Milliseconds since 1970. */
export const instantMsSchema = z.int().min(0);
export const prioritySchema = z.int().min(1).max(10);

/** Amounts per unit (`cpu`, `gpus`, `memory`), in base units. */
export const amountsSchema = z
  .record(
    z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/, "a unit must match [A-Za-z][A-Za-z0-9_.-]{0,63}"),
    z.number().min(0).max(1e18),
  )
  .refine((amounts) => Object.keys(amounts).length <= 16, "has more than 16 units");
export type Amounts = z.infer<typeof amountsSchema>;

const scalarSchema = z.union([z.string().max(1_024), z.number(), z.boolean()]);
export const attributesSchema = z
  .record(z.string().min(1).max(128), z.union([scalarSchema, z.array(scalarSchema).max(64)]))
  .refine((fields) => Object.keys(fields).length <= 32, "has more than 32 fields");
export type Attributes = z.infer<typeof attributesSchema>;

export const metadataSchema = jsonObjectSchema;
export const labelsSchema = z.record(z.string().max(128), z.string().max(1_024));

export const costSchema = z.strictObject({
  promptTokens: z.number().min(0),
  completionTokens: z.number().min(0),
  usd: z.number().min(0),
});
export type Cost = z.infer<typeof costSchema>;

export const noCost: Cost = { promptTokens: 0, completionTokens: 0, usd: 0 };

export function addCost(a: Cost, b: Cost): Cost {
  if (b.promptTokens === 0 && b.completionTokens === 0 && b.usd === 0) return a;
  return {
    promptTokens: a.promptTokens + b.promptTokens,
    completionTokens: a.completionTokens + b.completionTokens,
    usd: a.usd + b.usd,
  };
}

export const blobRefSchema = z.custom<{
  readonly $blob: { readonly name: string; readonly bytes: number; readonly sha256: string; readonly at?: string };
}>((v) => isObject(v) && isObject(v.$blob), "must be a blob reference");

export const artifactEntrySchema = z.object({
  artifactId: keySchema,
  type: z.enum(["file", "record", "message"]),
  name: z.string().max(1_024),
  mimeType: z.string().max(256),
  createdAt: instantMsSchema,
  data: jsonSchema.optional(),
  blob: blobRefSchema.optional(),
  bytes: z.int().min(0).optional(),
  sha256: z.string().optional(),
});
export type ArtifactEntry = z.infer<typeof artifactEntrySchema>;

/** Why a task or a stage failed. Codes: the agent's own, or `timed_out`, `cancelled`, `dependency_failed`, `no_such_agent`, `invalid_input`, `attempts_lost`. */
export const failureSchema = z.object({
  code: z.string().min(1).max(128),
  message: z.string().max(16_384),
  retryable: z.boolean().optional(),
  details: jsonSchema.optional(),
});
export type Failure = z.infer<typeof failureSchema>;

export const retrySchema = z.strictObject({
  max_attempts: z.int().min(1).max(1_000).default(3),
  backoff: z.enum(["fixed", "linear", "exponential"]).default("exponential"),
  initial_ms: z.int().min(0).max(86_400_000).default(500),
  max_ms: z.int().min(0).max(86_400_000).default(30_000),
  jitter: z.number().min(0).max(1).default(0.2),
});
export type Retry = z.infer<typeof retrySchema>;

export const defaultRetry: Retry = retrySchema.parse({});

/** A place as people write it: `stages[2].when`. */
export function placeOf(path: readonly PropertyKey[]): string {
  let place = "";
  for (const part of path)
    place += typeof part === "number" ? `[${part}]` : place === "" ? String(part) : `.${String(part)}`;
  return place;
}

export interface Issue {
  readonly place: string;
  readonly message: string;
}

/** zod's issues with readable places; an unknown field is named in its own place. */
export function issuesOf(error: z.ZodError): Issue[] {
  return error.issues.flatMap((issue) =>
    issue.code === "unrecognized_keys"
      ? issue.keys.map((key) => ({ place: placeOf([...issue.path, key]), message: "is not a known field" }))
      : [{ place: placeOf(issue.path), message: issue.message }],
  );
}
