/**
 * What a handler may know of a request, copied before uWebSockets takes it back, and how
 * path, query and body become an operation's input.
 */
import { z } from "zod";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { invalid } from "../errors.ts";
import { type Operation, pathParameters } from "../operation.ts";
import type { HttpRequest } from "../uws.ts";

export interface RequestHead {
  /** Upper case. */
  readonly method: string;
  readonly path: string;
  /** Raw, without `?`. */
  readonly query: string;
  readonly host: string;
  readonly origin: string;
  readonly accept: string;
  readonly contentType: string;
  readonly contentLength: string;
  readonly transferEncoding: string;
  readonly authorization: string;
  readonly apiKey: string;
  readonly idempotencyKey: string;
  readonly correlationId: string;
  readonly lastEventId: string;
  /** What a proxy says of the client's certificate; empty when certificates are not configured. */
  readonly certificate: string;
}

/** `certificateHeader`: its name in lower case, or empty. */
export function copyHead(req: HttpRequest, certificateHeader = ""): RequestHead {
  return {
    method: req.getCaseSensitiveMethod(),
    path: req.getUrl(),
    query: (req.getQuery() as string | undefined) ?? "",
    host: req.getHeader("host"),
    origin: req.getHeader("origin"),
    accept: req.getHeader("accept"),
    contentType: req.getHeader("content-type"),
    contentLength: req.getHeader("content-length"),
    transferEncoding: req.getHeader("transfer-encoding"),
    authorization: req.getHeader("authorization"),
    apiKey: req.getHeader("x-api-key"),
    idempotencyKey: req.getHeader("idempotency-key"),
    correlationId: req.getHeader("x-correlation-id"),
    lastEventId: req.getHeader("last-event-id"),
    certificate: certificateHeader === "" ? "" : req.getHeader(certificateHeader),
  };
}

/** A client's correlation id when it is short visible ASCII; undefined: make one. */
export function givenCorrelationId(head: RequestHead): string | undefined {
  return /^[\x21-\x7e]{1,128}$/.test(head.correlationId) ? head.correlationId : undefined;
}

/** True when the operation reads a body. */
export function takesBody(operation: Operation): boolean {
  return operation.method === "POST" || operation.method === "PUT" || operation.method === "PATCH";
}

/** `application/json` with whatever parameters; a charset may only be UTF-8. */
export function isJsonType(contentType: string): boolean {
  const [type = "", ...params] = contentType
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  if (type !== "application/json" && !/^application\/[\w.-]+\+json$/.test(type)) return false;
  const charset = params.find((p) => p.startsWith("charset="));
  return charset === undefined || /^charset="?utf-?8"?$/.test(charset);
}

/** Query parameters by name, decoded; of a lenient operation only the known ones. Throws `invalid_input` for one given twice. */
function queryFields(operation: Operation, query: string): Record<string, string> {
  const fields: Record<string, string> = Object.create(null) as Record<string, string>;
  if (query === "") return fields;
  for (const [name, value] of new URLSearchParams(query)) {
    if (operation.lenient === true && !fromQuery(operation, name)) continue;
    if (name in fields) throw invalid("The query is not valid", [{ path: name, message: "is given more than once" }]);
    fields[name] = value;
  }
  return fields;
}

/** Texts of a query become numbers and booleans where the schema wants them; others stay and are refused there. */
function coerce(schema: unknown, text: string): unknown {
  let inner: unknown = schema;
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault || inner instanceof z.ZodNullable) {
    inner = inner.unwrap();
  }
  if (inner instanceof z.ZodNumber && /^-?\d{1,15}(\.\d+)?$/.test(text)) return Number(text);
  if (inner instanceof z.ZodBoolean && (text === "true" || text === "false")) return text === "true";
  return text;
}

/** True for a field that the query may hold. */
export function fromQuery(operation: Operation, name: string): boolean {
  if (operation.query?.includes(name) === true) return true;
  return !takesBody(operation) && Object.hasOwn(operation.input.shape, name) && !inPath(operation, name);
}

function inPath(operation: Operation, name: string): boolean {
  return pathParameters(operation.path).includes(name);
}

/** Path, query and body as one input. Throws `invalid_input` for a field in two places. */
export function inputOf(
  operation: Operation,
  path: Readonly<Record<string, string>>,
  query: string,
  body: Json | undefined,
): Record<string, unknown> {
  const problems: { path: string; message: string }[] = [];
  const input: Record<string, unknown> = { ...path };
  for (const [name, text] of Object.entries(queryFields(operation, query))) {
    // Browsers cannot set headers on a WebSocket or an EventSource; elsewhere a key in a URL is refused.
    const bodyField = takesBody(operation) && operation.query?.includes(name) !== true;
    if (bodyField || name in path) problems.push({ path: name, message: "is not a query parameter here" });
    else Object.defineProperty(input, name, { value: coerce(operation.input.shape[name], text), enumerable: true });
  }
  if (body !== undefined && operation.body !== undefined) input[operation.body] = body;
  else if (body !== undefined) {
    if (typeof body !== "object" || body === null || Array.isArray(body)) {
      throw new TroupeError("invalid_input", "The body must be a JSON object");
    }
    for (const [name, value] of Object.entries(body)) {
      if (!(name in path) && operation.query?.includes(name) !== true) input[name] = value;
      else if (operation.lenient !== true) problems.push({ path: name, message: "unknown field" });
    }
  }
  if (problems.length > 0) throw invalid("The request is not valid", problems);
  return input;
}

/** True when the body may be left out: no field of it is required. */
export function bodyOptional(operation: Operation): boolean {
  if (operation.bodyRequired !== undefined) return !operation.bodyRequired;
  const elsewhere = new Set([...pathParameters(operation.path), ...(operation.query ?? [])]);
  return Object.entries(operation.input.shape).every(([name, schema]) => elsewhere.has(name) || isOptional(schema));
}

function isOptional(schema: unknown): boolean {
  return schema instanceof z.ZodOptional || schema instanceof z.ZodDefault;
}
