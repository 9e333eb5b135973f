/**
 * Helpers of the operations around large values and ids: what goes to the blob store before a
 * command, what comes back in an answer, what a list leaves out.
 */
import type { Runtime } from "../../actors/client.ts";
import { isKey } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isBlobRef } from "../../machines/json.ts";
import { idFromKey } from "../idempotency.ts";
import type { OperationContext } from "../operation.ts";

/** The whole value of a view's field. Small ones cost nothing. */
export function whole(runtime: Runtime, value: Json | undefined): Promise<Json> {
  if (value === undefined || value === null || typeof value !== "object") return Promise.resolve(value ?? null);
  return runtime.values.load(value);
}

/** In lists large values are not loaded: `{truncated, bytes, sha256}` stands in their place. */
export function brief(value: Json | undefined): Json {
  if (value === undefined || value === null || typeof value !== "object") return value ?? null;
  if (isBlobRef(value)) return { truncated: true, bytes: value.$blob.bytes, sha256: value.$blob.sha256 };
  if (Array.isArray(value)) return value.map((v) => brief(v as Json));
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, brief(v)]));
}

/** Throws `not_found` for a text that cannot be an actor's own id (or names a part of one). */
export function requireId(what: string, id: string): string {
  if (isKey(id) && !id.includes("~")) return id;
  throw absent(what, id);
}

export function absent(what: string, id: string): TroupeError {
  return new TroupeError("not_found", `There is no ${what} '${id.slice(0, 200)}'`);
}

/** Turns the runtime's `not_found` into one that names the thing; other errors pass. */
export function named(what: string, id: string): (error: unknown) => never {
  return (error) => {
    if (error instanceof TroupeError && error.code === "not_found") throw absent(what, id);
    throw error;
  };
}

/** A new id, `<prefix>_<26 characters>`; with an idempotency key the same each time. */
export function madeId(ctx: OperationContext, prefix: string, operation: string): string {
  const { idempotencyKey: key, credential, runtime } = ctx;
  return `${prefix}_${key === undefined ? runtime.newId() : idFromKey(credential.id, operation, key)}`;
}
