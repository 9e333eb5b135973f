/**
 * uWebSockets' app over node:http and the package `ws`, for where the native build is not: one
 * handler for every path, WebSocket routes by path with parameters, a listener. Only what the gateway calls.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { GatewayClock } from "../config.ts";
import { FallbackRequest } from "./request.ts";
import { FallbackResponse } from "./response.ts";
import { type RouteBehavior, SocketRoute } from "./socket-route.ts";

type Handler = (res: never, req: never) => void;
type Listening = (server: Server | false) => void;

/** How long a connection may neither send nor take anything; more than the silence of any stream, and than any answer takes. */
const idleMs = 40_000;
const keepAliveMs = 10_000;

export class FallbackApp {
  private readonly clock: GatewayClock;
  private readonly server: Server;
  private readonly routes: { readonly matches: RegExp; readonly route: SocketRoute }[] = [];
  private handler: Handler | undefined;

  constructor(clock: GatewayClock) {
    this.clock = clock;
    // Newer Nodes ask whether an `Upgrade` is meant for us; older ones always detach the connection.
    const newer: object = { shouldUpgradeCallback: (request: IncomingMessage) => this.routeOf(request) !== undefined };
    this.server = createServer(newer, (request, response) => this.serve(request, response));
    this.server.timeout = idleMs;
    this.server.headersTimeout = keepAliveMs;
    this.server.keepAliveTimeout = keepAliveMs;
    this.server.on("connection", (socket) => {
      // One listener for each request of a pipeline.
      socket.setMaxListeners(0);
    });
    this.server.on("upgrade", (request, socket, head) => this.detached(request, socket as Socket, head));
  }

  /** The handler of all requests; the pattern must be `/*`. */
  any(pattern: string, handler: Handler): this {
    if (pattern !== "/*") throw new Error(`this server has one handler, for /*, not for ${pattern}`);
    this.handler = handler;
    return this;
  }

  /** `/ws/agent/:client_id`; a parameter is one segment that is not empty. */
  ws(pattern: string, behavior: RouteBehavior): this {
    const source = pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/:[a-z_]+/g, "[^/]+");
    this.routes.push({ matches: new RegExp(`^${source}$`), route: new SocketRoute(behavior, this.clock) });
    return this;
  }

  listen(host: string, port: number, done: Listening): this {
    const failed = (): void => done(false);
    this.server.once("error", failed);
    this.server.listen({ host, port, exclusive: true }, () => {
      this.server.off("error", failed);
      // Such as no file handles for another connection: that one is lost, the server is not.
      this.server.on("error", () => undefined);
      done(this.server);
    });
    return this;
  }

  private serve(request: IncomingMessage, response: ServerResponse): void {
    this.handler?.(new FallbackResponse(request, response) as never, new FallbackRequest(request) as never);
  }

  private routeOf(request: IncomingMessage): SocketRoute | undefined {
    const { method, headers, url = "" } = request;
    const path = url.split("?", 1)[0] as string;
    const route = this.routes.find(({ matches }) => matches.test(path))?.route;
    const asked = headers.upgrade?.toLowerCase() === "websocket" && headers["sec-websocket-key"]?.length === 24;
    return method === "GET" && asked ? route : undefined;
  }

  /** The connection is no longer node:http's: it becomes a WebSocket, or gets one answer. */
  private detached(request: IncomingMessage, socket: Socket, head: Buffer): void {
    socket.on("error", () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.on("finish", () => socket.destroySoon());
    const route = this.routeOf(request);
    if (route === undefined) {
      // Its body, if it has one, cannot be read here.
      const { "content-length": length = "0", "transfer-encoding": encoding } = request.headers;
      if (length === "0" && encoding === undefined) this.serve(request, response);
      else response.writeHead(400, { connection: "close" }).end();
      return;
    }
    const res = new FallbackResponse(request, response, (userData, protocol, headers) => {
      response.detachSocket(socket);
      route.accept(request, socket, head, userData, protocol, headers);
    });
    route.behavior.upgrade?.(res as never, new FallbackRequest(request) as never, undefined as never);
  }
}

export const closeFallback = (server: Server): void => void server.close();

export function portOfFallback(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
