/**
 * Writes a streamed answer at the pace of its reader: the source is pulled only while the socket
 * takes bytes, and a reader that takes nothing for too long is closed.
 */
import type { GatewayClock } from "../config.ts";
import type { Streamed } from "../operation.ts";
import type { HttpResponse } from "../uws.ts";
import type { Exchange } from "./exchange.ts";

/** Resolves when all is written or the client has gone. Throws what the source throws, after closing the socket. */
export async function writeStream(
  exchange: Exchange,
  streamed: Streamed,
  clock: GatewayClock,
  stallMs: number,
): Promise<void> {
  const writer = new Writer(exchange, streamed, clock, stallMs);
  try {
    for await (const chunk of streamed.chunks) {
      if (!(await writer.write(typeof chunk === "string" ? Buffer.from(chunk) : chunk))) return;
    }
    writer.end();
  } catch (error) {
    writer.fail();
    throw error;
  }
}

class Writer {
  private begun = false;
  private sent = 0;
  private writable: (() => void) | undefined;
  private pending: Uint8Array | undefined;
  private pendingFrom = 0;
  private readonly exchange: Exchange;
  private readonly streamed: Streamed;
  private readonly clock: GatewayClock;
  private readonly stallMs: number;

  constructor(exchange: Exchange, streamed: Streamed, clock: GatewayClock, stallMs: number) {
    this.exchange = exchange;
    this.streamed = streamed;
    this.clock = clock;
    this.stallMs = stallMs;
  }

  /** False when the client has gone. */
  async write(chunk: Uint8Array): Promise<boolean> {
    const res = this.exchange.response;
    if (res === undefined) return false;
    if (chunk.byteLength === 0) return true;
    let flowing = true;
    res.cork(() => {
      this.begin(res);
      flowing = this.streamed.size === undefined ? res.write(chunk) : this.writeSized(res, chunk);
    });
    this.sent += chunk.byteLength;
    return flowing ? true : this.drained();
  }

  private begin(res: HttpResponse): void {
    if (this.begun) return;
    this.begun = true;
    this.exchange.begin(200, this.streamed.headers);
    res.onWritable((offset) => this.onWritable(res, offset));
    this.exchange.abort.signal.addEventListener("abort", () => this.writable?.(), { once: true });
  }

  /** With a known size the length is announced, and uWebSockets takes a part of a chunk. */
  private writeSized(res: HttpResponse, chunk: Uint8Array): boolean {
    const from = res.getWriteOffset();
    const [ok, done] = res.tryEnd(chunk, this.streamed.size as number);
    if (done) this.exchange.ended(200);
    if (ok || done) return true;
    this.pending = chunk;
    this.pendingFrom = from;
    return false;
  }

  private onWritable(res: HttpResponse, offset: number): boolean {
    if (this.pending !== undefined) {
      const rest = this.pending.subarray(offset - this.pendingFrom);
      const [ok, done] = res.tryEnd(rest, this.streamed.size as number);
      if (done) this.exchange.ended(200);
      if (!ok && !done) return false;
      this.pending = undefined;
    }
    this.writable?.();
    return true;
  }

  private drained(): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.clock.after(this.stallMs, () => this.fail());
      this.writable = () => {
        timer.cancel();
        this.writable = undefined;
        resolve(!this.exchange.abort.signal.aborted);
      };
    });
  }

  end(): void {
    const res = this.exchange.response;
    if (res === undefined) return;
    if (this.streamed.size !== undefined && this.sent !== this.streamed.size) {
      // Fewer bytes than announced: only a broken connection tells the client.
      res.close();
      return;
    }
    res.cork(() => {
      this.begin(res);
      res.end();
    });
    this.exchange.ended(200);
  }

  /** Breaks the connection, so that nobody takes what came for the whole. */
  fail(): void {
    if (this.begun) this.exchange.response?.close();
  }
}
