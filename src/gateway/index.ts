/** The gateway's public face: what main.ts and the tests use. */
export { type ApiKey, parseApiKeys } from "./auth/api-keys.ts";
export { type GatewayConfig, type GatewayLimits, gatewayLimits } from "./config.ts";
export { createGateway, type Gateway, type GatewayOptions } from "./gateway.ts";
export { operations } from "./table.ts";
export { type ServerBuild, serverBuild } from "./uws.ts";
