/**
 * JSON Web Tokens of others (RFC 7519): HS256 with a shared secret, RS256 with a public key or a key set.
 * Which key is used follows from the algorithm and the configuration, never from the token alone, so that a
 * swapped or absent algorithm proves nothing. Tokens that Troupe gives out itself are agent-tokens.ts.
 */
import { createPublicKey, type KeyObject } from "node:crypto";
import { decodeProtectedHeader, errors, type JWTPayload, type JWTVerifyOptions, jwtVerify } from "jose";
import { TroupeError } from "../../machines/errors.ts";
import type { GatewayClock, GatewayLogger } from "../config.ts";
import type { Credential } from "./credential.ts";
import { type KeySet, newKeySet } from "./key-set.ts";
import { notAuthentic, type Proof, type Prover } from "./prover.ts";

export interface JwtSettings {
  /** Of HS256. */
  readonly secret?: string | undefined;
  /** Of RS256: a public key or certificate, PEM. */
  readonly publicKey?: string | undefined;
  /** Of RS256: a file or http(s) address with a JSON Web Key Set (RFC 7517). */
  readonly jwks?: string | undefined;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
  /** Of a token that names none. */
  readonly scopes: readonly string[];
}

/** Clocks differ a little. */
const toleranceS = 5;
/** Looked at again after this long: a key may have left the set. */
const recheckMs = 300_000;
const tokenCharsMax = 16_384;

/** Three parts of base64url; what does not look like it is not ours to judge. */
export const looksLikeJwt = (token: string): boolean => /^[\w-]+\.[\w-]+\.[\w-]*$/.test(token);

/** Throws `invalid_input` for a public key that cannot be one. undefined: nothing is configured. */
export function newJwtProver(settings: JwtSettings, clock: GatewayClock, logger: GatewayLogger): Prover | undefined {
  const { secret, publicKey, jwks } = settings;
  const keys: Keys = {
    secret: secret === undefined ? undefined : new TextEncoder().encode(secret),
    publicKey: publicKey === undefined ? undefined : rsaKey(publicKey),
    set: jwks === undefined ? undefined : newKeySet(jwks, logger),
  };
  if (keys.secret === undefined && keys.publicKey === undefined && keys.set === undefined) return undefined;
  return {
    prove: (token) => (looksLikeJwt(token) ? verify(token, keys, settings, clock) : undefined),
  };
}

interface Keys {
  readonly secret: Uint8Array | undefined;
  readonly publicKey: KeyObject | undefined;
  readonly set: KeySet | undefined;
}

/** An environment variable may hold its line ends as `\n`. */
function rsaKey(pem: string): KeyObject {
  let key: KeyObject | undefined;
  try {
    key = createPublicKey(pem.replaceAll("\\n", "\n"));
  } catch {
    // Nothing of the text is repeated: it may be the private key.
  }
  if (key?.asymmetricKeyType === "rsa" && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048) return key;
  throw new TroupeError("invalid_input", "TROUPE_JWT_PUBLIC_KEY is not an RSA public key of 2048 bits or more in PEM");
}

async function verify(token: string, keys: Keys, settings: JwtSettings, clock: GatewayClock): Promise<Proof> {
  if (token.length > tokenCharsMax) throw notAuthentic("The token is too long", "malformed");
  const options: JWTVerifyOptions = {
    currentDate: new Date(clock.now()),
    clockTolerance: toleranceS,
    ...(settings.issuer !== undefined && { issuer: settings.issuer }),
    ...(settings.audience !== undefined && { audience: settings.audience }),
  };
  const payload = await payloadOf(token, keys, options).catch((error: unknown) => {
    throw refusalOf(error);
  });
  const credential = credentialOf(payload, settings);
  if (payload.exp === undefined) return { credential, recheckMs };
  return { credential, recheckMs, expiresAt: (payload.exp + toleranceS) * 1000 };
}

async function payloadOf(token: string, keys: Keys, options: JWTVerifyOptions): Promise<JWTPayload> {
  const header = decodeProtectedHeader(token);
  if (header.alg === "HS256" && keys.secret !== undefined) {
    return (await jwtVerify(token, keys.secret, { ...options, algorithms: ["HS256"] })).payload;
  }
  if (header.alg !== "RS256") throw notAuthentic("The token's algorithm is not accepted", "algorithm");
  const rs256 = { ...options, algorithms: ["RS256"] };
  if (keys.set === undefined) {
    if (keys.publicKey === undefined) throw notAuthentic("The token's algorithm is not accepted", "algorithm");
    return (await jwtVerify(token, keys.publicKey, rs256)).payload;
  }
  try {
    return await keys.set.verify(token, rs256);
  } catch (error) {
    // A set and a single key may both be given: what the set does not know may be of the single one.
    const unknown = error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
    if (!unknown || keys.publicKey === undefined) throw error;
    return (await jwtVerify(token, keys.publicKey, rs256)).payload;
  }
}

/** Never a word of the token itself. */
function refusalOf(error: unknown): TroupeError {
  if (error instanceof TroupeError) return error;
  if (error instanceof errors.JWTExpired) return notAuthentic("The token has expired", "expired");
  if (error instanceof errors.JWTClaimValidationFailed) {
    if (error.claim === "nbf") return notAuthentic("The token is not valid yet", "not_yet_valid");
    return notAuthentic(`The token's claim '${error.claim}' is not accepted`, "claim");
  }
  if (error instanceof errors.JWKSNoMatchingKey) return notAuthentic("The token's key is not known", "unknown_key");
  if (error instanceof errors.JWSSignatureVerificationFailed) {
    return notAuthentic("The token's signature is not valid", "signature");
  }
  return notAuthentic("The token is not well-formed", "malformed");
}

function credentialOf(payload: JWTPayload, settings: JwtSettings): Credential {
  const { sub, iss, agent_id: agentId, rate_limit: rateLimit } = payload;
  if (!isPrintable(sub)) throw notAuthentic("The token has no usable 'sub'", "claim");
  if (agentId !== undefined && !isPrintable(agentId)) throw notAuthentic("The token's 'agent_id' is no id", "claim");
  const limited = typeof rateLimit === "number" && Number.isSafeInteger(rateLimit) && rateLimit > 0;
  if (rateLimit !== undefined && !limited) throw notAuthentic("The token's 'rate_limit' is no count", "claim");
  return {
    name: sub,
    id: `jwt:${iss ?? ""}:${sub}`,
    kind: "jwt",
    scopes: scopesOf(payload) ?? settings.scopes,
    ...(agentId !== undefined && { agentId }),
    ...(limited && { rateLimit }),
  };
}

function isPrintable(value: unknown): value is string {
  return typeof value === "string" && value.length > 0 && value.length <= 200 && !/[\p{Cc}\p{Cs}]/u.test(value);
}

/** `scope` (RFC 8693, words) or `scopes` (a list). Scopes of other systems are kept and permit nothing here. */
function scopesOf({ scope, scopes }: JWTPayload): readonly string[] | undefined {
  if (scope === undefined && scopes === undefined) return undefined;
  const list = scopes ?? (typeof scope === "string" ? scope.split(" ").filter((one) => one !== "") : scope);
  if (!Array.isArray(list) || list.length > 1000 || list.some((one) => typeof one !== "string")) {
    throw notAuthentic("The token's scopes are not a list of texts", "claim");
  }
  return list as string[];
}
