/**
 * One keep-alive HTTP/1.1 connection on a bare socket, one request at a time: as little work per request
 * as Node allows, so that the generator is not what is measured. Reads answers with a Content-Length only.
 */
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";

/** `body` is valid during the call only. */
type OnAnswer = (status: number, body: Buffer) => void;

const headEnd = Buffer.from("\r\n\r\n");
const lengthName = Buffer.from("\r\nContent-Length: ");
const empty = Buffer.alloc(0);
/** Shared by all connections: a read is looked at before the next one happens. */
const shared = Buffer.alloc(256 * 1024);

export class Connection {
  #socket: Socket;
  #rest = empty;
  #onAnswer: OnAnswer | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  static open(port: number): Promise<Connection> {
    return new Promise((resolve, reject) => {
      const onRead = (count: number): boolean => {
        connection.#read(shared.subarray(0, count));
        return true;
      };
      const socket = connect({ port, host: "127.0.0.1", noDelay: true, onread: { buffer: shared, callback: onRead } });
      const connection = new Connection(socket);
      socket.once("connect", () => resolve(connection));
      socket.once("error", reject);
      socket.on("close", () => connection.#end());
    });
  }

  /** Answers with status 0 when the connection breaks. */
  send(request: Buffer, onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer;
    this.#socket.write(request);
  }

  close(): void {
    this.#onAnswer = undefined;
    this.#socket.destroy();
  }

  #end(): void {
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    onAnswer?.(0, empty);
  }

  #read(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const head = bytes.indexOf(headEnd);
    const length = head < 0 ? -1 : contentLength(bytes);
    if (head < 0 || bytes.length < head + 4 + length) {
      this.#rest = Buffer.from(bytes);
      return;
    }
    this.#rest = empty;
    const onAnswer = this.#onAnswer;
    this.#onAnswer = undefined;
    const status = (bytes[9] as number) * 100 + (bytes[10] as number) * 10 + (bytes[11] as number) - 48 * 111;
    onAnswer?.(status, bytes.subarray(head + 4, head + 4 + length));
  }
}

function contentLength(bytes: Buffer): number {
  const at = bytes.indexOf(lengthName);
  if (at < 0) return 0;
  let length = 0;
  for (let i = at + lengthName.length; ; i++) {
    const digit = (bytes[i] as number) - 48;
    if (!(digit >= 0 && digit <= 9)) return length;
    length = length * 10 + digit;
  }
}

/** A whole request as bytes. */
export function request(method: string, path: string, body?: string): Buffer {
  const content =
    body === undefined ? "" : `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n`;
  return Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${content}\r\n${body ?? ""}`);
}
