/**
 * API keys from the configuration: parsing of TROUPE_API_KEYS, and a table that finds the key's
 * credential in constant time. Stored keys are elsewhere.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { TroupeError } from "../../machines/errors.ts";
import { type Credential, scopePattern } from "./credential.ts";

export interface ApiKey {
  readonly name: string;
  readonly key: string;
  /** `runs:read`, `runs:*`, `*`. */
  readonly scopes: readonly string[];
}

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/**
 * Parses `name:key:scope+scope,…`; without a scope part the key has every scope. Throws
 * `invalid_input` naming the entry (never its key).
 */
export function parseApiKeys(text: string): ApiKey[] {
  const entries = text.split(",").map((entry) => entry.trim());
  return entries.filter((entry) => entry !== "").map((entry, i) => parseEntry(entry, i + 1));
}

function parseEntry(entry: string, position: number): ApiKey {
  const [name = "", key = "", ...rest] = entry.split(":");
  const bad = (what: string) =>
    new TroupeError("invalid_input", `API key ${position} ${what}; expected name:key or name:key:scope+scope`);
  if (!namePattern.test(name)) throw bad("has no valid name");
  if (key === "") throw bad(`(${name}) has no key`);
  const scopes = rest.length === 0 ? ["*"] : rest.join(":").split("+");
  const wrong = scopes.find((scope) => !scopePattern.test(scope));
  if (wrong !== undefined) throw bad(`(${name}) has a malformed scope '${wrong}'`);
  return { name, key, scopes };
}

export const sha256 = (text: string): Buffer => createHash("sha256").update(text).digest();

export interface ApiKeyTable {
  readonly size: number;
  find(presented: string): Credential | undefined;
}

export function newApiKeyTable(keys: readonly ApiKey[]): ApiKeyTable {
  const known = keys.map(({ name, key, scopes }) => ({
    digest: sha256(key),
    credential: { name, id: name, scopes, kind: "key" } satisfies Credential,
  }));
  return {
    size: known.length,
    find(presented) {
      const given = sha256(presented);
      let found: Credential | undefined;
      // Every key is compared, so that time tells nothing of which one came close.
      for (const entry of known) if (timingSafeEqual(entry.digest, given)) found = entry.credential;
      return found;
    },
  };
}
