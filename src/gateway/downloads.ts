/**
 * Pre-signed download URLs: made with an expiry and an HMAC over the whole canonical request,
 * checked by rebuilding that canonical text and comparing it in constant time. Holds no state.
 */
import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { TroupeError } from "../machines/errors.ts";

export interface DownloadSigner {
  /** Path and query of a URL that is good until `expiresAt` (ms; rounded down to whole seconds). */
  sign(artifactId: string, expiresAt: number): Promise<string>;
  /** Throws `forbidden` (details.reason `bad_signature` or `expired`) unless the target is one that `sign` made. */
  verify(target: string, artifactId: string, expires: string, now: number): Promise<void>;
}

export function newDownloadSigner(secret: () => Promise<Uint8Array>): DownloadSigner {
  let key: Promise<Uint8Array> | undefined;
  const loadKey = (): Promise<Uint8Array> => {
    key ??= secret().catch((error: unknown) => {
      key = undefined;
      throw error;
    });
    return key;
  };
  const target = async (artifactId: string, expires: string): Promise<string> => {
    const path = `/v1/artifacts/${encodeURIComponent(artifactId)}/download`;
    const text = `GET\n${path}\nexpires=${expires}`;
    const signature = createHmac("sha256", await loadKey())
      .update(text)
      .digest("base64url");
    return `${path}?expires=${expires}&signature=${signature}`;
  };
  return {
    sign: (artifactId, expiresAt) => target(artifactId, String(Math.floor(expiresAt / 1000))),
    async verify(received, artifactId, expires, now) {
      // The whole text is compared, so no other spelling of a URL (order, case, escapes, base64 tails) passes.
      if (!sameText(received, await target(artifactId, expires))) {
        throw new TroupeError("forbidden", "The download URL's signature is not valid", { reason: "bad_signature" });
      }
      if (now < Number(expires) * 1000) return;
      throw new TroupeError("forbidden", "The download URL has expired; read the artifact again for a new one", {
        reason: "expired",
      });
    },
  };
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
