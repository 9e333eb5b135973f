/**
 * A model that answers at a steady pace, OpenAI's way: every token is the time at which it was sent, in ns of the
 * clock that all processes of this machine share.
 */
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { serve } from "../process.ts";

export const handlers = { listen };
if (process.send !== undefined) serve(handlers);

/** Gives the port. Each answer has so many tokens, one every `everyMs`. */
function listen({ tokens, everyMs }: { tokens: number; everyMs: number }): Promise<number> {
  const server = createServer((request, response) => {
    request.resume();
    request.once("end", () => answer(response, tokens, everyMs));
  });
  server.keepAliveTimeout = 60_000;
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}

function answer(response: ServerResponse, tokens: number, everyMs: number): void {
  response.socket?.setNoDelay(true);
  response.writeHead(200, { "content-type": "text/event-stream" });
  let sent = 0;
  const timer = setInterval(() => {
    if (sent++ < tokens) {
      const content = `${process.hrtime.bigint()} `;
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
      return;
    }
    clearInterval(timer);
    const usage = { prompt_tokens: 1, completion_tokens: tokens };
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }], usage })}\n\n`);
    response.end("data: [DONE]\n\n");
  }, everyMs);
  response.once("close", () => clearInterval(timer));
}
