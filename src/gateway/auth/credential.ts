/**
 * Who calls and what they may do: the credential of a caller, scopes, and whose things an agent
 * may touch. Knows no protocol and no way of proving anything; that is the authenticator's.
 */
import { TroupeError } from "../../machines/errors.ts";

export type CredentialKind = "local" | "key" | "jwt" | "agent" | "certificate";

export interface Credential {
  /** For people and for `created_by`; two kinds of credentials may share one. */
  readonly name: string;
  /** Tells it from every other: what belongs to a credential (idempotency keys, rate limits, ownership) is kept by it. */
  readonly id: string;
  /** `runs:read`, `runs:*`, `*`. */
  readonly scopes: readonly string[];
  readonly kind: CredentialKind;
  /** The agent that it speaks for. */
  readonly agentId?: string;
  /** Requests a minute; absent: the gateway's default; null: no limit. */
  readonly rateLimit?: number | null;
}

/** The caller when no credential is configured. */
export const localCredential: Credential = {
  name: "local",
  id: "local",
  scopes: ["*"],
  kind: "local",
  rateLimit: null,
};

/**
 * What an agent's own credential may do. `agents:act` is what an agent does itself: heartbeat, take tasks,
 * deregister, update its tasks; whose agent or task it is, `requireAgent` checks. It may not act for others
 * (`agents:operate`), nor register agents (`agents:write`).
 */
export const agentScopes: readonly string[] = [
  "agents:act",
  "agents:read",
  "tasks:read",
  "tasks:write",
  "workflows:read",
  "runs:read",
  "resources:read",
  "events:read",
  "requests:*",
  "publications:*",
  "subscriptions:*",
  "conflicts:read",
  "conflicts:write",
  "callbacks:*",
  "templates:read",
  "artifacts:read",
];

/** `area:verb`, `area:*` or `*`. */
export const scopePattern = /^(\*|[a-z_]+:(\*|[a-z_]+))$/;

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

/** An operator acts on any agent's behalf. */
export function isOperator(credential: Credential): boolean {
  return permits(credential.scopes, "agents:operate");
}

/** Throws `forbidden` unless the caller is this agent, or an operator (`agents:operate`, `agents:*` or `*`). */
export function requireAgent(ctx: { readonly credential: Credential }, agentId: string): void {
  const { credential } = ctx;
  if (credential.agentId === agentId || isOperator(credential)) return;
  throw new TroupeError("forbidden", `Credential '${credential.name}' may not act for the agent ${agentId}`, {
    agent_id: agentId,
    scope: "agents:operate",
  });
}

/** True when what is asked for is no more than what one has oneself. */
export function within(asked: readonly string[], own: readonly string[]): boolean {
  return asked.every((one) => (one === "*" ? own.includes("*") : permits(own, one)));
}
