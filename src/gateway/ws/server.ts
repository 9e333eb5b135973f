/**
 * The WebSocket endpoint `/v1/ws` on uWebSockets: who may connect, in which format, how many.
 * What a connected client does is the session's.
 */
import { TroupeError } from "../../machines/errors.ts";
import { type Authenticator, type Credential, presentedKey } from "../auth.ts";
import { asTroupeError, errorBody } from "../errors.ts";
import type { Operation, Services } from "../operation.ts";
import { requireLoopbackHost, requireSameOrigin } from "../origin.ts";
import type { Format } from "../shared-event.ts";
import type { HttpRequest, HttpResponse, TemplatedApp } from "../uws.ts";
import { closeCodes } from "./protocol.ts";
import { Session } from "./session.ts";

export interface SocketServerOptions {
  readonly services: Services;
  readonly operations: readonly Operation[];
  readonly authenticator: Authenticator;
  readonly publicUrl: string | undefined;
}

interface Connection {
  readonly credential: Credential;
  readonly format: Format;
  readonly baseUrl: string;
  session?: Session;
}

/** Above the gateway's own bound: uWebSockets would drop messages silently. */
const backpressureMax = 1024 * 1024 * 1024;
const idleTimeoutS = 120;

export class SocketServer {
  closing = false;
  private readonly options: SocketServerOptions;
  private readonly operations: ReadonlyMap<string, Operation>;
  private readonly sessions = new Set<Session>();

  constructor(options: SocketServerOptions) {
    this.options = options;
    this.operations = new Map(options.operations.map((o) => [o.name, o]));
  }

  get clients(): number {
    return this.sessions.size;
  }

  attach(app: TemplatedApp, path: string): void {
    const { limits } = this.options.services;
    app.ws<Connection>(path, {
      maxPayloadLength: limits.wsMessageBytesMax,
      maxBackpressure: backpressureMax,
      idleTimeout: idleTimeoutS,
      sendPingsAutomatically: true,
      upgrade: (res, req, context) => this.upgrade(res, req, context),
      open: (ws) => {
        const connection = ws.getUserData();
        const { services } = this.options;
        const correlationId = services.runtime.newId();
        const session = new Session(ws, { ...connection, services, operations: this.operations, correlationId });
        connection.session = session;
        this.sessions.add(session);
        if (this.closing) session.close(closeCodes.goingAway, "stopping");
      },
      message: (ws, message) => ws.getUserData().session?.receive(new Uint8Array(message)),
      drain: (ws) => ws.getUserData().session?.drained(),
      close: (ws) => {
        const { session } = ws.getUserData();
        if (session === undefined) return;
        this.sessions.delete(session);
        session.closed();
      },
    });
  }

  closeAll(): void {
    this.closing = true;
    for (const session of this.sessions) session.close(closeCodes.goingAway, "stopping");
  }

  private upgrade(res: HttpResponse, req: HttpRequest, context: Parameters<HttpResponse["upgrade"]>[4]): void {
    const key = req.getHeader("sec-websocket-key");
    const extensions = req.getHeader("sec-websocket-extensions");
    const offered = req.getHeader("sec-websocket-protocol");
    try {
      const connection = this.admit(req, offered);
      // Only a protocol that the client offered may be answered; none: JSON.
      const protocol = protocolsOf(offered).includes(connection.format) ? connection.format : "";
      res.upgrade(connection, key, protocol, extensions, context);
    } catch (thrown) {
      const { services } = this.options;
      const correlationId = services.runtime.newId();
      const error = asTroupeError(thrown, correlationId, services.logger);
      res.writeStatus(`${error.kind.status} Refused`);
      res.writeHeader("content-type", "application/json; charset=utf-8");
      res.writeHeader("x-correlation-id", correlationId);
      res.end(JSON.stringify(errorBody(error, correlationId)));
    }
  }

  private admit(req: HttpRequest, offered: string): Connection {
    const { authenticator, services, publicUrl } = this.options;
    const host = req.getHeader("host");
    if (this.closing) throw new TroupeError("unavailable", "This node is stopping");
    if (!authenticator.closed) {
      requireLoopbackHost(host);
      requireSameOrigin(req.getHeader("origin"), host);
    }
    const inQuery = new URLSearchParams((req.getQuery() as string | undefined) ?? "").get("api_key");
    const shown = presentedKey(req.getHeader("x-api-key"), req.getHeader("authorization")) ?? inQuery ?? undefined;
    const credential = authenticator.authenticate(shown);
    if (this.sessions.size >= services.limits.wsClientsMax) {
      throw new TroupeError("overloaded", `${services.limits.wsClientsMax} WebSocket clients are connected already`);
    }
    const format = protocolsOf(offered).find((p): p is Format => p === "json" || p === "msgpack") ?? "json";
    return { credential, format, baseUrl: publicUrl ?? `http://${host}` };
  }
}

function protocolsOf(offered: string): string[] {
  return offered.split(",").map((p) => p.trim());
}
