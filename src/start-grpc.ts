/** From the settings to the gateway's gRPC: its port, and its certificates read from their files. */
import { readFileSync } from "node:fs";
import { systemClock } from "./bus/system-clock.ts";
import type { Config } from "./config.ts";
import type { GatewayConfig } from "./gateway/index.ts";
import { TroupeError } from "./machines/errors.ts";

/** Throws `invalid_input` for a file that cannot be read. */
export function grpcOf(config: Config): GatewayConfig["grpc"] {
  const { grpcPort: port, grpcPortChosen: required, grpcTlsCert, grpcTlsKey, grpcTlsClientCa } = config;
  if (port === null) return undefined;
  const common = { port, required, wallNow: () => systemClock.now() };
  if (grpcTlsCert === undefined || grpcTlsKey === undefined) return common;
  const tls = {
    certificate: file("GRPC_TLS_CERT", grpcTlsCert),
    key: file("GRPC_TLS_KEY", grpcTlsKey),
    clientAuthorities: grpcTlsClientCa === undefined ? undefined : file("GRPC_TLS_CLIENT_CA", grpcTlsClientCa),
  };
  return { ...common, tls };
}

function file(setting: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TroupeError("invalid_input", `${setting}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
