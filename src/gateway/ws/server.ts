/**
 * The WebSocket endpoints on uWebSockets: who may connect, in which format, how many. What a
 * connected client does is its session's; which paths there are, the table's (protocols.ts).
 */
import type { TroupeError } from "../../machines/errors.ts";
import type { Admissions } from "../auth/admission.ts";
import { errorShapeOf } from "../error-shape.ts";
import type { Operation, Services } from "../operation.ts";
import type { HttpRequest, HttpResponse, TemplatedApp } from "../uws.ts";
import { closeCodes } from "./protocol.ts";
import { type Connection, pathParameters, routePatterns, type SocketProtocol, type SocketSession } from "./route.ts";
import { requireRoom, upgrade } from "./upgrade.ts";

export interface SocketServerOptions {
  readonly services: Services;
  readonly operations: readonly Operation[];
  readonly admissions: Admissions;
  readonly publicUrl: string | undefined;
}

interface UserData {
  readonly connection: Connection;
  session?: SocketSession;
}

type UpgradeContext = Parameters<HttpResponse["upgrade"]>[4];

/** Above the gateway's own bound: uWebSockets would drop messages silently. */
const backpressureMax = 1024 * 1024 * 1024;
const idleTimeoutS = 120;

export class SocketServer {
  closing = false;
  private readonly options: SocketServerOptions;
  private readonly operations: ReadonlyMap<string, Operation>;
  private readonly sessions = new Set<SocketSession>();

  constructor(options: SocketServerOptions) {
    this.options = options;
    this.operations = new Map(options.operations.map((o) => [o.name, o]));
  }

  get clients(): number {
    return this.sessions.size;
  }

  attach(app: TemplatedApp, protocol: SocketProtocol): void {
    for (const pattern of routePatterns(protocol.path)) {
      app.ws<UserData>(pattern, {
        maxPayloadLength: protocol.wireBytesMax,
        maxBackpressure: backpressureMax,
        idleTimeout: idleTimeoutS,
        sendPingsAutomatically: true,
        upgrade: (res, req, context) => this.upgrade(protocol, res, req, context),
        open: (ws) => {
          const data = ws.getUserData();
          const session = protocol.open(ws, data.connection);
          data.session = session;
          this.sessions.add(session);
          this.options.services.monitor.traffic.socketOpened(protocol.path);
          if (this.closing) session.close(closeCodes.goingAway, "stopping");
        },
        message: (ws, message) => ws.getUserData().session?.receive(new Uint8Array(message)),
        drain: (ws) => ws.getUserData().session?.drained(),
        close: (ws) => {
          const { session } = ws.getUserData();
          if (session === undefined) return;
          this.sessions.delete(session);
          this.options.services.monitor.traffic.socketClosed(protocol.path);
          session.closed();
        },
      });
    }
  }

  closeAll(): void {
    this.closing = true;
    for (const session of this.sessions) session.close(closeCodes.goingAway, "stopping");
  }

  private upgrade(protocol: SocketProtocol, res: HttpResponse, req: HttpRequest, context: UpgradeContext): void {
    const { services } = this.options;
    const options = {
      ...this.options,
      accept: () => requireRoom(this.closing, this.sessions.size, services.limits.wsClientsMax),
      errorBody: (error: TroupeError, correlationId: string) =>
        errorShapeOf(protocol.path).body(error, { correlationId, now: services.runtime.now() }),
    };
    upgrade<UserData>(res, req, context, options, ({ credential, baseUrl, path, offered }) => {
      const format = offered.map((name) => protocol.formats.find((f) => f === name)).find((f) => f !== undefined);
      const connection: Connection = {
        services,
        operations: this.operations,
        credential,
        format: format ?? "json",
        baseUrl,
        correlationId: services.runtime.newId(),
        parameters: pathParameters(protocol.path, path),
      };
      // Only a protocol that the client offered may be answered; none: JSON.
      return { userData: { connection }, protocol: format ?? "" };
    });
  }
}
