/**
 * A JSON Web Key Set from a file or an address, cached, and read again when it changed or a token names a key
 * that it does not have: so keys are rotated without a restart. Owns no judgement of tokens beyond their signature.
 */
import { readFile, stat } from "node:fs/promises";
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
  jwtVerify,
} from "jose";
import { TroupeError } from "../../machines/errors.ts";
import type { GatewayLogger } from "../config.ts";

export interface KeySet {
  /** The token's payload. Throws jose's errors, or `unavailable` when the set cannot be read. */
  verify(token: string, options: JWTVerifyOptions): Promise<JWTPayload>;
}

/** An address is asked again for an unknown key at most this often… */
const cooldownMs = 5_000;
/** …and in any case after this long. */
const maxAgeMs = 300_000;
const timeoutMs = 5_000;

export function newKeySet(source: string, logger: GatewayLogger): KeySet {
  const find = /^https?:/i.test(source) ? remote(source) : fromFile(source);
  return {
    async verify(token, options) {
      try {
        return await withAnyKey(token, await find(), options);
      } catch (error) {
        // What is wrong with the token is the caller's; what is wrong with the set is told as unavailable.
        const ofToken = error instanceof errors.JOSEError && !isOfSet(error);
        if (ofToken) throw error;
        logger.warn({ err: error }, "the key set for tokens cannot be read");
        throw new TroupeError("unavailable", "The key set for tokens cannot be read now");
      }
    },
  };
}

function isOfSet(error: errors.JOSEError): boolean {
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true;
  return error.code === "ERR_JOSE_GENERIC";
}

/** Several keys may fit a token without a key id: each is tried. */
async function withAnyKey(token: string, keys: JWTVerifyGetKey, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    for await (const key of error) {
      const found = await jwtVerify(token, key, options).catch((failed: unknown) => {
        if (failed instanceof errors.JWSSignatureVerificationFailed) return null;
        throw failed;
      });
      if (found !== null) return found.payload;
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

function remote(address: string): () => Promise<JWTVerifyGetKey> {
  const set = createRemoteJWKSet(new URL(address), {
    cooldownDuration: cooldownMs,
    cacheMaxAge: maxAgeMs,
    timeoutDuration: timeoutMs,
  });
  return () => Promise.resolve(set);
}

/** Read again when its time of change or size differs. */
function fromFile(path: string): () => Promise<JWTVerifyGetKey> {
  let known: { readonly mark: string; readonly set: JWTVerifyGetKey } | undefined;
  return async () => {
    const { mtimeMs, size, ino } = await stat(path);
    const mark = `${mtimeMs}:${size}:${ino}`;
    if (known?.mark !== mark) {
      known = { mark, set: createLocalJWKSet(JSON.parse(await readFile(path, "utf8")) as JSONWebKeySet) };
    }
    return known.set;
  };
}
