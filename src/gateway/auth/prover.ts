/** One way of proving who one is; the authenticator asks them in turn. */
import { TroupeError } from "../../machines/errors.ts";
import type { Credential } from "./credential.ts";

export interface Proof {
  readonly credential: Credential;
  /** From then on (the gateway's clock, ms) it is worth nothing. */
  readonly expiresAt?: number;
  /** How long it may be used before it is looked at again (in the background); absent: as long as it lasts. */
  readonly recheckMs?: number;
}

export interface Prover {
  /** undefined: not a token of this kind. Rejects with `unauthenticated`, or `unavailable` when it cannot tell now. */
  prove(token: string): Promise<Proof> | undefined;
}

/** One sentence for all that is wrong with a token; `reason` says no more than the client could find out itself. */
export function notAuthentic(message: string, reason?: string): TroupeError {
  return new TroupeError("unauthenticated", message, reason === undefined ? undefined : { reason });
}
