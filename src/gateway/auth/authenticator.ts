/**
 * From what a caller presents to a credential. Protocols (HTTP, WebSocket, gRPC) hand over a
 * `Presented` and know no more. Owns the order of the ways of proving and the memory of what was proven; each
 * way is a file of this folder.
 */
import { LRUCache } from "lru-cache";
import { TroupeError } from "../../machines/errors.ts";
import type { GatewayClock } from "../config.ts";
import { type ApiKey, newApiKeyTable, sha256 } from "./api-keys.ts";
import type { Certificates } from "./certificates.ts";
import { type Credential, localCredential } from "./credential.ts";
import { notAuthentic, type Proof, type Prover } from "./prover.ts";
import type { StoredKeys } from "./stored-keys.ts";

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

export interface Ways {
  readonly keys: readonly ApiKey[];
  readonly stored: StoredKeys;
  /** Tokens of ours for agents. They do not close the system: an open one has agents too. */
  readonly agents: Prover;
  readonly jwt: Prover | undefined;
  readonly certificates: Certificates | undefined;
}

const rememberedMax = 10_000;
/** Tokens that are looked up at once; each may cost a read of the store. */
const lookupsMax = 256;

interface Remembered {
  readonly credential: Credential;
  /** On the monotonic clock. */
  readonly until: number;
}

export function newAuthenticator(ways: Ways, clock: GatewayClock): Authenticator {
  return new ByToken(ways, clock);
}

class ByToken implements Authenticator {
  private readonly ways: Ways;
  private readonly clock: GatewayClock;
  private readonly table: ReturnType<typeof newApiKeyTable>;
  private readonly configured: boolean;
  /** By digest: no token is kept. */
  private readonly remembered = new LRUCache<string, Remembered>({ max: rememberedMax });
  private readonly lookups = new Map<string, Promise<Credential>>();

  constructor(ways: Ways, clock: GatewayClock) {
    this.ways = ways;
    this.clock = clock;
    this.table = newApiKeyTable(ways.keys);
    this.configured = this.table.size > 0 || ways.jwt !== undefined || ways.certificates !== undefined;
  }

  get closed(): boolean {
    return this.configured || this.ways.stored.any === true;
  }

  authenticate({ token, certificate }: Presented): Credential | Promise<Credential> {
    if (token === undefined || token === "") {
      if (certificate !== undefined) return this.byCertificate(certificate);
      return this.withNothing("No credential was sent");
    }
    const digest = sha256(token).toString("base64");
    const known = this.remembered.get(digest);
    if (known !== undefined && this.clock.monotonic() < known.until) return known.credential;
    const configured = this.table.find(token);
    if (configured !== undefined) {
      this.remembered.set(digest, { credential: configured, until: Number.POSITIVE_INFINITY });
      return configured;
    }
    return this.lookUp(digest, token);
  }

  /** Without a credential: everybody, as long as there is none anywhere. */
  private withNothing(message: string): Credential | Promise<Credential> {
    const { stored } = this.ways;
    if (this.closed) throw notAuthentic(message);
    if (stored.any === false) return localCredential;
    return stored.known().then((any) => {
      if (any) throw notAuthentic(message);
      return localCredential;
    });
  }

  private byCertificate(value: string): Credential {
    const { certificates } = this.ways;
    if (certificates === undefined) throw notAuthentic("Client certificates are not accepted");
    const digest = sha256(`certificate:${value}`).toString("base64");
    const known = this.remembered.get(digest);
    if (known !== undefined && this.clock.monotonic() < known.until) return known.credential;
    return this.remember(digest, certificates.prove(value));
  }

  private lookUp(digest: string, token: string): Credential | Promise<Credential> {
    const under = this.lookups.get(digest);
    if (under !== undefined) return under;
    if (this.lookups.size >= lookupsMax) {
      throw new TroupeError("overloaded", "Too many new credentials are being looked up");
    }
    const { stored, agents, jwt } = this.ways;
    // Each kind has its own form; at most one of them is asked.
    const proving = stored.prove(token) ?? agents.prove(token) ?? jwt?.prove(token);
    if (proving === undefined) return this.withNothing("The credential is not known");
    const found = proving.then((proof) => this.remember(digest, proof)).finally(() => this.lookups.delete(digest));
    this.lookups.set(digest, found);
    return found;
  }

  private remember(digest: string, proof: Proof): Credential {
    const { credential, expiresAt, recheckMs } = proof;
    const leftMs = expiresAt === undefined ? Number.POSITIVE_INFINITY : expiresAt - this.clock.now();
    const forMs = Math.min(leftMs, recheckMs ?? Number.POSITIVE_INFINITY);
    if (forMs > 0) this.remembered.set(digest, { credential, until: this.clock.monotonic() + forMs });
    return credential;
  }
}
