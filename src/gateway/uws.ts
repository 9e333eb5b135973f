/**
 * The one import of uWebSockets.js: which build is loaded, and how to listen on a port that
 * nobody else may share. Owns no behaviour of the gateway.
 */

import type { TemplatedApp, us_listen_socket } from "uWebSockets.js";
import uWS from "uWebSockets.js";

export type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, WebSocket } from "uWebSockets.js";

/** `native` on the Node versions the package ships a binary for (20), else its JavaScript `fallback`. */
export function serverBuild(): "native" | "fallback" {
  return "SSLApp" in uWS ? "native" : "fallback";
}

export const newApp = (): TemplatedApp => uWS.App();
export const closeListener = (socket: us_listen_socket): void => uWS.us_listen_socket_close(socket);
export const portOf = (socket: us_listen_socket): number =>
  uWS.us_socket_local_port(socket as Parameters<typeof uWS.us_socket_local_port>[0]);

type Listening = (socket: us_listen_socket | false) => void;
/** The addon takes options between port and callback; the published types leave that form out. */
interface ListensWithOptions {
  listen(host: string, port: number, options: number, done: Listening): TemplatedApp;
}

const exclusivePort = 1;

/** Listens; false when the port is taken. Exclusive: by default uSockets would share the port silently. */
export function listenOn(app: TemplatedApp, host: string, port: number): Promise<us_listen_socket | false> {
  return new Promise((resolve) => {
    if (serverBuild() === "native") (app as unknown as ListensWithOptions).listen(host, port, exclusivePort, resolve);
    else app.listen(host, port, resolve);
  });
}
