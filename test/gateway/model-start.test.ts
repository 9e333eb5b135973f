/** A model named in the settings answers through the started node: the whole way, from MODEL_BASE_URL to a client. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "./support/troupe.ts";

let model: Server;
let troupe: Troupe;
const asked: { url: string | undefined; body: { model: string; messages: unknown[] } }[] = [];

beforeAll(async () => {
  model = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push({ url: request.url, body: JSON.parse(body) });
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const content of ["Grüß ", "dich"]) {
      response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`);
    }
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`);
    response.end("data: [DONE]\n\n");
  });
  await new Promise<void>((resolve) => model.listen(0, "127.0.0.1", resolve));
  const { port } = model.address() as AddressInfo;
  troupe = await startTroupe({ MODEL_BASE_URL: `http://127.0.0.1:${port}/v1`, MODEL_NAME: "small" });
}, 120_000);
afterAll(async () => {
  await troupe?.stop();
  model?.close();
}, 60_000);

test("the model agent streams the model's words", { timeout: 60_000 }, async () => {
  const messages = [{ id: "m1", role: "user", content: "Say hello" }];
  const input = { threadId: "t1", runId: "r1", messages, tools: [], context: [], state: {}, forwardedProps: {} };
  const answer = await fetch(`${troupe.base}/ag-ui/agents/model`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify(input),
  });
  expect(answer.status).toBe(200);
  const events = (await answer.text())
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice(6)) as { type: string; delta?: string });
  expect(events.at(-1)?.type).toBe("RUN_FINISHED");
  expect(events.map(({ delta = "" }) => delta).join("")).toBe("Grüß dich");
  expect(asked).toHaveLength(1);
  expect(asked[0]).toMatchObject({ url: "/v1/chat/completions", body: { model: "small" } });
});
