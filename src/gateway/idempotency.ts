/**
 * Ids from idempotency keys: the same credential, operation and key give the same id, so that
 * "already there" needs no second store.
 */
import { createHash } from "node:crypto";
import { TroupeError } from "../machines/errors.ts";

const alphabet = "0123456789abcdefghjkmnpqrstvwxyz";

/** 26 characters of Crockford's base32 (130 bits of the SHA-256). */
export function idFromKey(credential: string, operation: string, key: string): string {
  const digest = createHash("sha256")
    .update(JSON.stringify([credential, operation, key]))
    .digest();
  let id = "";
  let bits = 0;
  let buffered = 0;
  for (let i = 0; id.length < 26; ) {
    if (bits < 5) {
      buffered = ((buffered << 8) | (digest[i++] as number)) & 0xffff;
      bits += 8;
    }
    bits -= 5;
    id += alphabet[(buffered >> bits) & 31];
  }
  return id;
}

/** Throws `invalid_input` unless the key is 1–255 visible ASCII characters. */
export function checkIdempotencyKey(key: string): void {
  if (/^[\x20-\x7e]{1,255}$/.test(key)) return;
  throw new TroupeError("invalid_input", "Idempotency-Key: use 1 to 255 printable ASCII characters", {
    problems: [{ path: "Idempotency-Key", message: "use 1 to 255 printable ASCII characters" }],
  });
}
