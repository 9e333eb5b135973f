/**
 * TCP relays between one process and a server: what passes can be cut, reset or held back. Knows bytes only.
 */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { lastingPort } from "../support/free-port.ts";

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

export class Relay {
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  readonly #waiting = new Set<Socket>();
  #held = false;

  private constructor(
    readonly port: number,
    private readonly target: number,
  ) {
    this.#server = createServer({ noDelay: true, pauseOnConnect: true }, (near) => this.#accept(near));
  }

  static async open(target: number): Promise<Relay> {
    const relay = new Relay(await lastingPort(), target);
    relay.#server.listen(relay.port, "127.0.0.1");
    await once(relay.#server, "listening");
    return relay;
  }

  /** Connections that stand now. */
  get size(): number {
    return this.#pairs.size;
  }

  /** Ends what stands, in good order or with a reset; new connections are taken. */
  cut(reset: boolean): void {
    for (const { near, far } of this.#pairs) {
      for (const socket of [near, far]) {
        if (reset) socket.resetAndDestroy();
        else socket.destroy();
      }
    }
  }

  /** Nothing passes, either way, nor do new connections, until `release`; what was sent meanwhile arrives then. */
  hold(): void {
    this.#held = true;
    for (const { near, far } of this.#pairs) {
      near.pause();
      far.pause();
    }
  }

  release(): void {
    this.#held = false;
    for (const { near, far } of this.#pairs) {
      near.resume();
      far.resume();
    }
    for (const near of this.#waiting) this.#join(near);
    this.#waiting.clear();
  }

  close(): void {
    this.#server.close();
    this.cut(false);
    for (const near of this.#waiting) near.destroy();
  }

  #accept(near: Socket): void {
    near.on("error", () => near.destroy());
    if (this.#held) {
      this.#waiting.add(near);
      near.once("close", () => this.#waiting.delete(near));
    } else {
      this.#join(near);
    }
  }

  #join(near: Socket): void {
    if (near.destroyed) return;
    const far = connect({ port: this.target, host: "127.0.0.1", noDelay: true });
    const pair = { near, far };
    this.#pairs.add(pair);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on("error", () => one.destroy());
      one.once("close", () => {
        this.#pairs.delete(pair);
        other.destroy();
      });
      one.on("data", (bytes) => {
        if (other.write(bytes)) return;
        one.pause();
        other.once("drain", () => {
          if (!this.#held) one.resume();
        });
      });
    }
    if (this.#held) far.pause();
    else near.resume();
  }
}
