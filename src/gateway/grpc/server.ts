/**
 * The gRPC server: services, health, reflection, TLS, limits; starts and stops. What a service does is in services/.
 */
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import { TroupeError } from "../../machines/errors.ts";
import type { GrpcParts } from "./calls.ts";
import { loadProtos } from "./protos.ts";
import { agentRuntime } from "./services/agent-runtime.ts";
import { agentService } from "./services/agent-service.ts";

export interface GrpcTls {
  /** PEM. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** PEM of those who sign clients' certificates: then every client has to show one. */
  readonly clientAuthorities?: Buffer | undefined;
}

export interface GrpcConfig {
  readonly host: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls?: GrpcTls | undefined;
  readonly messageBytesMax: number;
}

export interface GrpcServer {
  /** Resolves with the port. Throws when the address is taken. */
  listen(): Promise<number>;
  /** No new calls; waits up to `graceMs` for those under way, then ends them. */
  close(graceMs: number): Promise<void>;
}

/** A connection without calls is asked whether it is still there. */
const keepaliveMs = 30_000;
const keepaliveTimeoutMs = 10_000;
const streamsMax = 1_000;

const names = ["agent.AgentService", "agent.runtime.v1.AgentRuntime"] as const;

export function createGrpcServer(config: GrpcConfig, parts: GrpcParts): GrpcServer {
  const protos = loadProtos();
  const server = new Server({
    "grpc.max_receive_message_length": config.messageBytesMax,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": keepaliveMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
    "grpc.max_concurrent_streams": streamsMax,
  });
  const implementations = {
    "agent.AgentService": agentService(parts),
    "agent.runtime.v1.AgentRuntime": agentRuntime(parts),
  };
  for (const name of names) server.addService(protos.service(name), implementations[name] as never);
  const health = new HealthImplementation(Object.fromEntries(["", ...names].map((name) => [name, "SERVING" as const])));
  health.addToServer(server);
  new ReflectionService(protos.definition).addToServer(server);
  return {
    listen() {
      return new Promise((resolve, reject) => {
        const at = `${config.host.includes(":") ? `[${config.host}]` : config.host}:${config.port}`;
        server.bindAsync(at, credentialsOf(config.tls), (error, port) => {
          if (error === null) resolve(port);
          else reject(new TroupeError("unavailable", `gRPC cannot listen on ${at}: ${error.message}`));
        });
      });
    },
    async close(graceMs) {
      for (const name of ["", ...names]) health.setStatus(name, "NOT_SERVING");
      await new Promise<void>((resolve) => {
        const timer = parts.services.clock.after(graceMs, () => {
          server.forceShutdown();
          resolve();
        });
        server.tryShutdown(() => {
          timer.cancel();
          resolve();
        });
      });
    },
  };
}

function credentialsOf(tls: GrpcTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { certificate, key, clientAuthorities } = tls;
  const pairs = [{ cert_chain: certificate, private_key: key }];
  return ServerCredentials.createSsl(clientAuthorities ?? null, pairs, clientAuthorities !== undefined);
}
