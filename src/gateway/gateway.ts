/**
 * Puts the gateway together: services, HTTP handler, WebSocket server, listener; starts and
 * stops them. Owns the order of stopping.
 */
import type { Runtime } from "../actors/client.ts";
import { TroupeError } from "../machines/errors.ts";
import { Activity } from "./activity.ts";
import { AgentHints } from "./agents/hints.ts";
import { answerPlainAsks } from "./agents/plain-asks.ts";
import { Attributes } from "./attributes.ts";
import { type Auth, newAuth } from "./auth/auth.ts";
import { type GatewayClock, type GatewayConfig, type GatewayLogger, gatewayLimits } from "./config.ts";
import { newDownloadSigner } from "./downloads.ts";
import type { GrpcServer } from "./grpc/server.ts";
import { Docs } from "./http/docs.ts";
import { Handler } from "./http/handler.ts";
import { copyHead } from "./http/request.ts";
import { Router } from "./http/router.ts";
import { Hub } from "./hub.ts";
import { newSchemaChecker } from "./json-schema.ts";
import { LiveHub } from "./live-hub.ts";
import { Monitor } from "./monitoring/monitor.ts";
import { Pulse } from "./monitoring/pulse.ts";
import { openApiDocument } from "./openapi.ts";
import type { Operation, Services } from "./operation.ts";
import { readSystemMetrics } from "./operations/metrics.ts";
import { hostName, isLoopbackName } from "./origin.ts";
import { Subscriber } from "./subscriber.ts";
import { operations as all } from "./table.ts";
import { httpServer, type us_listen_socket } from "./uws.ts";
import { newWorkflows } from "./workflows.ts";
import { socketProtocols } from "./ws/protocols.ts";
import { SocketServer } from "./ws/server.ts";

export interface GatewayOptions {
  readonly runtime: Runtime;
  readonly config: GatewayConfig;
  readonly clock: GatewayClock;
  readonly logger: GatewayLogger;
  /** Default: all there are. */
  readonly operations?: readonly Operation[];
}

export interface Gateway {
  /** Resolves with the port when connections are taken. Throws when the address is taken or may not be served. */
  listen(): Promise<number>;
  /** The port listened on; 0 before. */
  readonly port: number;
  /** The port of gRPC; 0 before, and where it is not served. */
  readonly grpcPort: number;
  /** WebSocket clients connected now. */
  readonly clients: number;
  /** Stops accepting, ends streams, closes WebSockets (1001), waits up to `graceMs` for requests in flight. */
  close(graceMs: number): Promise<void>;
}

/** Open to everybody, and without a word about what is stored. */
const healthNames = new Set(["system.live", "system.ready", "system.exposition"]);

/** Throws `invalid_input` for credentials that cannot be used. */
export function createGateway(options: GatewayOptions): Gateway {
  const { runtime, config, clock, logger, operations = all } = options;
  const health = config.surface === "health";
  const auth = newAuth(options, config.apiKeys ?? [], config.auth);
  const { admissions, certificates } = auth;
  const hub = new Hub(runtime.feed, logger);
  const attributes = new Attributes({ runtime, clock });
  const monitor = new Monitor(runtime, clock, config.version);
  const services: Services = {
    runtime,
    clock,
    logger,
    limits: { ...gatewayLimits, ...config.limits },
    hub,
    activity: new Activity(runtime, hub),
    subscriber: new Subscriber({
      hub,
      clock,
      attributes,
      cursor: () => runtime.feed.cursor(),
      load: (value) => runtime.values.load(value),
    }),
    schemas: newSchemaChecker(),
    workflows: newWorkflows(runtime, clock),
    downloads: newDownloadSigner(() => runtime.secret("downloads")),
    monitor,
    pulse: new Pulse(clock, () => readSystemMetrics(monitor)),
    agentHints: new AgentHints(runtime),
    auth: auth.services,
    agUi: config.agUi ?? { onDisconnect: "cancel" },
    liveHub: new LiveHub(runtime, logger),
    version: config.version,
  };
  const publicUrl = config.publicUrl?.replace(/\/+$/, "");
  let document: string | undefined;
  const openapi = (): string =>
    (document ??= JSON.stringify(openApiDocument(operations, config.version, publicUrl ?? "/")));
  const handler = new Handler({
    services,
    router: new Router(health ? operations.filter(({ name }) => healthNames.has(name)) : operations),
    admissions,
    certificates,
    docs: health ? undefined : new Docs(),
    openapi,
    publicUrl,
  });
  const sockets = new SocketServer({ services, operations, admissions, certificates, publicUrl });
  const server = httpServer(config.server, clock);
  const app = server.newApp();
  if (!health) for (const protocol of socketProtocols(services.limits)) sockets.attach(app, protocol);
  app.any("/*", (res, req) => handler.handle(res, copyHead(req, certificates.header)));
  let listener: us_listen_socket | undefined;
  let asks: { stop(): void } | undefined;
  let port = 0;
  let grpc: GrpcServer | undefined;
  let grpcPort = 0;
  const listenGrpc = async (): Promise<void> => {
    if (config.grpc === undefined || health) return;
    const { host } = config;
    // Loaded where it is wanted: it costs a start some tenths of a second.
    const { createGrpcServer } = await import("./grpc/server.ts");
    const baseUrl = publicUrl ?? `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
    const starting = createGrpcServer({ ...config.grpc, host, baseUrl, services, admissions, operations });
    const bound = await starting.listen();
    if (bound !== null) {
      grpc = starting;
      grpcPort = bound;
    } else if (config.grpc.required) throw portTaken("gRPC", host, config.grpc.port, "GRPC_PORT");
    else logger.warn({ host, port: config.grpc.port }, "gRPC is not served: its port is taken; set GRPC_PORT");
  };
  const closeListener = (): void => {
    if (listener !== undefined) server.closeListener(listener);
    listener = undefined;
  };
  return {
    get port() {
      return port;
    },
    get grpcPort() {
      return grpcPort;
    },
    get clients() {
      return sockets.clients;
    },
    async listen() {
      if (!health) {
        auth.start();
        await requireProtection(config, auth).catch((error: unknown) => {
          auth.stop();
          throw error;
        });
      }
      const socket = await server.listen(app, config.host, config.port);
      if (socket === false) throw portTaken("HTTP", config.host, config.port, "PORT");
      listener = socket;
      port = server.portOf(socket);
      await listenGrpc().catch((error: unknown) => {
        closeListener();
        throw error;
      });
      if (!health) asks = answerPlainAsks(services, operations);
      return port;
    },
    async close(graceMs) {
      closeListener();
      handler.closing = true;
      asks?.stop();
      auth.stop();
      sockets.closeAll();
      await Promise.all([drain(handler, clock, graceMs), grpc?.close(graceMs)]);
      services.agentHints.stop();
      services.liveHub.stop();
      await services.hub.stop();
    },
  };
}

function portTaken(what: string, host: string, port: number, setting: string): TroupeError {
  const at = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const advice = `Set ${setting} to another port, or to 0 for a free one`;
  return new TroupeError("unavailable", `${what} cannot listen on ${at}; is the port taken? ${advice}`);
}

/** Throws `invalid_input` when an address beyond loopback would be served without credentials. */
async function requireProtection(config: GatewayConfig, auth: Auth): Promise<void> {
  if (isLoopbackName(hostName(config.host)) || (await auth.closed())) return;
  throw new TroupeError(
    "invalid_input",
    `Without credentials only a loopback address may be served, not ${config.host}; set TROUPE_API_KEYS=name:key (or HOST=127.0.0.1)`,
  );
}

/** Ends streams, then waits for the other requests in flight. */
async function drain(handler: Handler, clock: GatewayClock, graceMs: number): Promise<void> {
  for (const exchange of handler.active) {
    exchange.closing = true;
    if (exchange.began) exchange.abort.abort("closing");
  }
  if (handler.active.size === 0) return;
  await new Promise<void>((resolve) => {
    const timer = clock.after(graceMs, resolve);
    handler.onIdle = () => {
      timer.cancel();
      resolve();
    };
  });
}
