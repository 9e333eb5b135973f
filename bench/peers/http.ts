/** The HTTP client of every system that has one: connections kept alive, one request at a time on each. */
import { Pool } from "undici";

export interface Http {
  /** The answer's JSON; throws when it is an error. */
  call<T>(method: "GET" | "POST" | "PATCH" | "PUT", path: string, body?: unknown): Promise<T>;
  stop(): Promise<void>;
}

/** More than are ever in flight at once. */
const connectionsMax = 64;

export function httpClient(port: number): Http {
  const pool = new Pool(`http://127.0.0.1:${port}`, {
    connections: connectionsMax,
    pipelining: 1,
    headersTimeout: 300_000,
    bodyTimeout: 300_000,
  });
  return {
    async call<T>(method: string, path: string, body?: unknown) {
      const answer = await pool.request({
        method: method as "POST",
        path,
        ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      const text = await answer.body.text();
      if (answer.statusCode >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 500)}`);
      return (text === "" ? undefined : JSON.parse(text)) as T;
    },
    stop: () => pool.destroy(),
  };
}
