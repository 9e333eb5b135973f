/**
 * HTTP requests that always come to an end: with an answer, or with an error when the server dies or
 * is silent for too long. (fetch of Node 20 may wait for ever when it is aborted within a body.)
 */
import { request as httpRequest, type IncomingMessage } from "node:http";

const silenceMsMax = 20_000;

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Without a byte for so long it is over. */
  readonly silenceMs?: number;
}

/** The head of the answer; the body is to be read or destroyed. */
export function open(url: URL | string, asked: Asked = {}): Promise<IncomingMessage> {
  const { method = "GET", headers = {}, body, silenceMs = silenceMsMax } = asked;
  return new Promise((resolve, reject) => {
    const request = httpRequest(url, { method, headers, agent: false, timeout: silenceMs });
    request.on("timeout", () => request.destroy(new Error(`silent for ${silenceMs} ms`)));
    request.on("error", reject);
    request.on("response", resolve);
    request.end(body);
  });
}

/** The whole answer. */
export async function fetchAll(url: URL | string, asked: Asked = {}): Promise<{ status: number; body: Buffer }> {
  const response = await open(url, asked);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode ?? 0, body: Buffer.concat(chunks) };
}
