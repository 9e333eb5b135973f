/** A WebSocket client for tests: sends messages, waits for those that match. */
import { decode, encode } from "@msgpack/msgpack";
import WebSocket from "ws";

// biome-ignore lint/suspicious/noExplicitAny: tests look into messages freely
export type Message = any;

export class Client {
  readonly messages: Message[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  readonly socket: WebSocket;
  private readonly waiting: { match: (m: Message) => boolean; resolve: (m: Message) => void }[] = [];

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("message", (data: Buffer, binary: boolean) => {
      const message = binary ? decode(data) : JSON.parse(data.toString());
      this.messages.push(message);
      for (const w of [...this.waiting]) {
        if (!w.match(message)) continue;
        this.waiting.splice(this.waiting.indexOf(w), 1);
        w.resolve(message);
      }
    });
    this.closed = new Promise((resolve) =>
      socket.on("close", (code, reason) => resolve({ code, reason: reason.toString() })),
    );
  }

  static open(base: string, protocols: string[] = [], options: WebSocket.ClientOptions = {}): Promise<Client> {
    return Client.at(base, "/v1/ws", protocols, options);
  }

  static at(
    base: string,
    path: string,
    protocols: string[] = [],
    options: WebSocket.ClientOptions = {},
  ): Promise<Client> {
    const socket = new WebSocket(`${base.replace("http", "ws")}${path}`, protocols, options);
    const client = new Client(socket);
    return new Promise((resolve, reject) => {
      socket.on("open", () => resolve(client));
      socket.on("error", reject);
    });
  }

  send(message: unknown): void {
    if (typeof message === "string") this.socket.send(message);
    else this.socket.send(this.socket.protocol === "msgpack" ? encode(message) : JSON.stringify(message));
  }

  /** The first message, come or to come, that matches. */
  next(match: (m: Message) => boolean): Promise<Message> {
    const found = this.messages.find(match);
    if (found !== undefined) return Promise.resolve(found);
    return new Promise((resolve) => this.waiting.push({ match, resolve }));
  }

  /** The next message that comes from now on and matches; it is sent first when given. */
  after(match: (m: Message) => boolean, message?: unknown): Promise<Message> {
    const answer = new Promise<Message>((resolve) => this.waiting.push({ match, resolve }));
    if (message !== undefined) this.send(message);
    return answer;
  }

  /** Sends and waits for the answer with that id (not an event). */
  async call(message: Record<string, unknown>): Promise<Message> {
    const before = this.messages.length;
    const answer = this.next((m) => m.id === message.id && m.type !== "event" && this.messages.indexOf(m) >= before);
    this.send(message);
    return answer;
  }

  events(id: string): Message[] {
    return this.messages.filter((m) => m.type === "event" && m.id === id);
  }

  close(): void {
    this.socket.close();
  }
}
