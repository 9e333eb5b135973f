/**
 * Schemas that routes of contracts 001 and 004 share. Lenient: a field that is null is one that was left out, and
 * unknown fields pass.
 */
import { z } from "zod";
import { durationMsSchema, type Retry } from "../../../machines/schema.ts";
import { freeObject } from "../../operation.ts";
import { secondsToMs } from "./words.ts";

/** A chosen id: may name an actor of its own. */
export const ownId = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^~\p{Cc}\p{Cs}]+$/u, "must not hold control characters or '~'");

/** An id in a path: whatever it is, it names something or nothing. */
export const anyId = z.string().min(1).max(1_000);

/** Seconds, as both contracts have them. */
export const seconds = z
  .number()
  .positive()
  .refine((s) => durationMsSchema.safeParse(secondsToMs(s)).success, "is longer than 366 days");

/** `?wait=`: seconds that an answer may wait for a result. */
export const wait = z.number().min(0).max(300).optional().describe("Seconds to wait for a result.");

export const metadata = freeObject.nullish();

export const retryPolicy = z
  .looseObject({
    max_attempts: z.int().min(1).max(1_000).nullish(),
    max_retries: z.int().min(0).max(999).nullish(),
    backoff_strategy: z.string().max(64).nullish(),
    initial_delay: z.number().min(0).max(86_400).nullish(),
    max_delay: z.number().min(0).max(86_400).nullish(),
  })
  .nullish();

/** The core's retry policy; an unknown strategy is exponential. */
export function toRetry(policy: z.output<typeof retryPolicy>): Partial<Retry> | undefined {
  if (policy === null || policy === undefined) return undefined;
  const strategy = policy.backoff_strategy ?? "exponential";
  const backoff = strategy === "linear" ? "linear" : /^(fixed|constant)$/.test(strategy) ? "fixed" : "exponential";
  const attempts = policy.max_attempts ?? (typeof policy.max_retries === "number" ? policy.max_retries + 1 : null);
  return {
    backoff,
    ...(attempts !== null && { max_attempts: attempts }),
    ...(typeof policy.initial_delay === "number" && { initial_ms: Math.round(policy.initial_delay * 1000) }),
    ...(typeof policy.max_delay === "number" && { max_ms: Math.round(policy.max_delay * 1000) }),
  };
}

/** A type as the core has it: lower case, other signs as `_`. */
export function typeName(given: string): string {
  const name = given.toLowerCase().replace(/[^a-z0-9_.-]+/g, "_");
  return (/^[a-z0-9]/.test(name) ? name : `t${name}`).slice(0, 64);
}
