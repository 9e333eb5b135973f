/**
 * Readers that live longer than the server: a run's SSE stream, resumed with Last-Event-ID only,
 * and the WebSocket feed, resumed with its cursor only. They keep everything they are told, in the
 * order told, and leave out nothing: what comes twice is seen twice.
 */
import { createParser } from "eventsource-parser";
import WebSocket from "ws";
import type { Body, Json } from "./client.ts";
import { pause } from "./harness.ts";
import { open } from "./http.ts";

const awayMsMax = 120_000;
const againMs = 30;
/** Events after which a run's stream ends. */
export const streamEnds = ["run.completed", "run.failed", "run.canceled"];

export interface Told {
  readonly id: string;
  readonly event: string;
  readonly data: Body;
}

export interface RunStream {
  readonly told: Told[];
  /** Connections it took. */
  readonly connections: number;
}

/** Reads until the run's last event. `cutAfter`: leaves by itself after so many events of a connection. */
export async function followRun(base: () => string, run: string, cutAfter: () => number): Promise<RunStream> {
  const told: Told[] = [];
  let deadline = performance.now() + awayMsMax;
  for (let connections = 0; ; ) {
    const before = told.length;
    const onOpen = (): void => void connections++;
    await readOnce(base(), run, told, cutAfter(), onOpen).catch(() => undefined);
    if (streamEnds.includes(told.at(-1)?.event ?? "")) return { told, connections };
    if (told.length > before) deadline = performance.now() + awayMsMax;
    if (performance.now() > deadline) throw new Error(`${run}: the stream tells nothing more for ${awayMsMax} ms`);
    await pause(againMs);
  }
}

async function readOnce(base: string, run: string, told: Told[], eventsMax: number, onOpen: () => void): Promise<void> {
  const last = told.at(-1)?.id;
  let left = eventsMax;
  const response = await open(`${base}/v1/runs/${run}/events`, {
    headers: { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) },
    // Longer than the server's own sign of life.
    silenceMs: 60_000,
  });
  if (response.statusCode !== 200) {
    response.destroy();
    throw new Error(String(response.statusCode));
  }
  onOpen();
  const parser = createParser({
    onEvent({ id = "", event = "", data }) {
      if (left <= 0) return;
      told.push({ id, event, data: JSON.parse(data) as Body });
      left = streamEnds.includes(event) ? 0 : left - 1;
    },
  });
  const decoder = new TextDecoder();
  for await (const chunk of response) {
    parser.feed(decoder.decode(chunk as Buffer, { stream: true }));
    if (left <= 0) return;
  }
}

/** A stored event as the feed tells it. */
export interface FeedEvent {
  readonly root: string;
  readonly no: number;
  readonly type: string;
  readonly key: string;
  readonly kind: string;
  readonly name: string;
  readonly at: string;
  readonly data: Body;
}

/** Everything that happens, from the first subscription on. */
export class Feed {
  readonly events: FeedEvent[] = [];
  readonly errors: string[] = [];
  connections = 0;
  private cursor: string | undefined;
  private socket: WebSocket | undefined;
  private stopped = false;
  private begun: (() => void) | undefined;

  /** `base`: asked for each connection; `filter`: of a subscription. */
  constructor(
    private readonly base: () => string,
    private readonly filter: Readonly<Record<string, Json>> = {},
  ) {}

  /** Breaks the connection; it goes on from its cursor. */
  cut(): void {
    this.socket?.terminate();
  }

  /** Resolves when the first subscription stands; goes on by itself until `stop`. */
  start(): Promise<void> {
    const first = new Promise<void>((resolve) => {
      this.begun = resolve;
    });
    void this.loop();
    return first;
  }

  stop(): void {
    this.stopped = true;
    this.socket?.terminate();
  }

  private async loop(): Promise<void> {
    while (!this.stopped) {
      await this.connect();
      await pause(againMs);
    }
  }

  private connect(): Promise<void> {
    return new Promise((resolve) => {
      const socket = new WebSocket(`${this.base().replace("http", "ws")}/v1/ws`);
      this.socket = socket;
      socket.on("error", () => undefined);
      socket.on("close", () => resolve());
      socket.on("open", () => {
        this.connections++;
        const since = this.cursor === undefined ? {} : { since: this.cursor };
        socket.send(
          JSON.stringify({ type: "subscribe", id: "all", pattern: "event.>", filter: this.filter, ...since }),
        );
      });
      socket.on("message", (data) => this.hear(JSON.parse(String(data)) as Body, socket));
    });
  }

  private hear(message: Body, socket: WebSocket): void {
    if (message.type === "subscribed" && this.cursor === undefined) {
      this.cursor = message.cursor as string;
      this.begun?.();
    } else if (message.type === "event") {
      this.cursor = message.cursor as string;
      this.events.push(message.event as unknown as FeedEvent);
    } else if (message.type === "error") {
      const error = message.error as Body;
      if (error.retryable !== true) this.errors.push(JSON.stringify(error));
      socket.terminate();
    }
  }
}
