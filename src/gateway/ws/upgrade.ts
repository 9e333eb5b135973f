/**
 * From a handshake to a WebSocket: who may connect, refused with an HTTP answer otherwise. Every WebSocket
 * endpoint uses it; what a connected client may say is the endpoint's.
 */
import { TroupeError } from "../../machines/errors.ts";
import type { Admissions, Admitted } from "../auth/admission.ts";
import { presentedToken } from "../auth/authenticator.ts";
import type { Credential } from "../auth/credential.ts";
import { asTroupeError, errorBody } from "../errors.ts";
import type { Services } from "../operation.ts";
import { requireLoopbackHost, requireSameOrigin } from "../origin.ts";
import type { HttpRequest, HttpResponse } from "../uws.ts";

export interface UpgradeOptions {
  readonly services: Services;
  readonly admissions: Admissions;
  readonly publicUrl: string | undefined;
  /** Throws when no connection may be added now. */
  accept(credential: Credential): void;
  /** The refusal's body. Default: Troupe's own shape. */
  readonly errorBody?: (error: TroupeError, correlationId: string) => unknown;
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
  const shown = presentedToken(req.getHeader("x-api-key"), req.getHeader("authorization"));
  const token = shown ?? query.get("api_key") ?? undefined;
  const values = Array.from({ length: parameters }, (_, i) => (req.getParameter(i) as string | undefined) ?? "");
  const proceed = (admitted: Admitted): void => {
    if (admitted.refused !== undefined) throw admitted.refused;
    const { credential } = admitted;
    options.accept(credential);
    const baseUrl = options.publicUrl ?? `http://${host}`;
    const { userData, protocol } = open({ credential, baseUrl, path, parameters: values, query, offered });
    res.upgrade(userData, key, protocol, extensions, context);
  };
  try {
    if (!options.admissions.closed) {
      requireLoopbackHost(host);
      requireSameOrigin(origin, host);
    }
    const admitted = options.admissions.admit({ token });
    if (admitted instanceof Promise) later(res, options, admitted, proceed);
    else proceed(admitted);
  } catch (error) {
    refuse(res, options, error);
  }
}

/** The credential is looked up first; the client may be gone by then. */
function later(
  res: HttpResponse,
  options: UpgradeOptions,
  admitted: Promise<Admitted>,
  proceed: (admitted: Admitted) => void,
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
      if (!gone) res.cork(() => refuse(res, options, error));
    });
}

function refuse(res: HttpResponse, options: UpgradeOptions, thrown: unknown): void {
  const { services } = options;
  const correlationId = services.runtime.newId();
  const error = asTroupeError(thrown, correlationId, services.logger);
  const body = options.errorBody?.(error, correlationId) ?? errorBody(error, correlationId);
  res.writeStatus(`${error.kind.status} Refused`);
  res.writeHeader("content-type", "application/json; charset=utf-8");
  res.writeHeader("x-correlation-id", correlationId);
  res.end(JSON.stringify(body));
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
