/**
 * Live events of a pattern over the WebSocket, resumed with the last cursor after a cut, each
 * once. Owns the connection; not owned: what is shown (commands/tail.ts).
 */
import WebSocket from "ws";
import type { z } from "zod";
import type { Clock } from "../bus/clock.ts";
import { CliError } from "./exit.ts";
import type { Api } from "./http.ts";
import { checked, parseJson, refusal, unreachable } from "./http.ts";
import { Reconnect } from "./reconnect.ts";
import { type FeedEvent, socketMessageShape } from "./shapes.ts";

export interface TailOptions {
  readonly api: Api;
  readonly clock: Clock;
  readonly stop: AbortSignal;
  readonly pattern: string;
  /** Right after this cursor; without it, from now on. */
  readonly since: string | undefined;
  readonly awayMsMax: number;
  /** A promise holds the connection back until it resolves: a slow reader slows the server. */
  readonly onEvent: (event: FeedEvent, cursor: string | undefined) => Promise<void> | undefined;
  readonly onAway: (away: boolean) => void;
  /** Told once, when the first subscription stands. */
  readonly onSubscribed: () => void;
}

const pingMs = 15_000;
const handshakeMsMax = 15_000;

/** Until `stop` is aborted or the server refuses; throws CliError or the signal's reason. */
export async function tailEvents(options: TailOptions): Promise<never> {
  const reconnect = new Reconnect(options);
  const position: Position = { cursor: options.since, subscribed: false };
  for (;;) {
    let failure: unknown = null;
    try {
      await connectOnce(options, position, reconnect);
    } catch (error) {
      failure = error;
      if (!position.subscribed) throw error;
    }
    await reconnect.down(failure);
  }
}

interface Position {
  cursor: string | undefined;
  subscribed: boolean;
}

/** One connection: resolves when it closes in good order, rejects when it breaks or is refused. */
function connectOnce(options: TailOptions, position: Position, reconnect: Reconnect): Promise<void> {
  const { api, clock, stop, pattern } = options;
  const url = api.address("/v1/ws");
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return new Promise((resolve, reject) => {
    if (stop.aborted) return reject(stop.reason);
    const socket = new WebSocket(url, { headers: api.credentials(), handshakeTimeout: handshakeMsMax });
    const timers = new Heartbeat(clock, socket);
    const onStop = (): void => finish(stop.reason);
    const finish = (error: unknown): void => {
      timers.stop();
      stop.removeEventListener("abort", onStop);
      socket.removeAllListeners();
      socket.on("error", () => undefined);
      if (socket.readyState === WebSocket.OPEN) socket.close(1000);
      else socket.terminate();
      if (error === null) resolve();
      else reject(error);
    };
    stop.addEventListener("abort", onStop, { once: true });
    socket.on("open", () => {
      timers.start();
      const since = position.cursor === undefined ? {} : { since: position.cursor };
      socket.send(JSON.stringify({ type: "subscribe", id: "tail", pattern, ...since }));
    });
    socket.on("pong", () => timers.alive());
    socket.on("message", (data: WebSocket.RawData) => {
      timers.alive();
      const error = receive(data.toString(), options, position, reconnect, socket);
      if (error !== null) finish(error);
    });
    socket.on("unexpected-response", (_request, response) => {
      const header = (name: string): string | null => {
        const value = response.headers[name];
        return typeof value === "string" ? value : null;
      };
      finish(refusal(response.statusCode ?? 500, { get: header }, ""));
    });
    socket.on("error", (error) => finish(unreachable(api.base, error)));
    socket.on("close", (code, reason) => finish(closed(code, reason.toString(), api)));
  });
}

/** Handles one message; an error ends the connection. */
function receive(
  text: string,
  options: TailOptions,
  position: Position,
  reconnect: Reconnect,
  socket: WebSocket,
): CliError | null {
  const message = checked(socketMessageShape, parseJson(text));
  if (message === undefined) return null;
  if (message.type === "error") return refused(message.error);
  if (message.cursor !== null && message.cursor !== undefined) position.cursor = message.cursor;
  if (message.type === "subscribed") {
    reconnect.up();
    reconnect.alive();
    if (!position.subscribed) options.onSubscribed();
    position.subscribed = true;
    return null;
  }
  const held = options.onEvent(message.event, message.cursor ?? undefined);
  if (held !== undefined) {
    socket.pause();
    held.then(
      () => socket.resume(),
      () => undefined,
    );
  }
  return null;
}

type SocketError = Extract<z.infer<typeof socketMessageShape>, { type: "error" }>["error"];

/** A message of kind `error`: most end the command, a retryable one only the connection. */
function refused({ code, message, details, retryable, correlation_id: correlationId }: SocketError): CliError {
  const oldest = typeof details === "object" && details !== null && "oldest" in details ? String(details.oldest) : "";
  return new CliError(code === "forbidden" || code === "unauthenticated" ? "denied" : "refused", message, {
    code,
    details,
    retryable: retryable === true,
    ...(correlationId ? { correlationId } : {}),
    ...(oldest === "" ? {} : { advice: `The oldest cursor that can be replayed: --since ${oldest}` }),
  });
}

/** 1000, 1001, 1006 and 1012 are cuts to mend; others say why the server does not want us. */
function closed(code: number, reason: string, api: Api): CliError | null {
  if ([1000, 1001, 1005, 1006, 1011, 1012, 1013].includes(code))
    return unreachable(api.base, new Error(`closed, ${code}`));
  return new CliError("refused", `the server closed the connection (${code} ${reason})`, { code: "closed" });
}

/** Pings, and ends a connection that has gone silent. */
class Heartbeat {
  private timer: { cancel(): void } | null = null;
  private heard = true;

  constructor(
    private readonly clock: Clock,
    private readonly socket: WebSocket,
  ) {}

  start(): void {
    this.timer = this.clock.after(pingMs, () => {
      if (!this.heard && !this.socket.isPaused) return this.socket.terminate();
      this.heard = false;
      this.socket.ping();
      this.start();
    });
  }

  alive(): void {
    this.heard = true;
  }

  stop(): void {
    this.timer?.cancel();
  }
}
