/**
 * A request of node:http seen through uWebSockets' HttpRequest: the raw target, the headers by
 * lower-case name. Unlike the original it stays readable after the handler returned.
 */
import type { IncomingMessage } from "node:http";

export class FallbackRequest {
  private readonly request: IncomingMessage;
  private readonly path: string;
  private readonly query: string;

  constructor(request: IncomingMessage) {
    this.request = request;
    const target = request.url ?? "/";
    const mark = target.indexOf("?");
    this.path = mark < 0 ? target : target.slice(0, mark);
    this.query = mark < 0 ? "" : target.slice(mark + 1);
  }

  getUrl(): string {
    return this.path;
  }

  /** Raw, without `?`. */
  getQuery(): string {
    return this.query;
  }

  getMethod(): string {
    return this.getCaseSensitiveMethod().toLowerCase();
  }

  getCaseSensitiveMethod(): string {
    return this.request.method ?? "GET";
  }

  /** Empty when absent. */
  getHeader(lowerCaseName: string): string {
    const value = this.request.headers[lowerCaseName];
    return Array.isArray(value) ? value.join(", ") : (value ?? "");
  }

  forEach(each: (name: string, value: string) => void): void {
    const { rawHeaders } = this.request;
    for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
      each((rawHeaders[i] as string).toLowerCase(), rawHeaders[i + 1] as string);
    }
  }
}

/** The bytes as an ArrayBuffer of exactly their length; copies only out of a larger one. */
export function exactBuffer(bytes: Buffer): ArrayBuffer {
  const { buffer, byteOffset, byteLength } = bytes;
  if (byteOffset === 0 && byteLength === buffer.byteLength) return buffer as ArrayBuffer;
  return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
}
