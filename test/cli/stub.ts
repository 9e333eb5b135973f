/**
 * A small server with the API's shapes, to see what the client sends and how it takes what comes:
 * scripted runs whose events are pushed by the test. It is not a runtime; e2e.test.ts has that.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";

export interface Recorded {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: unknown;
}

type Json = Record<string, unknown>;
type Route = (request: Recorded, response: ServerResponse) => unknown;

export class Stub {
  readonly requests: Recorded[] = [];
  readonly run: Json = {
    run_id: "r1",
    workflow: { name: "echo", version: "0.1.0" },
    status: "running",
    timing: { created_at: "2026-01-01T00:00:00.000Z", wall_ms: null },
    artifacts: [],
    checkpoints: [],
    stages: [],
  };
  readonly events: Json[] = [];
  readonly routes = new Map<string, Route>();
  private readonly streams = new Set<ServerResponse>();
  private readonly sockets = new Set<Socket>();
  private server = createServer((request, response) => void this.serve(request, response));
  private readonly ws = new WebSocketServer({ noServer: true });
  onSocket: ((socket: WebSocket, first: Json) => void) | null = null;
  port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async listen(): Promise<this> {
    this.server.on("connection", (socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
    });
    this.server.on("upgrade", (request, socket, head) => {
      this.ws.handleUpgrade(request, socket, head, (client) => {
        client.once("message", (data) => this.onSocket?.(client, JSON.parse(String(data))));
      });
    });
    await new Promise<void>((resolve) => this.server.listen(this.port, "127.0.0.1", resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return this;
  }

  /** Cuts every connection; the port is free until `listen` again. */
  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
    this.server = createServer((request, response) => void this.serve(request, response));
  }

  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Adds an event and sends it to whoever follows. */
  push(type: string, more: Json = {}): void {
    const no = this.events.length + 1;
    const ts = new Date(Date.parse("2026-01-01T00:00:00.000Z") + no * 100).toISOString();
    const event = { event_id: `e${no}`, ts, type, run_id: "r1", payload: {}, ...more };
    this.events.push(event);
    for (const stream of this.streams) stream.write(frame(event));
  }

  finish(status: string, more: Json = {}): void {
    Object.assign(this.run, { status }, more);
    Object.assign(this.run.timing as Json, { wall_ms: 1234 });
    this.push(status === "succeeded" ? "run.completed" : "run.failed");
    for (const stream of this.streams) stream.end();
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? "/", "http://stub");
    const recorded: Recorded = {
      method: request.method ?? "",
      path: url.pathname + url.search,
      headers: request.headers,
      body: text === "" ? undefined : JSON.parse(text),
    };
    this.requests.push(recorded);
    const route = this.routes.get(`${recorded.method} ${url.pathname}`);
    const path = url.pathname;
    if (route !== undefined) route(recorded, response);
    else if (recorded.method === "POST" && path === "/v1/runs") reply(response, 201, { run: this.run });
    else if (path === "/v1/runs/r1" || path === "/v1/runs/r1/stages") reply(response, 200, this.run);
    else if (path === "/v1/runs/r1/events") this.stream(request, response);
    else if (path.startsWith("/v1/runs/r1/human/")) this.decide(path, recorded, response);
    else refuse(response, 404, "not_found", "There is no such thing. Check the id.");
  }

  private stream(request: IncomingMessage, response: ServerResponse): void {
    response.writeHead(200, { "Content-Type": "text/event-stream" });
    const last = request.headers["last-event-id"];
    const from = this.events.findIndex((event) => event.event_id === last) + 1;
    for (const event of this.events.slice(from)) response.write(frame(event));
    if (["succeeded", "failed", "canceled", "timed_out"].includes(String(this.run.status))) {
      response.end();
      return;
    }
    response.write(": hello\n\n");
    this.streams.add(response);
    response.on("close", () => this.streams.delete(response));
  }

  private decide(path: string, { body }: Recorded, response: ServerResponse): void {
    const [id = "", action = ""] = path.split("/").slice(-2);
    const checkpoint = (this.run.checkpoints as Json[]).find((one) => one.checkpoint_id === id);
    if (checkpoint?.status !== "required") {
      refuse(
        response,
        checkpoint === undefined ? 404 : 409,
        checkpoint === undefined ? "not_found" : "conflict",
        "No.",
      );
      return;
    }
    const statuses: Record<string, string> = {
      approve: "approved",
      reject: "rejected",
      provide_input: "input_provided",
    };
    Object.assign(checkpoint, { status: statuses[action], provided_input: (body as Json).input });
    reply(response, 200, checkpoint);
    this.push("hitl.resolved", { step_id: "approve" });
    this.finish(
      action === "reject" ? "failed" : "succeeded",
      action === "reject" ? { error: { code: "rejected" } } : {},
    );
  }
}

export function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

export function refuse(response: ServerResponse, status: number, code: string, message: string): void {
  reply(response, status, { error: { code, message, retryable: false, correlation_id: "c-42" } });
}

function frame(event: Json): string {
  return `event: ${event.type}\nid: ${event.event_id}\ndata: ${JSON.stringify(event)}\n\n`;
}
