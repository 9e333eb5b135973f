/**
 * The one import of uWebSockets.js: its native build where there is one, else our server over
 * node:http behind the same calls (uws-fallback/). Owns how to listen on a port that nobody else
 * may share; no behaviour of the gateway.
 */

import type * as Uws from "uWebSockets.js";
import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";
import type { Server } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { GatewayClock } from "./config.ts";
import { closeFallback, FallbackApp, portOfFallback } from "./uws-fallback/app.ts";

export type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, WebSocket } from "uWebSockets.js";

export type ServerBuild = "native" | "javascript";

export interface HttpServer {
  newApp(): TemplatedApp;
  /** Listens; false when the port is taken. Exclusive: by default uSockets would share the port silently. */
  listen(app: TemplatedApp, host: string, port: number): Promise<us_listen_socket | false>;
  closeListener(socket: us_listen_socket): void;
  portOf(socket: us_listen_socket): number;
}

const require = createRequire(import.meta.url);
const native = loadNative();

/**
 * The package's main file would, without a binary for this Node, print about it and load stubs: so
 * its binary is asked for by name. The official package has binaries only.
 */
function loadNative(): typeof Uws | undefined {
  const { platform, arch, versions } = process;
  const package_ = "uWebSockets.js";
  const binary = `${package_}/binaries/uws_${platform}_${arch}_${versions.modules}.node`;
  try {
    const official = !require.resolve(package_).endsWith(join("src", "uws.js"));
    return require(official ? package_ : binary) as typeof Uws;
  } catch {
    return undefined;
  }
}

/** Which server runs when this one is wanted: the native one only where it could be loaded. */
export function serverBuild(wanted: ServerBuild = "native"): ServerBuild {
  return native === undefined ? "javascript" : wanted;
}

export function httpServer(wanted: ServerBuild | undefined, clock: GatewayClock): HttpServer {
  return native !== undefined && serverBuild(wanted) === "native" ? nativeServer(native) : javaScriptServer(clock);
}

type Listening = (socket: us_listen_socket | false) => void;
/** The addon takes options between port and callback; the published types leave that form out. */
interface ListensWithOptions {
  listen(host: string, port: number, options: number, done: Listening): TemplatedApp;
}

const exclusivePort = 1;

function nativeServer(uws: typeof Uws): HttpServer {
  return {
    newApp: () => uws.App(),
    listen: (app, host, port) =>
      new Promise((resolve) => {
        (app as unknown as ListensWithOptions).listen(host, port, exclusivePort, resolve);
      }),
    closeListener: (socket) => uws.us_listen_socket_close(socket),
    portOf: (socket) => uws.us_socket_local_port(socket as Parameters<typeof uws.us_socket_local_port>[0]),
  };
}

function javaScriptServer(clock: GatewayClock): HttpServer {
  return {
    newApp: () => new FallbackApp(clock) as unknown as TemplatedApp,
    listen: (app, host, port) => new Promise((resolve) => app.listen(host, port, resolve as Listening)),
    closeListener: (socket) => closeFallback(socket as unknown as Server),
    portOf: (socket) => portOfFallback(socket as unknown as Server),
  };
}
