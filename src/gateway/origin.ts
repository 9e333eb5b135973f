/**
 * Protection of a gateway that asks for no key: which Host and Origin it serves. A web page in
 * the user's browser can reach loopback (DNS rebinding, plain form posts); these rules refuse it.
 */
import { TroupeError } from "../machines/errors.ts";

/** `localhost`, a name under it, 127.0.0.0/8 or ::1. */
export function isLoopbackName(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, "");
  return name === "localhost" || name.endsWith(".localhost") || name === "::1" || /^127(\.\d{1,3}){3}$/.test(name);
}

/** The name in a Host header, without its port. */
export function hostName(header: string): string {
  if (header.startsWith("[")) return header.slice(0, header.indexOf("]") + 1);
  const colon = header.lastIndexOf(":");
  return colon < 0 ? header : header.slice(0, colon);
}

/** Throws `forbidden` unless the Host header names this machine by a loopback name. */
export function requireLoopbackHost(host: string): void {
  if (host === "" || isLoopbackName(hostName(host))) return;
  throw new TroupeError(
    "forbidden",
    "Without configured API keys only requests to localhost are served; set TROUPE_API_KEYS to serve other host names",
    { host },
  );
}

/** Throws `forbidden` when a browser says that a page of another origin made the request. */
export function requireSameOrigin(origin: string, host: string): void {
  if (origin === "") return;
  const cut = origin.indexOf("://");
  if (cut > 0 && origin.slice(cut + 3).toLowerCase() === host.toLowerCase()) return;
  throw new TroupeError(
    "forbidden",
    "A page of another origin may not use a gateway without API keys; set TROUPE_API_KEYS and send a key",
    { origin },
  );
}
