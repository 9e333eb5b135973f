/**
 * From what a caller presents to a credential. Protocols (HTTP, WebSocket, gRPC) hand over a
 * `Presented` and know no more. Which ways of proving there are: the other files of this folder.
 */
import { TroupeError } from "../../machines/errors.ts";
import { type ApiKey, newApiKeyTable } from "./api-keys.ts";
import { type Credential, localCredential } from "./credential.ts";

/** What a caller shows, whatever the protocol. */
export interface Presented {
  /** An API key or a bearer token. */
  readonly token?: string | undefined;
  /** What a trusted proxy says of the client's certificate; never what a client says itself. */
  readonly certificate?: string | undefined;
}

export interface Authenticator {
  /** False: nobody has to show a credential, and only loopback may be served. */
  readonly closed: boolean;
  /**
   * The caller's credential: at once when it has been seen before, else when it is looked up. Throws or
   * rejects with `unauthenticated`, or `unavailable` when it cannot be looked up now.
   */
  authenticate(presented: Presented): Credential | Promise<Credential>;
}

export function newAuthenticator(keys: readonly ApiKey[]): Authenticator {
  const table = newApiKeyTable(keys);
  return {
    closed: table.size > 0,
    authenticate({ token }) {
      if (table.size === 0) return localCredential;
      if (token === undefined || token === "") throw new TroupeError("unauthenticated", "No API key was sent");
      const found = table.find(token);
      if (found === undefined) throw new TroupeError("unauthenticated", "The API key is not known");
      return found;
    },
  };
}

/** The token of an `X-API-Key` and an `Authorization: Bearer` header: the first wins. */
export function presentedToken(apiKeyHeader: string, authorization: string): string | undefined {
  if (apiKeyHeader !== "") return apiKeyHeader;
  const match = /^bearer +(\S+)\s*$/i.exec(authorization);
  return match?.[1];
}
