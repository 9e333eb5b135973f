/**
 * Ways to send one numbered command and hear what came of it: pipelined over a WebSocket that moves to the other
 * gateway when it breaks or falls silent, or over kept HTTP connections. Try once; trying again is the lane's.
 */
import { Agent, request } from "node:http";
import WebSocket from "ws";
import type { Routes } from "./routes.ts";

export interface Sent {
  readonly tally: string;
  readonly act: "add" | "pass" | "remind" | "forget";
  readonly lane: string;
  readonly no: number;
  readonly attempt: number;
  readonly to?: string;
  readonly in_ms?: number;
  readonly of?: number;
}

export type Outcome =
  | { readonly kind: "done"; readonly total: number }
  /** Refused or failed, as the error says. */
  | { readonly kind: "error"; readonly code: string; readonly retryable: boolean }
  /** No answer: what came of it is not known. */
  | { readonly kind: "silence" };

export interface Caller {
  send(command: Sent): Promise<Outcome>;
  close(): void;
}

/** Without an answer for so long, a try is over. */
const answerMsMax = 6_000;
const silence: Outcome = { kind: "silence" };

export class SocketCaller implements Caller {
  readonly #routes: Routes;
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  #base: string;
  #socket: WebSocket | undefined;
  #opening: Promise<void> | undefined;
  #count = 0;
  #closed = false;
  /** Connections made. */
  connections = 0;

  constructor(routes: Routes) {
    this.#routes = routes;
    this.#base = routes.next();
  }

  async send(command: Sent): Promise<Outcome> {
    await this.#open();
    const socket = this.#socket;
    if (socket === undefined || socket.readyState !== WebSocket.OPEN) return silence;
    const id = (this.#count++).toString(36);
    return new Promise((resolve) => {
      const end = (outcome: Outcome): void => {
        clearTimeout(timer);
        this.#waiting.delete(id);
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        end(silence);
        // A gateway that does not answer this may not answer anything.
        if (this.#socket === socket) this.cut();
      }, answerMsMax);
      this.#waiting.set(id, end);
      const message = { type: "request", id, operation: "tallies.send", input: command, timeout_ms: 5_000 };
      socket.send(JSON.stringify(message));
    });
  }

  /** Breaks the connection; the next try makes one to the other gateway. */
  cut(): void {
    this.#socket?.terminate();
  }

  close(): void {
    this.#closed = true;
    this.cut();
  }

  #open(): Promise<void> {
    if (this.#socket !== undefined || this.#closed) return Promise.resolve();
    this.#opening ??= new Promise<void>((resolve) => {
      const socket = new WebSocket(`${this.#base.replace("http", "ws")}/v1/ws`, { handshakeTimeout: 3_000 });
      socket.on("error", () => undefined);
      socket.on("open", () => {
        this.connections++;
        this.#socket = socket;
        this.#opening = undefined;
        resolve();
      });
      socket.on("message", (data) => this.#hear(String(data)));
      socket.on("close", () => {
        this.#socket = undefined;
        this.#opening = undefined;
        this.#base = this.#routes.other(this.#base);
        resolve();
        for (const end of [...this.#waiting.values()]) end(silence);
      });
    });
    return this.#opening;
  }

  #hear(text: string): void {
    const message = JSON.parse(text) as {
      type: string;
      id?: string;
      result?: { total: number };
      error?: { code: string; retryable: boolean };
    };
    const end = this.#waiting.get(message.id ?? "");
    if (end === undefined) return;
    if (message.result !== undefined) end({ kind: "done", total: message.result.total });
    else if (message.error !== undefined) end({ kind: "error", ...message.error });
  }
}

export class HttpCaller implements Caller {
  readonly #routes: Routes;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 64 });

  constructor(routes: Routes) {
    this.#routes = routes;
  }

  send({ tally, ...body }: Sent): Promise<Outcome> {
    return new Promise((resolve) => {
      const asked = request(`${this.#routes.next()}/v1/tallies/${tally}`, {
        method: "POST",
        agent: this.#agent,
        headers: { "content-type": "application/json" },
        timeout: answerMsMax,
      });
      asked.on("timeout", () => asked.destroy(new Error("silence")));
      asked.on("error", () => resolve(silence));
      asked.on("response", (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("error", () => resolve(silence));
        response.on("end", () => resolve(outcomeOf(response.statusCode ?? 0, text)));
      });
      asked.end(JSON.stringify(body));
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function outcomeOf(status: number, text: string): Outcome {
  try {
    const body = JSON.parse(text) as { total: number; error: { code: string; retryable: boolean } };
    return status === 200 ? { kind: "done", total: body.total } : { kind: "error", ...body.error };
  } catch {
    return silence;
  }
}
