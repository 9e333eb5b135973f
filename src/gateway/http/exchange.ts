/**
 * One request and its answer: whether the client is still there, and the only ways to write.
 * Every write is corked and happens at most once; after an abort nothing is written.
 */
import { STATUS_CODES } from "node:http";
import type { HttpResponse } from "../uws.ts";
import type { RequestHead } from "./request.ts";

export type Headers = readonly (readonly [string, string])[];

export class Exchange {
  readonly head: RequestHead;
  readonly correlationId: string;
  /** Aborted when the client has gone, or (with the reason `closing`) the gateway closes. */
  readonly abort = new AbortController();
  readonly extra: (readonly [string, string])[] = [];
  /** Answers end the connection (the gateway closes, or the request was not read to its end). */
  closing = false;
  /** A streamed answer's headers are out. */
  began = false;
  /** The path template that it is counted under; undefined: nothing is there. */
  route: string | undefined;
  /** Counted already, before its end. */
  counted = false;
  /** Monotonic ms. */
  begunAt = 0;
  private gone = false;
  private answered = false;
  private readonly res: HttpResponse;
  private readonly onDone: (status: number) => void;

  constructor(res: HttpResponse, head: RequestHead, correlationId: string, onDone: (status: number) => void) {
    this.res = res;
    this.head = head;
    this.correlationId = correlationId;
    this.onDone = onDone;
    res.onAborted(() => {
      this.gone = true;
      this.abort.abort();
      this.finish(499);
    });
  }

  /** False once answered or gone. */
  get open(): boolean {
    return !this.gone && !this.answered;
  }

  private finish(status: number): void {
    if (this.answered) return;
    this.answered = true;
    this.onDone(status);
  }

  private writeHead(status: number, headers: Headers): void {
    this.res.writeStatus(`${status} ${STATUS_CODES[status] ?? ""}`);
    this.res.writeHeader("x-correlation-id", this.correlationId);
    for (const [name, value] of this.extra) this.res.writeHeader(name, value);
    for (const [name, value] of headers) this.res.writeHeader(name, value);
  }

  /** Answers with a whole body (HEAD: with its length only). */
  send(status: number, headers: Headers, body: string | Uint8Array): void {
    if (!this.open) return;
    this.res.cork(() => {
      this.writeHead(status, headers);
      if (status === 204) this.res.endWithoutBody(undefined, this.closing);
      else if (this.head.method === "HEAD") {
        this.res.endWithoutBody(typeof body === "string" ? Buffer.byteLength(body) : body.byteLength, this.closing);
      } else this.res.end(body, this.closing);
    });
    this.finish(status);
  }

  json(status: number, value: unknown, headers: Headers = []): void {
    this.send(status, [["content-type", "application/json; charset=utf-8"], ...headers], JSON.stringify(value));
  }

  /** An answer to HEAD: the headers, and the length when it is known. */
  headOnly(status: number, headers: Headers, size: number | undefined): void {
    if (!this.open) return;
    this.res.cork(() => {
      this.writeHead(status, headers);
      this.res.endWithoutBody(size, this.closing);
    });
    this.finish(status);
  }

  /** Begins a streamed answer (inside a cork); the stream's writer goes on with it. */
  begin(status: number, headers: Headers): void {
    this.began = true;
    this.writeHead(status, headers);
  }

  /** The raw response, for the streaming writer; undefined once it must not be touched. */
  get response(): HttpResponse | undefined {
    return this.open ? this.res : undefined;
  }

  /** A streamed answer has ended. */
  ended(status: number): void {
    this.finish(status);
  }
}
