/**
 * What a WebSocket protocol is to the server: its path, its formats, and how a session begins.
 * Owns the matching of paths; knows no protocol.
 */
import { TroupeError } from "../../machines/errors.ts";
import type { Credential } from "../auth/credential.ts";
import type { Operation, Services } from "../operation.ts";
import type { Format } from "../shared-event.ts";
import type { Socket } from "./outbox.ts";

/** A client that was let in. */
export interface Connection {
  readonly services: Services;
  readonly operations: ReadonlyMap<string, Operation>;
  readonly credential: Credential;
  /** To be called before an operation is run: it counts as a request. Rejects with `rate_limited`. */
  request(): Promise<void>;
  readonly format: Format;
  readonly baseUrl: string;
  readonly correlationId: string;
  /** Of the path, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
}

export interface SocketSession {
  /** One message of the client. The bytes are only valid during the call. */
  receive(bytes: Uint8Array): void;
  /** Answers a message that is not taken. */
  refuse(error: TroupeError, bytes: Uint8Array): void;
  /** The socket has taken what waited. */
  drained(): void;
  /** The client has gone: nothing touches the socket any more. */
  closed(): void;
  close(code: number, reason: string): void;
}

export interface SocketProtocol {
  /** For logs and labels. */
  readonly name: string;
  /** `/ws/agent/{client_id}`; with or without a slash at the end. */
  readonly path: string;
  readonly formats: readonly Format[];
  /** A longer message ends the connection without a word; what is shorter and too long is the session's to refuse. */
  readonly wireBytesMax: number;
  open(socket: Socket, connection: Connection): SocketSession;
}

/** The path as uWebSockets' routes write it, without and with a slash at the end. */
export function routePatterns(path: string): string[] {
  const pattern = path.replace(/\{([a-z_]+)\}/g, ":$1");
  return [pattern, `${pattern}/`];
}

/** The parameters of a request's path. Throws `invalid_input` for what is not percent-encoded UTF-8. */
export function pathParameters(path: string, url: string): Record<string, string> {
  const given = url.split("/");
  const parameters: Record<string, string> = {};
  path.split("/").forEach((segment, i) => {
    const name = /^\{([a-z_]+)\}$/.exec(segment)?.[1];
    if (name !== undefined) parameters[name] = decoded(name, given[i] ?? "");
  });
  return parameters;
}

function decoded(name: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new TroupeError("invalid_input", `${name} in the path is not percent-encoded UTF-8`);
  }
}
