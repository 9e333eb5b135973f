/**
 * The WebSocket endpoints on uWebSockets: who may connect, in which format, how many. What a
 * connected client does is its session's; which paths there are, the table's (protocols.ts).
 */
import { TroupeError } from "../../machines/errors.ts";
import type { Admissions } from "../auth/admission.ts";
import type { Credential } from "../auth/credential.ts";
import type { ClientCertificates } from "../auth/presented.ts";
import type { Operation, Services } from "../operation.ts";
import type { HttpRequest, HttpResponse, TemplatedApp } from "../uws.ts";
import { Pace } from "./pace.ts";
import { closeCodes } from "./protocol.ts";
import { type Connection, pathParameters, routePatterns, type SocketProtocol, type SocketSession } from "./route.ts";
import { requireRoom, upgrade } from "./upgrade.ts";

export interface SocketServerOptions {
  readonly services: Services;
  readonly operations: readonly Operation[];
  readonly admissions: Admissions;
  readonly certificates: ClientCertificates;
  readonly publicUrl: string | undefined;
}

interface UserData {
  readonly connection: Connection;
  readonly pace: Pace | undefined;
  session?: SocketSession;
}

type UpgradeContext = Parameters<HttpResponse["upgrade"]>[4];

/** Above the gateway's own bound: uWebSockets would drop messages silently. */
const backpressureMax = 1024 * 1024 * 1024;
/** uWebSockets pings 16 s before the end of the silence: every 30 s. */
const idleTimeoutS = 46;

export class SocketServer {
  closing = false;
  private readonly options: SocketServerOptions;
  private readonly operations: ReadonlyMap<string, Operation>;
  private readonly sessions = new Set<SocketSession>();
  /** Connections by credential. */
  private readonly counts = new Map<string, number>();

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
          this.count(data.connection.credential, 1);
          if (this.closing) session.close(closeCodes.goingAway, "stopping");
        },
        message: (ws, message) => this.receive(ws.getUserData(), new Uint8Array(message)),
        drain: (ws) => ws.getUserData().session?.drained(),
        close: (ws) => {
          const { session, connection } = ws.getUserData();
          if (session === undefined) return;
          this.sessions.delete(session);
          this.options.services.monitor.traffic.socketClosed(protocol.path);
          this.count(connection.credential, -1);
          session.closed();
        },
      });
    }
  }

  closeAll(): void {
    this.closing = true;
    for (const session of this.sessions) session.close(closeCodes.goingAway, "stopping");
  }

  private count({ id }: Credential, change: 1 | -1): void {
    const count = (this.counts.get(id) ?? 0) + change;
    if (count === 0) this.counts.delete(id);
    else this.counts.set(id, count);
  }

  private requireShare({ id, kind }: Credential): void {
    const { wsClientsPerCredentialMax: max } = this.options.services.limits;
    if (kind === "local" || (this.counts.get(id) ?? 0) < max) return;
    throw new TroupeError("rate_limited", `This credential has ${max} WebSocket connections already`);
  }

  private paceOf({ kind }: Credential): Pace | undefined {
    const { clock, limits } = this.options.services;
    return kind === "local" ? undefined : new Pace(clock, limits.wsMessagesPerSecondMax);
  }

  private receive({ session, pace }: UserData, bytes: Uint8Array): void {
    const verdict = pace?.next() ?? "take";
    if (verdict === "take") session?.receive(bytes);
    else if (verdict === "close") session?.close(closeCodes.policyViolation, "too many messages");
    else session?.refuse(new TroupeError("rate_limited", "This connection sends too many messages a second"), bytes);
  }

  private upgrade(protocol: SocketProtocol, res: HttpResponse, req: HttpRequest, context: UpgradeContext): void {
    const { services, admissions } = this.options;
    const options = {
      ...this.options,
      accept: (credential: Credential) => {
        requireRoom(this.closing, this.sessions.size, services.limits.wsClientsMax);
        this.requireShare(credential);
      },
    };
    upgrade<UserData>(res, req, context, options, ({ credential, baseUrl, path, query, offered }) => {
      const format = offered.map((name) => protocol.formats.find((f) => f === name)).find((f) => f !== undefined);
      const connection: Connection = {
        services,
        operations: this.operations,
        credential,
        request: () => requestAgain(admissions, credential),
        format: format ?? "json",
        baseUrl,
        correlationId: services.runtime.newId(),
        parameters: pathParameters(protocol.path, path),
        query,
      };
      // Only a protocol that the client offered may be answered; none: JSON.
      return { userData: { connection, pace: this.paceOf(credential) }, protocol: format ?? "" };
    });
  }
}

/** One more request of a client that is connected: counted as one over HTTP is. */
async function requestAgain(admissions: Admissions, credential: Credential): Promise<void> {
  const { refused } = await admissions.again(credential);
  if (refused !== undefined) throw refused;
}
