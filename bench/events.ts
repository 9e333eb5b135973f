/** A listener to Troupe's events over its WebSocket, for generators that wait for what they started. */
import { once } from "node:events";
import WebSocket from "ws";

const rootName = '"root":"';

export class Events {
  readonly #socket: WebSocket;
  readonly #byId = new Map<string, (text: string) => void>();
  readonly #confirmed = new Map<string, () => void>();

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.on("message", (bytes: Buffer) => this.#receive(bytes.toString()));
  }

  static async open(port: number): Promise<Events> {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/ws`, { perMessageDeflate: false });
    await once(socket, "open");
    return new Events(socket);
  }

  /** Resolves when events flow. `onEvent` gets the frame's text. */
  subscribe(id: string, pattern: string, onEvent: (text: string) => void): Promise<void> {
    this.#byId.set(id, onEvent);
    this.#socket.send(JSON.stringify({ type: "subscribe", id, pattern }));
    return new Promise((resolve) => this.#confirmed.set(id, resolve));
  }

  close(): void {
    this.#socket.terminate();
  }

  /** Frames begin `{"type":"event","id":"…"`. */
  #receive(text: string): void {
    if (text.startsWith('{"type":"event","id":"')) {
      this.#byId.get(text.slice(22, text.indexOf('"', 22)))?.(text);
      return;
    }
    const { type, id, error } = JSON.parse(text) as { type: string; id: string; error?: { message: string } };
    if (type === "subscribed") this.#confirmed.get(id)?.();
    else throw new Error(`The WebSocket says ${type}: ${error?.message}`);
  }
}

/** The root that an event's frame names; ids of runs need no escapes. */
export function rootOf(text: string): string {
  const at = text.indexOf(rootName) + rootName.length;
  return text.slice(at, text.indexOf('"', at));
}
