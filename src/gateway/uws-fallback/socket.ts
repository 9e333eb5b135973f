/**
 * A connection of the package `ws` behind uWebSockets' WebSocket: sending with its three answers,
 * draining, and a close that is told once, at once. Idle connections are the app's.
 */
import type { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import { exactBuffer } from "./request.ts";

/** The handlers and bounds of uWebSockets' behavior that this server knows. */
export interface SocketBehavior {
  readonly maxBackpressure?: number;
  readonly open?: (socket: never) => void;
  readonly message?: (socket: never, message: ArrayBuffer, isBinary: boolean) => void;
  readonly drain?: (socket: never) => void;
  readonly dropped?: (socket: never, message: ArrayBuffer, isBinary: boolean) => void;
  readonly close?: (socket: never, code: number, message: ArrayBuffer) => void;
}

const abnormal = 1006;

export class FallbackSocket {
  /** When something last came, in the clock's ms. */
  seenAt = 0;
  private readonly socket: WebSocket;
  private readonly stream: Duplex;
  private readonly behavior: SocketBehavior;
  private readonly userData: unknown;
  private readonly onOver: () => void;
  private blocked = false;
  private over = false;

  constructor(socket: WebSocket, stream: Duplex, behavior: SocketBehavior, userData: unknown, onOver: () => void) {
    this.socket = socket;
    this.stream = stream;
    this.behavior = behavior;
    this.userData = userData;
    this.onOver = onOver;
  }

  /** Tells `open`, then what comes; `alive` is called with every sign of the client. */
  start(alive: () => void): void {
    const { socket, behavior } = this;
    // What went wrong is in the close's code.
    socket.on("error", () => undefined);
    socket.on("close", (code: number, reason: Buffer) => this.closed(code, exactBuffer(reason)));
    socket.on("ping", alive);
    socket.on("pong", alive);
    socket.on("message", (data: RawData, isBinary: boolean) => {
      alive();
      if (!this.over) behavior.message?.(this as never, exactBuffer(data as Buffer), isBinary);
    });
    alive();
    behavior.open?.(this as never);
  }

  getUserData(): unknown {
    return this.userData;
  }

  getBufferedAmount(): number {
    return this.socket.bufferedAmount;
  }

  /** 1: sent; 0: some of it waits; 2: dropped, for more than `maxBackpressure` would wait. */
  send(message: string | Uint8Array, isBinary = false): number {
    const bound = this.behavior.maxBackpressure ?? Number.POSITIVE_INFINITY;
    if (this.over || this.getBufferedAmount() > bound) {
      const bytes = typeof message === "string" ? Buffer.from(message) : Buffer.from(message);
      if (!this.over) this.behavior.dropped?.(this as never, exactBuffer(bytes), isBinary);
      return 2;
    }
    this.socket.send(message, { binary: isBinary, compress: false }, this.flushed);
    this.blocked = this.getBufferedAmount() > 0;
    return this.blocked ? 0 : 1;
  }

  private readonly flushed = (): void => {
    if (!this.blocked || this.over) return;
    this.blocked = this.getBufferedAmount() > 0;
    this.behavior.drain?.(this as never);
  };

  cork(write: () => void): this {
    this.stream.cork();
    try {
      write();
    } finally {
      this.stream.uncork();
    }
    return this;
  }

  ping(): number {
    if (!this.over) this.socket.ping();
    return this.over ? 2 : 1;
  }

  /** What waits is sent, then the code. */
  end(code = 1000, reason = ""): void {
    if (this.over) return;
    this.socket.close(code, reason);
    this.closed(code, exactBuffer(Buffer.from(reason)));
  }

  close(): void {
    if (this.over) return;
    this.socket.terminate();
    this.closed(abnormal, new ArrayBuffer(0));
  }

  private closed(code: number, message: ArrayBuffer): void {
    if (this.over) return;
    this.over = true;
    this.onOver();
    this.behavior.close?.(this as never, code, message);
  }
}
