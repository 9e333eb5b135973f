/**
 * The WebSocket endpoint `/v1/ws` on uWebSockets: who may connect, in which format, how many.
 * What a connected client does is the session's.
 */
import type { Admissions } from "../auth/admission.ts";
import type { Credential } from "../auth/credential.ts";
import type { Operation, Services } from "../operation.ts";
import type { Format } from "../shared-event.ts";
import type { HttpRequest, HttpResponse, TemplatedApp } from "../uws.ts";
import { closeCodes } from "./protocol.ts";
import { Session } from "./session.ts";
import { requireRoom, upgrade } from "./upgrade.ts";

export interface SocketServerOptions {
  readonly services: Services;
  readonly operations: readonly Operation[];
  readonly admissions: Admissions;
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
    const accept = () => requireRoom(this.closing, this.sessions.size, this.options.services.limits.wsClientsMax);
    upgrade<Connection>(res, req, context, { ...this.options, accept }, ({ credential, baseUrl, offered }) => {
      const format = offered.find((p): p is Format => p === "json" || p === "msgpack") ?? "json";
      // Only a protocol that the client offered may be answered; none: JSON.
      return { userData: { credential, format, baseUrl }, protocol: offered.includes(format) ? format : "" };
    });
  }
}
