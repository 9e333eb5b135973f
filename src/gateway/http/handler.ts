/**
 * From a request to an operation and back: routing, credentials, body, errors. One function per
 * gate, in order; knows uWebSockets only through Exchange and readBody.
 */
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { type Admissions, type Admitted, admittedToAll } from "../auth/admission.ts";
import type { Credential } from "../auth/credential.ts";
import { type ClientCertificates, presented } from "../auth/presented.ts";
import { errorShapeOf } from "../error-shape.ts";
import { asTroupeError } from "../errors.ts";
import { checkIdempotencyKey } from "../idempotency.ts";
import { parseJson } from "../json.ts";
import { beginOnce, runOnce, takesKey } from "../once.ts";
import type { Operation, OperationContext, Services, Streamed } from "../operation.ts";
import { requireLoopbackHost, requireSameOrigin } from "../origin.ts";
import type { HttpResponse } from "../uws.ts";
import { readBody } from "./body.ts";
import type { Docs } from "./docs.ts";
import { Exchange, type Headers } from "./exchange.ts";
import { bodyOptional, givenCorrelationId, inputOf, isJsonType, type RequestHead, takesBody } from "./request.ts";
import { allowed, type Match, pathFields, type Router } from "./router.ts";
import { writeStream } from "./stream.ts";

export interface HandlerOptions {
  readonly services: Services;
  readonly router: Router;
  readonly admissions: Admissions;
  readonly certificates: ClientCertificates;
  /** Absent: no documentation is served. */
  readonly docs: Docs | undefined;
  readonly openapi: () => string;
  readonly publicUrl: string | undefined;
}

export class Handler {
  /** Requests not answered yet. */
  readonly active = new Set<Exchange>();
  /** Set when the gateway closes: new requests get 503. */
  closing = false;
  /** Called whenever no request is left. */
  onIdle: (() => void) | undefined;
  private readonly options: HandlerOptions;
  private readonly services: Services;

  constructor(options: HandlerOptions) {
    this.options = options;
    this.services = options.services;
  }

  /** Called inside the route's callback; everything that needs `res` at once happens before it returns. */
  handle(res: HttpResponse, head: RequestHead): void {
    const { clock, logger, runtime, monitor } = this.services;
    const begun = clock.monotonic();
    const correlationId = givenCorrelationId(head) ?? runtime.newId();
    const exchange = new Exchange(res, head, correlationId, (status) => {
      this.active.delete(exchange);
      if (this.active.size === 0) this.onIdle?.();
      const { method, path } = head;
      const took = clock.monotonic() - begun;
      if (!exchange.counted) monitor.traffic.answered(method, exchange.route, status, took);
      const ms = Math.round(took * 10) / 10;
      logger.debug({ correlation_id: correlationId, method, path, status, ms }, "request");
    });
    exchange.begunAt = begun;
    this.active.add(exchange);
    try {
      this.route(res, exchange);
    } catch (error) {
      this.fail(exchange, error);
    }
  }

  fail(exchange: Exchange, thrown: unknown, headers: Headers = []): void {
    const error = asTroupeError(thrown, exchange.correlationId, this.services.logger);
    const { status, retryable } = error.kind;
    const more: [string, string][] = [];
    if (status === 401) more.push(["www-authenticate", 'Bearer realm="troupe"']);
    if (status === 429) more.push(["retry-after", String(error.details?.retry_after ?? 1)]);
    if (retryable && (status === 503 || status === 409)) more.push(["retry-after", "1"]);
    const place = { correlationId: exchange.correlationId, now: this.services.clock.now() };
    exchange.json(status, errorShapeOf(exchange.head.path).body(error, place), [...headers, ...more]);
  }

  private route(res: HttpResponse, exchange: Exchange): void {
    const { head } = exchange;
    if (this.closing) {
      exchange.closing = true;
      throw new TroupeError("unavailable", "This node is stopping");
    }
    if (!this.options.admissions.closed && this.options.docs !== undefined) {
      requireLoopbackHost(head.host);
      if (!["GET", "HEAD", "OPTIONS"].includes(head.method)) requireSameOrigin(head.origin, head.host);
    }
    const { docs } = this.options;
    const documented = head.path === "/openapi.json" || head.path === "/docs" || head.path.startsWith("/docs/");
    if (docs !== undefined && documented) this.static(exchange, docs);
    else this.operate(res, exchange);
  }

  private operate(res: HttpResponse, exchange: Exchange): void {
    const { head } = exchange;
    const match = this.options.router.match(head.path);
    const operation = match.operations.get(head.method === "HEAD" ? "GET" : head.method);
    if (match.operations.size === 0) {
      throw new TroupeError("not_found", `There is nothing at ${head.path.slice(0, 200)}`);
    }
    exchange.route = match.operations.values().next().value?.path;
    const allow = allowed(match.operations);
    if (head.method === "OPTIONS") exchange.send(204, [["allow", allow]], "");
    else if (operation === undefined) this.wrongMethod(exchange, allow);
    else this.serve(res, exchange, operation, match);
  }

  private wrongMethod(exchange: Exchange, allow: string): void {
    const { method, path } = exchange.head;
    const error = new TroupeError(
      "method_not_allowed",
      `${method.slice(0, 40)} is not served at ${path.slice(0, 200)}`,
    );
    this.fail(exchange, error, [["allow", allow]]);
  }

  private static(exchange: Exchange, docs: Docs): void {
    const { method, path } = exchange.head;
    const allow = "GET, HEAD, OPTIONS";
    exchange.route = path.startsWith("/docs") ? "/docs" : path;
    if (method === "OPTIONS") exchange.send(204, [["allow", allow]], "");
    else if (method !== "GET" && method !== "HEAD") this.wrongMethod(exchange, allow);
    else if (path === "/openapi.json") {
      exchange.send(200, [["content-type", "application/json; charset=utf-8"]], this.options.openapi());
    } else {
      docs.find(path).then(
        (file) => {
          if (file === null) this.fail(exchange, new TroupeError("not_found", `There is nothing at ${path}`));
          else exchange.send(200, file.headers, file.body);
        },
        (error) => this.fail(exchange, error),
      );
    }
  }

  private serve(res: HttpResponse, exchange: Exchange, operation: Operation, match: Match): void {
    const { head } = exchange;
    const admitted = this.admit(res, operation, head);
    const path = pathFields(operation, match.values);
    const run = ({ credential, headers, refused }: Admitted, body: Json | undefined): void => {
      exchange.extra.push(...headers);
      if (refused !== undefined) this.fail(exchange, refused);
      else this.perform(exchange, operation, credential, path, body).catch((error) => this.fail(exchange, error));
    };
    const failed = ({ headers, refused }: Admitted, error: unknown): void => {
      exchange.extra.push(...headers);
      this.fail(exchange, refused ?? error);
    };
    if (!(admitted instanceof Promise)) {
      const done = (body: Json | undefined): void => run(admitted, body);
      if (admitted.refused !== undefined || !takesBody(operation)) done(undefined);
      else this.withBody(res, exchange, operation, done, (error) => failed(admitted, error));
      return;
    }
    // The body comes meanwhile; who is not admitted is told at once.
    admitted.catch((error) => this.fail(exchange, error));
    const then = (next: (one: Admitted) => void): void => void admitted.then(next).catch(() => undefined);
    const done = (body: Json | undefined): void => then((one) => run(one, body));
    // What is wrong with a body is said to those who may send one.
    const fail = (error: unknown): void => then((one) => failed(one, error));
    if (takesBody(operation)) this.withBody(res, exchange, operation, done, fail);
    else done(undefined);
  }

  /** Must be called before the route's callback returns. */
  private withBody(
    res: HttpResponse,
    exchange: Exchange,
    operation: Operation,
    done: (body: Json | undefined) => void,
    fail: (error: unknown) => void,
  ): void {
    const { head } = exchange;
    const { bodyBytesMax, jsonDepthMax } = this.services.limits;
    readBody(res, { bytesMax: bodyBytesMax, declared: head.contentLength }, (outcome) => {
      try {
        if ("error" in outcome) {
          exchange.closing ||= outcome.close;
          throw outcome.error;
        }
        done(parsedBody(operation, head, outcome.bytes, jsonDepthMax));
      } catch (error) {
        fail(error);
      }
    });
  }

  private admit(res: HttpResponse, operation: Operation, head: RequestHead): Admitted | Promise<Admitted> {
    if (operation.scope === null) return admittedToAll;
    const { admissions, certificates } = this.options;
    const { apiKey, authorization, certificate } = head;
    const remote = (): string => Buffer.from(res.getRemoteAddressAsText()).toString();
    return admissions.admit(presented({ apiKey, authorization, certificate, remote }, certificates));
  }

  private async perform(
    exchange: Exchange,
    operation: Operation,
    credential: Credential,
    path: Readonly<Record<string, string>>,
    body: Json | undefined,
  ): Promise<void> {
    const { head } = exchange;
    if (head.idempotencyKey !== "" && takesKey(operation)) checkIdempotencyKey(head.idempotencyKey);
    let status = operation.status ?? 200;
    const ctx: OperationContext = {
      ...this.services,
      credential,
      correlationId: exchange.correlationId,
      idempotencyKey: head.idempotencyKey === "" ? undefined : head.idempotencyKey,
      baseUrl: this.options.publicUrl ?? `http://${head.host}`,
      signal: exchange.abort.signal,
      setStatus: (other) => {
        status = other;
      },
      note: (name, value) => exchange.extra.push([name.toLowerCase(), value]),
    };
    const input = inputOf(operation, path, head.query, body);
    if (operation.stream !== undefined) {
      await beginOnce(operation, ctx, input);
      const target = head.query === "" ? head.path : `${head.path}?${head.query}`;
      const request = { accept: head.accept, lastEventId: head.lastEventId, target, signal: exchange.abort.signal };
      const streamed = await operation.stream(ctx, input, request);
      if (streamed !== null) return this.stream(exchange, streamed);
    }
    const result = await runOnce(operation, ctx, input);
    exchange.json(status, result);
  }

  private async stream(exchange: Exchange, streamed: Streamed): Promise<void> {
    if (exchange.head.method === "HEAD") {
      await streamed.chunks[Symbol.asyncIterator]().return?.();
      return exchange.headOnly(200, streamed.headers, streamed.size);
    }
    const { clock, limits, logger, monitor } = this.services;
    let ended: (() => void) | undefined;
    if (isEventStream(streamed)) {
      // Counted as it begins: it may stay open for days.
      ended = monitor.traffic.streamOpened();
      monitor.traffic.answered(exchange.head.method, exchange.route, 200, clock.monotonic() - exchange.begunAt);
      exchange.counted = true;
    }
    await writeStream(exchange, streamed, clock, limits.stallMs)
      .catch((error: unknown) => {
        if (exchange.began) logger.error({ correlation_id: exchange.correlationId, err: error }, "a stream broke off");
        else throw error;
      })
      .finally(ended);
  }
}

function isEventStream(streamed: Streamed): boolean {
  return streamed.headers.some(([name, value]) => name === "content-type" && value.startsWith("text/event-stream"));
}

/** Throws `unsupported_type` and `invalid_input`; undefined where the body may be left out and is. */
function parsedBody(operation: Operation, head: RequestHead, bytes: Uint8Array, depthMax: number): Json | undefined {
  if (bytes.byteLength === 0) {
    if (bodyOptional(operation)) return undefined;
    throw new TroupeError("invalid_input", "The body is empty; this operation needs a JSON body");
  }
  if (!isJsonType(head.contentType)) {
    const given = head.contentType === "" ? "no content type" : `'${head.contentType.slice(0, 100)}'`;
    throw new TroupeError("unsupported_type", `The body has ${given}`);
  }
  return parseJson(bytes, depthMax);
}
