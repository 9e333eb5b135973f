/**
 * Calls to addresses that strangers name (callbacks, health checks): only http and https, only to public addresses
 * unless the operator allows another, judged by the resolved address at the moment of connecting, redirects never
 * followed, answers bounded. Owns what may be called; when and how often is the caller's.
 */
import { type LookupAddress, lookup as lookUp } from "node:dns";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import ipaddr from "ipaddr.js";
import type { Clock } from "../bus/clock.ts";

export interface OutsideRequest {
  readonly method: "GET" | "POST";
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

export interface OutsideAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** At most 64 KiB of it. */
  readonly body: string;
}

/** `refused`: may not be called, now or later. The others may heal. */
export class OutsideError extends Error {
  override readonly name = "OutsideError";
  constructor(
    readonly reason: "refused" | "unreachable" | "timed_out",
    message: string,
  ) {
    super(message);
  }
}

export interface Outside {
  /** Throws OutsideError. */
  call(request: OutsideRequest): Promise<OutsideAnswer>;
  /** Throws OutsideError `refused` for what can be refused without looking a name up. */
  check(url: string): void;
}

const answerBytesMax = 64 * 1024;

/** `allow`: host names, addresses, networks (`10.0.0.0/8`) that may be called although they are not public. */
export function newOutside(allow: readonly string[], clock: Clock): Outside {
  const allowed = new Allowed(allow);
  const check = (url: string): URL => {
    const parsed = parse(url);
    const host = hostOf(parsed);
    if (isIP(host) !== 0 && !allowed.host(host) && !allowed.address(host)) throw refused(host);
    return parsed;
  };
  return {
    check: (url) => void check(url),
    call: async (request) => perform(request, check(request.url), allowed, clock),
  };
}

/** What an operator permits beyond public addresses. */
class Allowed {
  private readonly names = new Set<string>();
  private readonly networks: [ipaddr.IPv4 | ipaddr.IPv6, number][] = [];

  constructor(entries: readonly string[]) {
    for (const entry of entries) {
      if (entry.includes("/")) this.networks.push(ipaddr.parseCIDR(entry));
      else if (isIP(entry) !== 0) {
        const address = ipaddr.process(entry);
        this.networks.push([address, address.kind() === "ipv4" ? 32 : 128]);
      } else this.names.add(entry.toLowerCase());
    }
  }

  host(name: string): boolean {
    return this.names.has(name.toLowerCase());
  }

  /** Public, or named. What stands for another address (mapped, translated, tunnelled) is not public. */
  address(text: string): boolean {
    if (!ipaddr.isValid(text)) return false;
    const address = ipaddr.process(text);
    if (address.range() === "unicast") return true;
    return this.networks.some(([network, bits]) => network.kind() === address.kind() && address.match(network, bits));
  }
}

function parse(url: string): URL {
  if (!URL.canParse(url)) throw new OutsideError("refused", "not an absolute URL");
  const parsed = new URL(url);
  if (parsed.protocol !== "http:" && parsed.protocol !== "https:")
    throw new OutsideError("refused", `${parsed.protocol}// may not be called, only http and https`);
  if (parsed.username !== "" || parsed.password !== "")
    throw new OutsideError("refused", "a URL to call may hold no user and password");
  return parsed;
}

/** Without the brackets of an IPv6 address, and without a dot at the end. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
}

function refused(address: string): OutsideError {
  return new OutsideError(
    "refused",
    `${address} is a private or local address; TROUPE_CALLBACK_ALLOW names those that may be called`,
  );
}

/** Looks a name up and gives only addresses that may be connected to: what was judged is what is connected to. */
function guardedLookup(allowed: Allowed): LookupFunction {
  return (name, options, callback) => {
    lookUp(name, { ...options, all: true }, (error, found: readonly LookupAddress[]) => {
      if (error !== null) return callback(error, "", 0);
      const open = allowed.host(name) ? found : found.filter(({ address }) => allowed.address(address));
      const [first] = open;
      if (first === undefined) return callback(refused(`${name} (${found[0]?.address})`), "", 0);
      if (options.all === true) callback(null, [...open]);
      else callback(null, first.address, first.family);
    });
  };
}

function perform(request: OutsideRequest, url: URL, allowed: Allowed, clock: Clock): Promise<OutsideAnswer> {
  const send = url.protocol === "https:" ? httpsRequest : httpRequest;
  const { method, headers = {}, body, timeoutMs, signal } = request;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const outgoing = send(url, {
      method,
      headers: { ...headers, ...length, "user-agent": "Troupe" },
      lookup: guardedLookup(allowed),
      // A connection of its own: none that was judged for somebody else's name.
      agent: false,
    });
    const timer = clock.after(timeoutMs, () =>
      outgoing.destroy(new OutsideError("timed_out", `no answer within ${timeoutMs} ms`)),
    );
    const abort = (): void => void outgoing.destroy(new OutsideError("unreachable", "given up"));
    const settle = (end: () => void): void => {
      timer.cancel();
      signal?.removeEventListener("abort", abort);
      end();
    };
    signal?.addEventListener("abort", abort, { once: true });
    if (signal?.aborted === true) abort();
    outgoing.on("error", (error) => settle(() => reject(asOutside(error))));
    outgoing.on("response", (answer) => {
      read(answer).then(
        (text) => settle(() => resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: text })),
        (error) => settle(() => reject(asOutside(error))),
      );
    });
    outgoing.end(body);
  });
}

async function read(answer: IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    parts.push(part.subarray(0, answerBytesMax - bytes));
    bytes += part.length;
    if (bytes >= answerBytesMax) break;
  }
  return Buffer.concat(parts).toString("utf8");
}

function asOutside(error: unknown): OutsideError {
  if (error instanceof OutsideError) return error;
  const { code, message } = error as { code?: unknown; message?: unknown };
  return new OutsideError("unreachable", typeof code === "string" ? code : String(message).slice(0, 200));
}
