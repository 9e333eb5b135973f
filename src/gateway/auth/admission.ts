/**
 * The gate that every request passes, whatever the protocol: who calls, and whether this credential
 * may make another request now. Owns no protocol; the headers are for those that have some.
 */
import type { TroupeError } from "../../machines/errors.ts";
import type { Authenticator, Presented } from "./authenticator.ts";
import { type Credential, localCredential } from "./credential.ts";
import type { RateLimiter } from "./limiter.ts";

export interface Admitted {
  readonly credential: Credential;
  /** What the answer says of the rate limit (`X-RateLimit-*`), whatever the answer is; empty without a limit. */
  readonly headers: readonly (readonly [string, string])[];
  /** The credential is known, but has used up its limit: answer with this. */
  readonly refused?: TroupeError;
}

export interface Admissions {
  /** False: nobody has to show a credential, and only loopback may be served. */
  readonly closed: boolean;
  /** At once where that can be. Throws or rejects as `Authenticator.authenticate` does. */
  admit(presented: Presented): Admitted | Promise<Admitted>;
  /** Another request of a caller who is known already: a message on a WebSocket. */
  again(credential: Credential): Admitted | Promise<Admitted>;
}

/** Whoever calls an operation that is open to everybody. */
export const admittedToAll: Admitted = { credential: localCredential, headers: [] };

export function newAdmissions(authenticator: Authenticator, limiter: RateLimiter): Admissions {
  const again = (credential: Credential): Admitted | Promise<Admitted> => {
    const taken = limiter.take(credential);
    if (taken instanceof Promise) return taken.then((one) => ({ credential, ...one }));
    return { credential, ...taken };
  };
  return {
    get closed() {
      return authenticator.closed;
    },
    admit(presented) {
      const found = authenticator.authenticate(presented);
      return found instanceof Promise ? found.then(again) : again(found);
    },
    again,
  };
}
