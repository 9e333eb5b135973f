/**
 * Who calls and what they may do: parsing of TROUPE_API_KEYS, constant-time comparison of keys,
 * scopes. Does not know protocols; they hand over the header values.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { TroupeError } from "../machines/errors.ts";

export interface ApiKey {
  readonly name: string;
  readonly key: string;
  /** `runs:read`, `runs:*`, `*`. */
  readonly scopes: readonly string[];
}

export interface Credential {
  readonly name: string;
  readonly scopes: readonly string[];
}

/** The caller when no credential is configured. */
export const localCredential: Credential = { name: "local", scopes: ["*"] };

const namePattern = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const scopePattern = /^(\*|[a-z]+:(\*|[a-z]+))$/;

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

/** True when the scopes hold `area:verb` itself, `area:*` or `*`. */
export function permits(scopes: readonly string[], needed: string): boolean {
  const area = needed.slice(0, needed.indexOf(":"));
  return scopes.includes(needed) || scopes.includes("*") || scopes.includes(`${area}:*`);
}

/** Throws `forbidden` naming the scope that is missing. */
export function requireScope(credential: Credential, needed: string): void {
  if (permits(credential.scopes, needed)) return;
  throw new TroupeError("forbidden", `Credential '${credential.name}' lacks the scope ${needed}`, { scope: needed });
}

export interface Authenticator {
  /** False: nobody has to show a key. */
  readonly closed: boolean;
  /** The credential for the presented key. Throws `unauthenticated`. */
  authenticate(presented: string | undefined): Credential;
}

const digest = (text: string) => createHash("sha256").update(text).digest();

export function newAuthenticator(keys: readonly ApiKey[]): Authenticator {
  const known = keys.map((k) => ({ digest: digest(k.key), credential: { name: k.name, scopes: k.scopes } }));
  return {
    closed: known.length > 0,
    authenticate(presented) {
      if (known.length === 0) return localCredential;
      if (presented === undefined || presented === "") throw new TroupeError("unauthenticated", "No API key was sent");
      const given = digest(presented);
      let found: Credential | undefined;
      // Every key is compared, so that time tells nothing of which one came close.
      for (const entry of known) if (timingSafeEqual(entry.digest, given)) found = entry.credential;
      if (found === undefined) throw new TroupeError("unauthenticated", "The API key is not known");
      return found;
    },
  };
}

/** The key a request presents: X-API-Key, else Authorization: Bearer. */
export function presentedKey(apiKeyHeader: string, authorization: string): string | undefined {
  if (apiKeyHeader !== "") return apiKeyHeader;
  const match = /^bearer +(\S+)\s*$/i.exec(authorization);
  return match?.[1];
}
