/** Live news over `/v1/ws`: a chat agent's pieces reach whoever subscribes to them, on the real runtime. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "../../src/bus/system-clock.ts";
import { createGateway, type Gateway } from "../../src/gateway/index.ts";
import { type Real, startReal } from "./support/real-runtime.ts";
import { Client } from "./support/socket.ts";

let real: Real;
let gateway: Gateway;
let base: string;

beforeAll(async () => {
  real = await startReal();
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  const config = { host: "127.0.0.1", port: 0, version: "test" };
  gateway = createGateway({ runtime: real.runtime, clock: systemClock, logger, config });
  base = `http://127.0.0.1:${await gateway.listen()}`;
});
afterAll(async () => {
  await gateway.close(1_000);
  await real.stop();
});

const say = async (id: string, content: string): Promise<void> => {
  const input = { threadId: "t", runId: id, messages: [{ id: "m1", role: "user", content }] };
  const answer = await fetch(`${base}/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ task_id: id, task_type: "echo-chat", input }),
  });
  expect(answer.status).toBe(201);
};

test.each(["json", "msgpack"])(
  "a chat agent's pieces come as they are told (%s)",
  { timeout: 30_000 },
  async (format) => {
    const client = await Client.open(base, [format]);
    const id = `task_live_${format}`;
    const pattern = `live.${id}.>`;
    expect(await client.call({ type: "subscribe", id: "l", pattern })).toEqual({ type: "subscribed", id: "l" });
    await client.call({ type: "subscribe", id: "e", pattern: `event.${id}.>` });
    await say(`${id}_other`, "not for us");
    await say(id, "one two three");
    await client.next((m) => m.type === "event" && m.event.name === "completed");
    const pieces = client.messages.filter((m) => m.type === "live");
    expect(pieces.map(({ live }) => live.data.text).join("")).toBe("one two three");
    expect(pieces.length).toBe(3);
    expect(pieces[0]).toMatchObject({
      id: "l",
      live: { root: id, type: "task", key: id, kind: "echo-chat", name: "delta", at: expect.stringMatching(/Z$/) },
    });
    expect(await client.call({ type: "unsubscribe", id: "l" })).toEqual({ type: "unsubscribed", id: "l" });
    client.close();
  },
);

test.each([
  { pattern: "live.x.>", since: "c" },
  { pattern: "live.x.>", filter: { name: "delta" } },
  { pattern: "live..x" },
  { pattern: "live.>.x" },
])("refused: %o", async (asked) => {
  const client = await Client.open(base);
  const answer = await client.call({ type: "subscribe", id: "l", ...asked });
  expect(answer).toMatchObject({ type: "error", id: "l", error: { code: "invalid_input" } });
  client.close();
});
