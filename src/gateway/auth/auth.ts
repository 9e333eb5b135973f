/**
 * Puts authentication together from the settings: which ways of proving there are, the gate in front of every
 * operation, and what the operations on keys and tokens need.
 */
import type { Runtime } from "../../actors/client.ts";
import type { GatewayClock, GatewayLogger } from "../config.ts";
import { type Admissions, newAdmissions } from "./admission.ts";
import { type AgentTokens, newAgentTokens } from "./agent-tokens.ts";
import type { ApiKey } from "./api-keys.ts";
import { type Authenticator, newAuthenticator } from "./authenticator.ts";
import { type CertificateSettings, newCertificates } from "./certificates.ts";
import { type JwtSettings, newJwtProver } from "./jwt.ts";
import { RateLimiter } from "./limiter.ts";
import { type ClientCertificates, noCertificates } from "./presented.ts";
import { StoredKeys } from "./stored-keys.ts";

export interface AuthSettings {
  readonly jwt?: JwtSettings;
  readonly certificates?: CertificateSettings;
  /** Requests a minute of a credential that names no limit; null: none. Default 1000. */
  readonly rateLimit?: number | null;
}

/** What operations may know of authentication. */
export interface AuthServices {
  readonly tokens: Pick<AgentTokens, "issue">;
  /** A key was made: this gateway is closed from now on. */
  keyMade(): void;
}

export interface Auth {
  readonly authenticator: Authenticator;
  readonly admissions: Admissions;
  readonly services: AuthServices;
  readonly certificates: ClientCertificates;
  /** True when some credential is configured or stored; resolves when that is known. */
  closed(): Promise<boolean>;
  start(): void;
  stop(): void;
}

const requestsPerMinute = 1000;

/** Throws `invalid_input` for settings that cannot be used. */
export function newAuth(
  parts: { readonly runtime: Runtime; readonly clock: GatewayClock; readonly logger: GatewayLogger },
  keys: readonly ApiKey[],
  settings: AuthSettings = {},
): Auth {
  const { runtime, clock, logger } = parts;
  const stored = new StoredKeys(parts);
  const agents = newAgentTokens(runtime, clock);
  const jwt = settings.jwt && newJwtProver(settings.jwt, clock, logger);
  const certificates = settings.certificates && newCertificates(settings.certificates, clock);
  const authenticator = newAuthenticator({ keys, stored, agents, jwt, certificates }, clock);
  const { rateLimit = requestsPerMinute } = settings;
  const limiter = new RateLimiter(runtime, clock, rateLimit);
  return {
    authenticator,
    admissions: newAdmissions(authenticator, limiter),
    services: {
      tokens: agents,
      keyMade: () => {
        stored.any = true;
      },
    },
    certificates: certificates ?? noCertificates,
    closed: async () => authenticator.closed || stored.known(),
    start: () => stored.start(),
    stop: () => {
      stored.stop();
      limiter.stop();
    },
  };
}
