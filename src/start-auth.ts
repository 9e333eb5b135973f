/** From the settings to what the gateway knows of credentials. Owns no rule of authentication. */
import type { Config } from "./config.ts";
import type { GatewayConfig } from "./gateway/index.ts";

export function authOf(config: Config): NonNullable<GatewayConfig["auth"]> {
  const { jwtSecret, jwtPublicKey, jwks, jwtIssuer, jwtAudience, jwtScopes } = config;
  const { certHeader, trustedProxies, certScopes, rateLimit } = config;
  const jwt = {
    secret: jwtSecret,
    publicKey: jwtPublicKey,
    jwks,
    issuer: jwtIssuer,
    audience: jwtAudience,
    scopes: jwtScopes,
  };
  // gRPC's own TLS checks clients' certificates itself; no header is believed then unless one is set.
  const certificates = (certHeader !== undefined || config.grpcTlsClientCa !== undefined) && {
    header: certHeader ?? "",
    proxies: trustedProxies,
    ...(certScopes !== undefined && { scopes: certScopes }),
  };
  return { jwt, rateLimit, ...(certificates !== false && { certificates }) };
}
