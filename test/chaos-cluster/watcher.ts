/**
 * A subscriber over WebSocket that lives longer than gateways: resumes at the other one from its last cursor, when its
 * connection breaks and now and then by itself. Keeps the last number and the digest of each root.
 */
import WebSocket from "ws";
import { pause } from "../chaos/harness.ts";
import type { Random } from "../chaos/random.ts";
import { Digest } from "./digest.ts";
import type { Ledger } from "./ledger.ts";
import type { Routes } from "./routes.ts";

interface Followed {
  last: number;
  readonly digest: Digest;
}

interface Told {
  readonly root: string;
  readonly no: number;
  readonly type: string;
  readonly name: string;
  readonly data: unknown;
}

interface EventMessage {
  readonly type: string;
  readonly cursor?: string;
  readonly event?: Told;
  readonly error?: { readonly code: string; readonly retryable: boolean };
}

const againMs = 50;
/** A connection on which nothing comes for so long is left. */
const silentMsMax = 8_000;

export class Watcher {
  readonly roots = new Map<string, Followed>();
  connections = 0;
  #base: string;
  #cursor: string | undefined;
  #socket: WebSocket | undefined;
  #stopped = false;
  #begun: (() => void) | undefined;
  #heardAt = 0;

  constructor(
    readonly name: string,
    readonly pattern: string,
    private readonly routes: Routes,
    private readonly random: Random,
    private readonly ledger: Ledger,
  ) {
    this.#base = routes.next();
  }

  /** Resolves when the first subscription stands. */
  start(): Promise<void> {
    const first = new Promise<void>((resolve) => {
      this.#begun = resolve;
    });
    void this.#loop();
    return first;
  }

  /** Moves to the other gateway. */
  move(): void {
    this.#socket?.terminate();
  }

  stop(): void {
    this.#stopped = true;
    this.move();
    for (const [root, { last, digest }] of this.roots) {
      this.ledger.write(["watched", this.name, root, last, digest.value]);
    }
  }

  async #loop(): Promise<void> {
    while (!this.#stopped) {
      await this.#stay();
      this.#base = this.routes.other(this.#base);
      await pause(againMs);
    }
  }

  /** One connection, until it breaks, falls silent, or was long enough. */
  #stay(): Promise<void> {
    return new Promise((resolve) => {
      const socket = new WebSocket(`${this.#base.replace("http", "ws")}/v1/ws`, { handshakeTimeout: 3_000 });
      this.#socket = socket;
      this.#heardAt = performance.now();
      const leaveAt = this.#heardAt + this.random.between(2_000, 30_000);
      const watch = setInterval(() => {
        const now = performance.now();
        if (now > leaveAt || now - this.#heardAt > silentMsMax) socket.terminate();
        else if (socket.readyState === WebSocket.OPEN) socket.send('{"type":"ping"}');
      }, 1_000);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        clearInterval(watch);
        resolve();
      });
      socket.on("open", () => {
        this.connections++;
        const since = this.#cursor === undefined ? {} : { since: this.#cursor };
        socket.send(JSON.stringify({ type: "subscribe", id: "all", pattern: this.pattern, ...since }));
      });
      socket.on("message", (data) => {
        this.#heardAt = performance.now();
        if (socket === this.#socket && !this.#stopped) this.#hear(JSON.parse(String(data)) as EventMessage, socket);
      });
    });
  }

  #hear(message: EventMessage, socket: WebSocket): void {
    if (message.type === "subscribed") {
      this.#cursor ??= message.cursor;
      this.#begun?.();
    } else if (message.type === "error") {
      const { code = "", retryable } = message.error ?? {};
      if (retryable !== true) this.ledger.write(["wrong", `watcher ${this.name}: ${code}`]);
      socket.terminate();
    } else if (message.event !== undefined) {
      this.#cursor = message.cursor;
      this.#take(message.event);
    }
  }

  #take({ root, no, type, name, data }: Told): void {
    let known = this.roots.get(root);
    if (known === undefined) {
      known = { last: 0, digest: new Digest() };
      this.roots.set(root, known);
    }
    // What agents did before it began, it was not told.
    const first = known.last === 0 && type === "agent";
    if (no !== known.last + 1 && !first) this.ledger.write(["out_of_turn", this.name, root, no, known.last]);
    known.last = no;
    known.digest.add(no, name, data);
  }
}
