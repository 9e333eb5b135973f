/**
 * Tokens that Troupe gives to agents for their client id and secret: signed by this cluster's own secret, good
 * for an hour, worth nothing any more when the agent has left or its secret has changed.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from "jose";
import type { Runtime } from "../../actors/client.ts";
import { address, isKey } from "../../machines/address.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { GatewayClock } from "../config.ts";
import { agentScopes, type Credential } from "./credential.ts";
import { looksLikeJwt } from "./jwt.ts";
import { notAuthentic, type Proof, type Prover } from "./prover.ts";

export const agentTokenS = 3600;
const issuer = "troupe";
const audience = "troupe:agent";
/** Names tokens of ours in the header, so that none of them is judged by another's keys. */
const keyId = "troupe";
/** An agent that left is noticed at once by its event; this is for a lost one. */
const recheckMs = 10_000;

export interface AgentTokens extends Prover {
  /** The token for a client id and its secret. Throws `unauthenticated` without saying which of the two is wrong. */
  issue(clientId: string, clientSecret: string): Promise<string>;
}

export function newAgentTokens(runtime: Runtime, clock: GatewayClock): AgentTokens {
  let known: Promise<Uint8Array> | undefined;
  const secret = (): Promise<Uint8Array> => {
    known ??= runtime.secret("tokens").catch((error: unknown) => {
      known = undefined;
      throw error;
    });
    return known;
  };
  return {
    async issue(clientId, clientSecret) {
      const stored = await secretHashOf(runtime, clientId);
      const given = createHash("sha256").update(clientSecret).digest();
      // Compared whether there is such an agent or not: time tells nothing of it.
      const same = timingSafeEqual(given, Buffer.from(stored ?? "0".repeat(64), "hex"));
      if (stored === null || !same) throw notAuthentic("The client id or secret is not right");
      const nowS = Math.floor(clock.now() / 1000);
      return new SignJWT({ mark: markOf(stored) })
        .setProtectedHeader({ alg: "HS256", typ: "JWT", kid: keyId })
        .setIssuer(issuer)
        .setAudience(audience)
        .setSubject(clientId)
        .setIssuedAt(nowS)
        .setExpirationTime(nowS + agentTokenS)
        .sign(await secret());
    },
    prove: (token) => (isOurs(token) ? prove(token, runtime, clock, secret) : undefined),
  };
}

function isOurs(token: string): boolean {
  if (!looksLikeJwt(token)) return false;
  try {
    return decodeProtectedHeader(token).kid === keyId;
  } catch {
    return false;
  }
}

async function prove(
  token: string,
  runtime: Runtime,
  clock: GatewayClock,
  secret: () => Promise<Uint8Array>,
): Promise<Proof> {
  const options = { algorithms: ["HS256"], issuer, audience, currentDate: new Date(clock.now()) };
  const verified = await jwtVerify(token, await secret(), options).catch((error: unknown) => {
    if (error instanceof errors.JWTExpired) throw notAuthentic("The token has expired; ask for a new one", "expired");
    if (error instanceof errors.JOSEError) throw notAuthentic("The token is not valid", "signature");
    throw error;
  });
  const { sub: agentId = "", exp = 0, mark } = verified.payload;
  const stored = await secretHashOf(runtime, agentId);
  if (stored === null || markOf(stored) !== mark) throw notAuthentic("The token's agent is not registered", "revoked");
  const credential: Credential = {
    name: agentId,
    id: `agent:${agentId}`,
    kind: "agent",
    agentId,
    scopes: agentScopes,
  };
  return { credential, recheckMs, expiresAt: exp * 1000 };
}

/** The hash of an agent's secret; null: no such agent, it has left, or it has none. */
async function secretHashOf(runtime: Runtime, agentId: string): Promise<string | null> {
  if (!isKey(agentId) || agentId.includes("~")) return null;
  try {
    const { reply } = await runtime.ask(address("agent", agentId), { type: "agent.credentials" });
    const hash = (reply as { secretHash?: unknown } | null)?.secretHash;
    return typeof hash === "string" && /^[0-9a-f]{64}$/.test(hash) ? hash : null;
  } catch (error) {
    if (error instanceof TroupeError && ["not_found", "conflict"].includes(error.code)) return null;
    throw error;
  }
}

/** Tells a changed secret, and nothing about it. */
function markOf(secretHash: string): string {
  return createHash("sha256").update(`mark:${secretHash}`).digest("hex").slice(0, 16);
}
