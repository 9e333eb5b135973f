/**
 * A client that does not give up: sends a command again until it is acknowledged or refused, and
 * tells whether an earlier try may have been carried out.
 */
import { createHash } from "node:crypto";
import { pause } from "./harness.ts";
import { fetchAll } from "./http.ts";

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Body = { [key: string]: Json };

export interface Reply {
  readonly status: number;
  readonly body: Body;
  /** An earlier try's outcome is not known: it may have taken effect. */
  readonly doubt: boolean;
}

const giveUpMs = 120_000;
const againMs = 30;
const retryable = [429, 503, 504, 507];

export class Client {
  /** Answers that no client should ever see. */
  readonly faults: string[] = [];

  /** One address, or another one at each try. */
  constructor(private readonly door: string | (() => string)) {}

  get base(): string {
    return typeof this.door === "string" ? this.door : this.door();
  }

  /** One try: null when there was no answer. */
  async once(method: string, path: string, body?: Json, key?: string): Promise<Omit<Reply, "doubt"> | null> {
    try {
      const { status, body: bytes } = await fetchAll(this.base + path, {
        method,
        headers: {
          ...(body === undefined ? {} : { "content-type": "application/json" }),
          ...(key === undefined ? {} : { "idempotency-key": key }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = bytes.toString();
      if (status === 500) this.faults.push(`${method} ${path}: 500 ${text}`);
      return { status, body: JSON.parse(text) as Body };
    } catch {
      return null;
    }
  }

  /** Again until there is an answer that is final. */
  async send(method: string, path: string, body?: Json, key?: string): Promise<Reply> {
    const deadline = performance.now() + giveUpMs;
    for (let doubt = false; ; doubt = true) {
      const reply = await this.once(method, path, body, key);
      if (reply !== null && !retryable.includes(reply.status)) return { ...reply, doubt };
      if (performance.now() > deadline) {
        throw new Error(`${method} ${path}: no answer for ${giveUpMs} ms; last: ${JSON.stringify(reply)}`);
      }
      await pause(againMs);
    }
  }

  async get(path: string): Promise<Body> {
    const { status, body } = await this.send("GET", path);
    if (status !== 200) throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
    return body;
  }

  /** Every item of a paged list. */
  async all(path: string, limit = 50): Promise<Body[]> {
    const items: Body[] = [];
    for (let cursor: string | null = null; ; ) {
      const address: string = `${path}${path.includes("?") ? "&" : "?"}limit=${limit}`;
      const page = await this.get(cursor === null ? address : `${address}&cursor=${encodeURIComponent(cursor)}`);
      items.push(...(page.data as Body[]));
      cursor = page.next_cursor as string | null;
      if (cursor === null) return items;
    }
  }

  /** What an artifact holds: its data, or the downloaded file, whose size and hash must be as told. */
  async artifact(id: string): Promise<Json> {
    const artifact = await this.get(`/v1/artifacts/${encodeURIComponent(id)}`);
    const file = artifact.file as Body | undefined;
    if (!file) return artifact.data ?? null;
    const bytes = await this.download(file.download_url as string);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    if (bytes.length !== file.size_bytes || sha256 !== file.sha256) throw new Error(`${id}: other bytes than told`);
    return bytes.toString();
  }

  private async download(address: string): Promise<Buffer> {
    const { status, body } = await fetchAll(new URL(address, this.base));
    if (status !== 200) throw new Error(`download ${address}: ${status} ${body.toString().slice(0, 1_000)}`);
    return body;
  }
}
