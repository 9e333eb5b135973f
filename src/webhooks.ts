/**
 * Standard Webhooks (https://www.standardwebhooks.com): the secret that a credential's callbacks are signed with, and
 * the headers of a signed call. The runtime signs with it, the gateway tells a credential its secret; it knows nobody.
 */
import { createHash, createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";

/** Name of the cluster's secret from which those of credentials are made. */
export const callbackSecretName = "callbacks";

/** `whsec_…`, the same for a credential on every node. */
export function callbackSecret(clusterSecret: Uint8Array, owner: string): string {
  return `whsec_${createHmac("sha256", clusterSecret).update(owner).digest("base64")}`;
}

/** Any text as a webhook's id: no dot (it would divide what is signed), nothing that a header cannot hold. */
export function webhookId(text: string): string {
  return /^[A-Za-z0-9_-]{1,200}$/.test(text) ? text : createHash("sha256").update(text).digest("hex");
}

/** `at`: ms since 1970; the signature covers it in whole seconds. */
export function webhookHeaders(secret: string, id: string, at: number, body: string): Record<string, string> {
  return {
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(at / 1_000)),
    "webhook-signature": new Webhook(secret).sign(id, new Date(at), body),
  };
}
