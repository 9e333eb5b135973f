/**
 * What one WebSocket client is sent: messages of one turn leave in one cork, and the bytes that
 * wait are bounded. Owns the bound; who is told what is the session's.
 */
export interface Socket {
  send(message: Uint8Array, isBinary: boolean): number;
  getBufferedAmount(): number;
  end(code: number, reason: string): void;
  cork(cb: () => void): unknown;
}

export class Outbox {
  private readonly socket: Socket;
  private readonly binary: boolean;
  private readonly bytesMax: number;
  private readonly onFull: () => void;
  private waiting: Uint8Array[] = [];
  private waitingBytes = 0;
  private open = true;

  constructor(socket: Socket, binary: boolean, bytesMax: number, onFull: () => void) {
    this.socket = socket;
    this.binary = binary;
    this.bytesMax = bytesMax;
    this.onFull = onFull;
  }

  private get buffered(): number {
    return this.open ? this.waitingBytes + this.socket.getBufferedAmount() : 0;
  }

  /**
   * True when a source that can wait should: a quarter of the bound waits in the socket itself,
   * so that its draining is sure to be told.
   */
  congested(): boolean {
    if (this.waitingBytes > this.bytesMax / 4) this.flush();
    return this.open && this.socket.getBufferedAmount() > this.bytesMax / 4;
  }

  /** Queues a message; over the bound `onFull` is called instead. One message may be larger than the bound. */
  push(message: Uint8Array): void {
    if (!this.open) return;
    if (this.buffered > this.bytesMax) {
      this.onFull();
      return;
    }
    this.waiting.push(message);
    this.waitingBytes += message.byteLength;
    if (this.waiting.length === 1) queueMicrotask(() => this.flush());
  }

  private flush(): void {
    if (!this.open || this.waiting.length === 0) return;
    const messages = this.waiting;
    this.waiting = [];
    this.waitingBytes = 0;
    this.socket.cork(() => {
      for (const message of messages) this.socket.send(message, this.binary);
    });
  }

  /** Sends a last message whatever the bound, and closes with the code. */
  close(code: number, reason: string, last?: Uint8Array): void {
    if (!this.open) return;
    if (last !== undefined) this.waiting.push(last);
    this.flush();
    this.open = false;
    this.socket.end(code, reason);
  }

  /** The socket is gone: nothing touches it any more. */
  closed(): void {
    this.open = false;
    this.waiting = [];
  }
}
