/**
 * An answer of node:http written through uWebSockets' HttpResponse: status and headers in any
 * order before the first byte, backpressure by return values, one `aborted` when the client goes.
 * Knows no routes; how a request becomes a WebSocket is handed in.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { exactBuffer } from "./request.ts";

type Chunk = string | Uint8Array;
/** Makes a WebSocket of the connection; only for requests that ask for one. `headers`: name, value, name, value… */
export type Upgrade = (userData: unknown, protocol: string, headers: readonly string[]) => void;

const sizeOf = (chunk: Chunk): number => (typeof chunk === "string" ? Buffer.byteLength(chunk) : chunk.byteLength);

export class FallbackResponse {
  private readonly request: IncomingMessage;
  private readonly response: ServerResponse;
  private readonly upgradeTo: Upgrade | undefined;
  private status = 200;
  private reason = "OK";
  private readonly headers: string[] = [];
  private bodyBytes = 0;
  private begun = false;
  /** Answered, upgraded or gone: nothing is told any more. */
  private over = false;
  private readonly aborted: (() => void)[] = [];

  constructor(request: IncomingMessage, response: ServerResponse, upgradeTo?: Upgrade) {
    this.request = request;
    this.response = response;
    this.upgradeTo = upgradeTo;
    // A write that meets a closed socket; its closing is told by `close`.
    response.on("error", () => undefined);
    request.on("error", () => undefined);
    response.on("close", this.gone);
    // A client that ends its half has gone, as uWebSockets sees it.
    request.socket.on("end", this.gone);
  }

  private readonly gone = (): void => {
    this.request.socket.off("end", this.gone);
    if (this.over) return;
    this.over = true;
    for (const tell of this.aborted) tell();
  };

  private finish(): void {
    this.over = true;
    this.request.socket.off("end", this.gone);
  }

  getRemoteAddressAsText(): ArrayBuffer {
    return exactBuffer(Buffer.from(this.request.socket.remoteAddress ?? ""));
  }

  onAborted(handler: () => void): this {
    this.aborted.push(handler);
    return this;
  }

  onData(handler: (chunk: ArrayBuffer, isLast: boolean) => void): this {
    this.request.on("data", (chunk: Buffer) => handler(exactBuffer(chunk), false));
    this.request.on("end", () => handler(new ArrayBuffer(0), true));
    // A bound on the declared length is applied before anything comes.
    queueMicrotask(() => this.over || handler(new ArrayBuffer(0), false));
    return this;
  }

  /** Called with the body's bytes taken so far, each time when the socket has taken what waited. */
  onWritable(handler: (offset: number) => boolean): this {
    this.response.on("drain", () => {
      if (!this.over) handler(this.bodyBytes);
    });
    return this;
  }

  getWriteOffset(): number {
    return this.bodyBytes;
  }

  /** node:http corks by itself within a turn. */
  cork(write: () => void): this {
    write();
    return this;
  }

  writeStatus(status: string): this {
    const space = status.indexOf(" ");
    this.status = Number(space < 0 ? status : status.slice(0, space));
    this.reason = space < 0 ? "" : status.slice(space + 1);
    return this;
  }

  /** UTF-8 on the wire, as uWebSockets writes it. */
  writeHeader(name: string, value: string): this {
    this.headers.push(name, Buffer.from(value, "utf8").toString("latin1"));
    return this;
  }

  private begin(contentLength: number | undefined, close = false): void {
    if (this.begun) return;
    this.begun = true;
    if (contentLength !== undefined) this.headers.push("content-length", String(contentLength));
    if (close) this.headers.push("connection", "close");
    this.response.writeHead(this.status, this.reason, this.headers);
  }

  /** Takes all; false when it waits. */
  write(chunk: Chunk): boolean {
    if (this.over) return false;
    this.begin(undefined);
    this.bodyBytes += sizeOf(chunk);
    return this.response.write(chunk);
  }

  /** Takes all of the chunk, unlike the original, which may take a part: [nothing waits, all is written]. */
  tryEnd(chunk: Chunk, totalSize: number): [boolean, boolean] {
    if (this.over) return [false, true];
    this.begin(totalSize);
    const size = sizeOf(chunk);
    this.bodyBytes += size;
    if (this.bodyBytes >= totalSize) {
      this.finish();
      this.response.end(chunk);
      return [true, true];
    }
    return [size === 0 ? !this.response.writableNeedDrain : this.response.write(chunk), false];
  }

  end(body: Chunk = "", close = false): this {
    if (this.over) return this;
    this.begin(sizeOf(body), close);
    this.finish();
    this.response.end(body);
    return this;
  }

  endWithoutBody(reportedContentLength?: number, close = false): this {
    if (this.over) return this;
    this.begin(reportedContentLength, close);
    this.finish();
    this.response.end();
    return this;
  }

  /** Breaks the connection; told as an abort, at once. */
  close(): this {
    this.request.socket.destroy();
    this.gone();
    return this;
  }

  upgrade(userData: unknown, _key: string, protocol: string): void {
    if (this.over) return;
    if (this.upgradeTo === undefined) throw new Error("this request cannot become a WebSocket");
    this.finish();
    this.upgradeTo(userData, protocol, this.headers);
  }
}
