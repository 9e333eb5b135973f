/**
 * Golden transcripts: what a client sends and gets, in order, over HTTP and sockets, compared with a stored file in
 * which everything that differs from time to time (times, made ids) has a name. `TROUPE_WRITE_GOLDEN=1` writes the
 * files anew; a change of them is a change of a published contract and wants a reason.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "vitest";

export interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

export interface Got {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
  readonly body: any;
}

type Line =
  | { readonly what: string; readonly send: object; readonly status: number; readonly body: unknown }
  | { readonly what: string; readonly socket: "sent" | "got"; readonly message: unknown };

const folder = join(import.meta.dirname, "golden");
const time = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;
const madeId = /[0-9a-hjkmnp-tv-z]{26}/g;
/** Fields whose number is a matter of the machine. */
const measured = /(_ms|_rate|_time|_per_minute|requests|errors|connections)$/;

export interface TranscriptOptions {
  /** Headers of every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Further texts that differ: text → its name. */
  readonly names?: Readonly<Record<string, string>>;
  /** Fields whose value differs, beyond times, ids and measured numbers. */
  readonly vary?: readonly string[];
}

export class Transcript {
  private readonly lines: Line[] = [];
  private readonly ids = new Map<string, string>();
  private readonly given = new Set<string>();
  private readonly file: string;
  private readonly base: string;
  private readonly options: TranscriptOptions;

  /** `name`: of the file under `golden/`. `base`: `http://host:port`. */
  constructor(name: string, base: string, options: TranscriptOptions = {}) {
    this.file = join(folder, `${name}.json`);
    this.base = base;
    this.options = options;
  }

  /** One exchange over HTTP, told; `shown`: what is told of the answer, where not all of it is a matter of the contract. */
  async http(what: string, sent: Sent, shown: (body: unknown) => unknown = (body) => body): Promise<Got> {
    const { method = sent.body === undefined ? "GET" : "POST", path, body } = sent;
    this.keep(sent);
    const response = await fetch(this.base + path, {
      method,
      headers: {
        ...(body !== undefined && { "content-type": "application/json" }),
        ...this.options.headers,
        ...sent.headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const json = response.headers.get("content-type")?.startsWith("application/json") === true;
    const got = json && text !== "" ? JSON.parse(text) : text;
    const send = { method, path, ...(body !== undefined && { body }) };
    this.lines.push({ what, send, status: response.status, body: shown(got) });
    return { status: response.status, headers: response.headers, body: got };
  }

  /** A message of a socket, told as it comes or goes. */
  socket(what: string, socket: "sent" | "got", message: unknown): void {
    if (socket === "sent") this.keep(message);
    this.lines.push({ what, socket, message });
  }

  /** Compares with the stored file, or writes it when asked to. */
  check(): void {
    const lines = this.lines.map((line) => this.plain(line, ""));
    if (process.env.TROUPE_WRITE_GOLDEN === "1") {
      mkdirSync(dirname(this.file), { recursive: true });
      writeFileSync(this.file, `${JSON.stringify(lines, null, 2)}\n`);
    }
    expect(existsSync(this.file), `${this.file} is there`).toBe(true);
    expect(lines).toEqual(JSON.parse(readFileSync(this.file, "utf8")));
  }

  /** Texts that the client itself has sent stay as they are. */
  private keep(value: unknown): void {
    for (const [text] of JSON.stringify(value).matchAll(time)) this.given.add(text);
  }

  private plain(value: unknown, field: string): unknown {
    if (typeof value === "string") return this.options.vary?.includes(field) === true ? `<${field}>` : this.text(value);
    if (typeof value === "number") {
      return measured.test(field) || this.options.vary?.includes(field) === true ? "<number>" : value;
    }
    if (Array.isArray(value)) return value.map((one) => this.plain(one, field));
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [this.text(key), this.plain(one, key)]));
  }

  private text(value: string): string {
    let text = value;
    for (const [own, name] of Object.entries(this.options.names ?? {})) text = text.replaceAll(own, `<${name}>`);
    return text
      .replace(time, (one) => (this.given.has(one) ? one : "<time>"))
      .replace(madeId, (one) => {
        const known = this.ids.get(one) ?? `<id ${this.ids.size + 1}>`;
        this.ids.set(one, known);
        return known;
      });
  }
}
