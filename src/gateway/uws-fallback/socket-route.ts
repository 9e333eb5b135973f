/**
 * The WebSockets of one path: the handshake by the package `ws`, and pings to those that are
 * silent; who stays silent is closed.
 */
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import type { GatewayClock } from "../config.ts";
import { FallbackSocket, type SocketBehavior } from "./socket.ts";

export interface RouteBehavior extends SocketBehavior {
  readonly maxPayloadLength?: number;
  /** Seconds; 0: for ever. */
  readonly idleTimeout?: number;
  readonly sendPingsAutomatically?: boolean;
  readonly upgrade?: (res: never, req: never, context: never) => void;
}

const payloadMax = 16 * 1024;
const idleSeconds = 120;
/** Looks at the silent ones so often in the time they have. */
const looks = 4;

export class SocketRoute {
  readonly behavior: RouteBehavior;
  private readonly clock: GatewayClock;
  private readonly server: WebSocketServer;
  private readonly idleMs: number;
  private readonly sockets = new Set<FallbackSocket>();
  /** What the handshake under way answers. */
  private protocol = "";
  private headers: readonly string[] = [];
  private timer: { cancel(): void } | undefined;

  constructor(behavior: RouteBehavior, clock: GatewayClock) {
    this.behavior = behavior;
    this.clock = clock;
    this.idleMs = (behavior.idleTimeout ?? idleSeconds) * 1000;
    this.server = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      perMessageDeflate: false,
      maxPayload: behavior.maxPayloadLength ?? payloadMax,
      handleProtocols: () => (this.protocol === "" ? false : this.protocol),
    });
    this.server.on("headers", (lines) => {
      for (let i = 0; i + 1 < this.headers.length; i += 2) lines.push(`${this.headers[i]}: ${this.headers[i + 1]}`);
    });
  }

  /** Ends the handshake and opens; a malformed one is refused by `ws`. */
  accept(
    request: IncomingMessage,
    stream: Duplex,
    head: Buffer,
    userData: unknown,
    protocol: string,
    headers: readonly string[],
  ): void {
    this.protocol = protocol;
    this.headers = headers;
    this.server.handleUpgrade(request, stream, head, (socket) => {
      const one = new FallbackSocket(socket, stream, this.behavior, userData, () => this.leave(one));
      this.sockets.add(one);
      if (this.idleMs > 0) this.timer ??= this.clock.after(this.idleMs / looks, this.look);
      one.start(() => {
        one.seenAt = this.clock.monotonic();
      });
    });
  }

  private leave(one: FallbackSocket): void {
    this.sockets.delete(one);
    if (this.sockets.size > 0) return;
    this.timer?.cancel();
    this.timer = undefined;
  }

  private readonly look = (): void => {
    const now = this.clock.monotonic();
    for (const one of this.sockets) {
      const silentMs = now - one.seenAt;
      if (silentMs > this.idleMs) one.close();
      else if (silentMs > this.idleMs / 2 && this.behavior.sendPingsAutomatically !== false) one.ping();
    }
    this.timer = this.sockets.size > 0 ? this.clock.after(this.idleMs / looks, this.look) : undefined;
  };
}
