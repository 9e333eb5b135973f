/** Health checks of agents, against a real Troupe that is killed in between, and a real HTTP server. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RestartableTroupe } from "../clients/restartable.ts";
import { until } from "../support/until.ts";

const longMs = 240_000;
let troupe: RestartableTroupe;
let server: Server;
let url: string;
/** What the server answers, and how often each path was asked. */
let answer = 200;
const asked = new Map<string, number>();

beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    asked.set(path, (asked.get(path) ?? 0) + 1);
    response.writeHead(path === "/always-broken" ? 500 : answer).end();
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  troupe = await RestartableTroupe.begin({ TROUPE_CALLBACK_ALLOW: "127.0.0.1" });
}, longMs);
afterAll(async () => {
  server.closeAllConnections();
  server.close();
  await troupe?.stop();
}, longMs);

async function post(path: string, body: object): Promise<void> {
  const reply = await fetch(troupe.base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  expect([reply.status, await reply.text()]).toEqual([expect.toBeOneOf([200, 201]), expect.any(String)]);
}
const register = (agent_id: string, health_check_url: string) =>
  post("/v1/agents", { agent_id, agent_type: "coder", heartbeat_ms: 500, liveness: false, health_check_url });
async function status(agent: string): Promise<string> {
  const reply = await fetch(`${troupe.base}/v1/agents/${agent}`);
  return ((await reply.json()) as { status: string }).status;
}
const becomes = (agent: string, wanted: string) =>
  until(async () => (await status(agent)) === wanted, 60_000, `${agent} to be ${wanted}`, 50);
const polled = (path: string, more = 1) => {
  const before = asked.get(path) ?? 0;
  return until(() => (asked.get(path) ?? 0) >= before + more, 60_000, `${path} to be polled`, 50);
};

test("an agent whose health check fails is unavailable until it is well again, over a kill -9", {
  timeout: longMs,
}, async () => {
  await register("checked", `${url}/health`);
  await polled("/health", 2);
  expect(await status("checked")).toBe("idle");
  answer = 503;
  await becomes("checked", "unavailable");
  answer = 204;
  await becomes("checked", "idle");

  await troupe.kill();
  await troupe.start();
  await polled("/health", 2);
  answer = 500;
  await becomes("checked", "unavailable");
  await post("/v1/agents/checked/heartbeat", {});
  expect(await status("checked")).toBe("unavailable");
  answer = 200;
  await fetch(`${troupe.base}/v1/agents/checked`, { method: "DELETE" });
  await becomes("checked", "gone");
  await register("other", `${url}/other`);
  const before = asked.get("/health");
  await polled("/other", 4);
  expect((asked.get("/health") ?? 0) - (before ?? 0)).toBeLessThanOrEqual(1);
});

test("one that has never answered well, or may not be called, says nothing of the agent", {
  timeout: longMs,
}, async () => {
  await register("broken", `${url}/always-broken`);
  await register("private", "http://10.1.2.3/health");
  await polled("/always-broken", 5);
  expect([await status("broken"), await status("private")]).toEqual(["idle", "idle"]);
});
