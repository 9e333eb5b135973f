/**
 * The gRPC server: services, health, reflection, TLS, limits; starts and stops. What a service does is in services/.
 */
import { Server, ServerCredentials, setLogger } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation } from "grpc-health-check";
import type { Admissions } from "../auth/admission.ts";
import type { Operation, Services } from "../operation.ts";
import type { GrpcParts } from "./call-context.ts";
import { OpenCalls } from "./open-calls.ts";
import { loadProtos } from "./protos.ts";
import { implementations } from "./services/index.ts";

export interface GrpcTls {
  /** PEM. */
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** PEM of those who sign clients' certificates: then every client has to show one. */
  readonly clientAuthorities?: Buffer | undefined;
}

export interface GrpcSettings {
  /** 0: any free port. */
  readonly port: number;
  /** False: where the port is taken, the gateway goes without gRPC. */
  readonly required: boolean;
  readonly tls?: GrpcTls | undefined;
  /** This machine's wall clock, by which deadlines of calls are counted. */
  wallNow(): number;
}

export interface GrpcServerOptions extends GrpcSettings {
  readonly host: string;
  /** Base of absolute URLs in answers (downloads are served over HTTP). */
  readonly baseUrl: string;
  readonly services: Services;
  readonly admissions: Admissions;
  readonly operations: readonly Operation[];
}

export interface GrpcServer {
  /** Resolves with the port; null when the address cannot be had. */
  listen(): Promise<number | null>;
  /** No new calls, streams end; waits up to `graceMs` for the others under way, then ends them. */
  close(graceMs: number): Promise<void>;
}

/** A connection is asked whether it is still there: one whose process hangs is closed. */
const keepaliveMs = 30_000;
const keepaliveTimeoutMs = 10_000;
/** Of one connection. */
const streamsMax = 1_000;
/** How often the health service looks whether this gateway is ready. */
const healthMs = 2_000;

export function createGrpcServer(options: GrpcServerOptions): GrpcServer {
  const { services, host, port, tls, admissions, baseUrl, wallNow } = options;
  const open = new OpenCalls(services.limits);
  const operations = new Map(options.operations.map((one) => [one.name, one]));
  const parts: GrpcParts = { services, admissions, operations, baseUrl, open, wallNow };
  // The library writes to standard error by itself; what it says is for those who look for a fault.
  const say = (...words: unknown[]): void =>
    services.logger.debug({ grpc: words.map(String).join(" ") }, "gRPC library");
  setLogger({ error: say, info: say, debug: say });
  const protos = loadProtos();
  const server = new Server({
    "grpc.max_receive_message_length": services.limits.bodyBytesMax,
    "grpc.max_send_message_length": -1,
    "grpc.keepalive_time_ms": keepaliveMs,
    "grpc.keepalive_timeout_ms": keepaliveTimeoutMs,
    "grpc.max_concurrent_streams": streamsMax,
  });
  const names: string[] = [];
  for (const { name, methods, definition } of implementations(parts, protos)) {
    server.addService(definition, methods as never);
    names.push(name);
  }
  const health = new Health(names, services);
  health.addTo(server);
  new ReflectionService(protos.definition).addToServer(server);
  return {
    listen() {
      const at = `${host.includes(":") ? `[${host}]` : host}:${port}`;
      return new Promise((resolve) => {
        server.bindAsync(at, credentialsOf(tls), (error, bound) => {
          if (error !== null) services.logger.debug({ err: error }, `gRPC cannot listen on ${at}`);
          else health.start();
          resolve(error === null ? bound : null);
        });
      });
    },
    async close(graceMs) {
      health.stop();
      open.close();
      await new Promise<void>((resolve) => {
        const timer = services.clock.after(graceMs, () => {
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

/** The standard health service; every name has the gateway's own readiness. */
class Health {
  readonly #names: readonly string[];
  readonly #services: Services;
  readonly #implementation: HealthImplementation;
  #timer: { cancel(): void } | undefined;
  #stopped = false;

  constructor(names: readonly string[], services: Services) {
    this.#names = ["", ...names];
    this.#services = services;
    this.#implementation = new HealthImplementation(
      Object.fromEntries(this.#names.map((name) => [name, "NOT_SERVING" as const])),
    );
  }

  addTo(server: Server): void {
    this.#implementation.addToServer(server);
  }

  start(): void {
    const { runtime, clock } = this.#services;
    const look = async (): Promise<void> => {
      const { ready } = await runtime.readiness().catch(() => ({ ready: false }));
      if (this.#stopped) return;
      this.#tell(ready);
      this.#timer = clock.after(healthMs, () => void look());
    };
    void look();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#tell(false);
  }

  #tell(ready: boolean): void {
    for (const name of this.#names) this.#implementation.setStatus(name, ready ? "SERVING" : "NOT_SERVING");
  }
}

function credentialsOf(tls: GrpcTls | undefined): ServerCredentials {
  if (tls === undefined) return ServerCredentials.createInsecure();
  const { certificate, key, clientAuthorities } = tls;
  const pairs = [{ cert_chain: certificate, private_key: key }];
  return ServerCredentials.createSsl(clientAuthorities ?? null, pairs, clientAuthorities !== undefined);
}
