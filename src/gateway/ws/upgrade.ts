/**
 * From a handshake to a WebSocket: who may connect, refused with an HTTP answer otherwise. Every WebSocket
 * endpoint uses it; what a connected client may say is the endpoint's.
 */
import { STATUS_CODES } from "node:http";
import { TroupeError } from "../../machines/errors.ts";
import type { Admissions, Admitted } from "../auth/admission.ts";
import type { Credential } from "../auth/credential.ts";
import { type ClientCertificates, presented } from "../auth/presented.ts";
import { errorShapeOf } from "../error-shape.ts";
import { asTroupeError } from "../errors.ts";
import type { Services } from "../operation.ts";
import { requireLoopbackHost, requireSameOrigin } from "../origin.ts";
import type { HttpRequest, HttpResponse } from "../uws.ts";

export interface UpgradeOptions {
  readonly services: Services;
  readonly admissions: Admissions;
  readonly certificates: ClientCertificates;
  readonly publicUrl: string | undefined;
  /** Throws when no connection may be added now. */
  accept(credential: Credential): void;
}

/** What an endpoint may know of the handshake. */
export interface Handshake {
  readonly credential: Credential;
  readonly baseUrl: string;
  readonly path: string;
  /** Values of the path's parameters, raw. */
  readonly parameters: readonly string[];
  readonly query: URLSearchParams;
  /** Subprotocols that the client offers. */
  readonly offered: readonly string[];
}

export interface Opening<C> {
  readonly userData: C;
  /** One of those offered, or empty. */
  readonly protocol: string;
}

type Context = Parameters<HttpResponse["upgrade"]>[4];

/** Must be called within the route's `upgrade` callback. `parameters`: how many the path has. */
export function upgrade<C>(
  res: HttpResponse,
  req: HttpRequest,
  context: Context,
  options: UpgradeOptions,
  open: (handshake: Handshake) => Opening<C>,
  parameters = 0,
): void {
  // Everything of `req` is copied: it is gone when this function returns.
  const key = req.getHeader("sec-websocket-key");
  const extensions = req.getHeader("sec-websocket-extensions");
  const offered = protocolsOf(req.getHeader("sec-websocket-protocol"));
  const host = req.getHeader("host");
  const origin = req.getHeader("origin");
  const path = req.getUrl();
  const query = new URLSearchParams((req.getQuery() as string | undefined) ?? "");
  const { admissions, certificates } = options;
  const shown = presented(
    {
      apiKey: req.getHeader("x-api-key"),
      authorization: req.getHeader("authorization"),
      inQuery: query.get("api_key"),
      certificate: certificates.header === "" ? "" : req.getHeader(certificates.header),
      remote: () => Buffer.from(res.getRemoteAddressAsText()).toString(),
    },
    certificates,
  );
  const values = Array.from({ length: parameters }, (_, i) => (req.getParameter(i) as string | undefined) ?? "");
  /** What the answer says of the rate limit. */
  let told: Admitted["headers"] = [];
  const proceed = (admitted: Admitted): void => {
    told = admitted.headers;
    if (admitted.refused !== undefined) throw admitted.refused;
    const { credential } = admitted;
    options.accept(credential);
    const baseUrl = options.publicUrl ?? `http://${host}`;
    const { userData, protocol } = open({ credential, baseUrl, path, parameters: values, query, offered });
    // Headers of ours come behind the status, which uWebSockets would write itself otherwise.
    if (told.length > 0) res.writeStatus("101 Switching Protocols");
    for (const [name, value] of told) res.writeHeader(name, value);
    res.upgrade(userData, key, protocol, extensions, context);
  };
  const fail = (error: unknown): void => refuse(res, options.services, path, error, told);
  try {
    if (!admissions.closed) {
      requireLoopbackHost(host);
      requireSameOrigin(origin, host);
    }
    const admitted = admissions.admit(shown);
    if (admitted instanceof Promise) later(res, admitted, proceed, fail);
    else proceed(admitted);
  } catch (error) {
    fail(error);
  }
}

/** The credential is looked up first; the client may be gone by then. */
function later(
  res: HttpResponse,
  admitted: Promise<Admitted>,
  proceed: (admitted: Admitted) => void,
  fail: (error: unknown) => void,
): void {
  let gone = false;
  res.onAborted(() => {
    gone = true;
  });
  admitted
    .then((one) => {
      if (!gone) res.cork(() => proceed(one));
    })
    .catch((error: unknown) => {
      if (!gone) res.cork(() => fail(error));
    });
}

function refuse(res: HttpResponse, services: Services, path: string, thrown: unknown, told: Admitted["headers"]): void {
  const correlationId = services.runtime.newId();
  const error = asTroupeError(thrown, correlationId, services.logger);
  const { status } = error.kind;
  res.writeStatus(`${status} ${STATUS_CODES[status] ?? ""}`);
  res.writeHeader("content-type", "application/json; charset=utf-8");
  res.writeHeader("x-correlation-id", correlationId);
  for (const [name, value] of told) res.writeHeader(name, value);
  if (status === 401) res.writeHeader("www-authenticate", 'Bearer realm="troupe"');
  if (status === 429) res.writeHeader("retry-after", String(error.details?.retry_after ?? 1));
  res.end(JSON.stringify(errorShapeOf(path).body(error, { correlationId, now: services.clock.now() })));
}

/** Throws what an endpoint that stops, or is full, answers. */
export function requireRoom(closing: boolean, clients: number, clientsMax: number): void {
  if (closing) throw new TroupeError("unavailable", "This node is stopping");
  if (clients >= clientsMax)
    throw new TroupeError("overloaded", `${clientsMax} WebSocket clients are connected already`);
}

function protocolsOf(offered: string): string[] {
  return offered.split(",").map((p) => p.trim());
}
