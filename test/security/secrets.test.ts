/**
 * No secret is ever in a log or an error: a real Troupe that writes all it can write, with every kind of secret, is
 * provoked on every path; then all that it wrote and answered is searched for each of them.
 */
import { createHmac } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pathParameters } from "../../src/gateway/operation.ts";
import { operations } from "../../src/gateway/table.ts";
import { Client } from "../gateway/support/socket.ts";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { until } from "../support/until.ts";

const longMs = 240_000;
const apiKey = "configured-key-0a1b2c3d";
const limitedKey = "limited-key-4e5f6a7b";
const jwtSecret = "shared-secret-8c9d0e1f";
const modelKey = "sk-model-2a3b4c5d6e7f";
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
function jwt(claims: object, secret = jwtSecret): string {
  const text = `${part({ alg: "HS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
}

let troupe: Troupe;
/** By name: what must be nowhere. */
const secrets: Record<string, string> = {
  "a configured key": apiKey,
  "a limited key": limitedKey,
  "the shared secret of tokens": jwtSecret,
  "the model's key": modelKey,
  "a good token": jwt({ sub: "u", scope: "runs:read" }),
  "a forged token": jwt({ sub: "u", scope: "*" }, "guessed"),
  "an expired token": jwt({ sub: "u", exp: 1 }),
  "a key nobody made": `tk_0123456789abcdefghjkmnpqrs_${"Zz9".repeat(14)}Q`,
};
/** All answers: status line, headers, body. */
const answers: string[] = [];

async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const raw = typeof body === "string" ? body : body === undefined ? null : JSON.stringify(body);
  const answer = await fetch(troupe.base + path, {
    method,
    headers: { ...(raw === null ? {} : { "content-type": "application/json" }), ...headers },
    body: raw,
    signal: AbortSignal.timeout(60_000),
  });
  const text = await answer.text();
  return { status: answer.status, text, whole: `${answer.status} ${JSON.stringify([...answer.headers])} ${text}` };
}
/** One whose answer must hold no secret. */
async function provoke(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const answer = await send(method, path, body, headers);
  answers.push(`${method} ${path.split("?")[0]}: ${answer.whole}`);
  return answer;
}
const admin = { "x-api-key": apiKey };

beforeAll(async () => {
  troupe = await startTroupe({
    LOG_LEVEL: "trace",
    TROUPE_API_KEYS: `admin:${apiKey},small:${limitedKey}:tasks:read`,
    TROUPE_JWT_SECRET: jwtSecret,
    MODEL_BASE_URL: "http://127.0.0.1:1/v1",
    MODEL_NAME: "none",
    MODEL_API_KEY: modelKey,
    TROUPE_CALLBACK_ALLOW: "127.0.0.1",
  });
  // These answers hold their secret, this once.
  const key = JSON.parse((await send("POST", "/v1/keys", { name: "stored" }, admin)).text);
  secrets["a stored key"] = key.secret;
  const agent = await send("POST", "/api/v1/agents/register", { id: "agent-1", type: "any" }, admin);
  secrets["an agent's secret"] = JSON.parse(agent.text).client_secret;
  const traded = { client_id: "agent-1", client_secret: secrets["an agent's secret"] };
  secrets["an agent's token"] = JSON.parse((await send("POST", "/v1/auth/token", traded)).text).access_token;
  secrets["a callback secret"] = JSON.parse((await send("GET", "/v1/callback-secret", undefined, admin)).text).secret;
  for (const [name, value] of Object.entries(secrets)) expect([name, value.length]).toEqual([name, expect.any(Number)]);
}, longMs);
afterAll(() => troupe?.stop(), longMs);

const shown = (): Record<string, string>[] => [
  ...Object.values(secrets).flatMap((one) => [
    { "x-api-key": one },
    { authorization: `Bearer ${one}` },
    { authorization: `Basic ${Buffer.from(`u:${one}`).toString("base64")}` },
  ]),
  { "x-api-key": `${apiKey}x`, authorization: `Bearer ${apiKey}` },
];

test("every credential on some paths, in every place", { timeout: longMs }, async () => {
  for (const headers of shown()) {
    for (const path of ["/v1/runs", "/api/v1/tasks/none", "/ninja-api/grpc/none", "/nothing/at/all"]) {
      await provoke("GET", path, undefined, headers);
    }
    await provoke("POST", "/v1/runs", { workflow: { name: "none" } }, headers);
    await provoke("POST", "/v1/runs", "{", headers);
  }
  for (const one of Object.values(secrets)) {
    await provoke("POST", "/v1/auth/token", { client_id: "agent-1", client_secret: `${one}x` });
    await provoke("POST", "/api/v1/auth/token", { client_id: one, client_secret: 7 });
    await provoke("GET", `/v1/runs?limit=x&api_key=${encodeURIComponent(one)}`, undefined, {
      "x-api-key": one,
      "idempotency-key": "k".repeat(300),
      "x-correlation-id": "given",
    });
  }
});

test("every operation, with good and bad credentials and bodies that are wrong", { timeout: longMs }, async () => {
  const wrong = { authorization: `Bearer ${secrets["a forged token"]}` };
  for (const { method, path, name } of operations) {
    if (name === "callbacks.secret" || path === "/v1/callback-secret" || name === "keys.create") continue;
    const at = pathParameters(path).reduce((text, field) => text.replace(`{${field}}`, "none"), path);
    const body = method === "GET" || method === "DELETE" ? undefined : { unknown: [1], name: 7 };
    for (const headers of [admin, wrong, { "x-api-key": secrets["a stored key"] as string }]) {
      await provoke(method, at, body, headers);
    }
  }
});

test("a callback and a health check that fail, a model that is away, a limit that is used up", {
  timeout: longMs,
}, async () => {
  const dead = "http://127.0.0.1:1/callback";
  const body = { target: "agent-1", request_type: "t", data: 1, callback_url: dead, timeout_ms: 50 };
  await provoke("POST", "/v1/requests", body, admin);
  const health_check_url = "http://127.0.0.1:1/health";
  await send("POST", "/v1/agents", { agent_id: "sick", agent_type: "any", heartbeat_ms: 100, health_check_url }, admin);
  const asked = await provoke("POST", "/ninja-api/grpc/execute_task", { prompt: "hello" }, admin);
  const { task_id } = JSON.parse(asked.text);
  await until(
    async () => {
      const { text } = await provoke("POST", "/ninja-api/grpc/get_task_status", { task_id }, admin);
      return ["failed", "completed"].includes(JSON.parse(text).status);
    },
    120_000,
    "the prompt's end",
    500,
  );
  await provoke("GET", `/v1/tasks/${task_id}`, undefined, admin);
  for (const path of ["/v1/agents/sick", "/v1/keys", "/v1/status", "/v1/agents", "/metrics", "/openapi.json", "/"]) {
    await provoke("GET", path, undefined, admin);
  }
});

test("sockets: refused and opened with the secret in the address", { timeout: longMs }, async () => {
  for (const [name, one] of Object.entries(secrets)) {
    const path = `/v1/ws?api_key=${encodeURIComponent(one)}`;
    const client = await Client.at(troupe.base, path).catch((error: Error) => error);
    if (client instanceof Error) {
      answers.push(`${name}: ${client.message}`);
      continue;
    }
    client.send("{");
    const error = await client.next((m) => m.type === "error");
    const refused = await client.call({ type: "request", id: "1", operation: "runs.create", input: { a: 1 } });
    answers.push(JSON.stringify([error, refused]));
    client.close();
  }
});

test("none of them is in anything that was answered or written", async () => {
  expect(answers.length).toBeGreaterThan(300);
  const data = join(troupe.folder, "data");
  const logs = readdirSync(data, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".log"));
  const written = [troupe.errors(), ...logs.map((file) => readFileSync(join(data, file), "utf8"))];
  expect(troupe.errors()).toContain('"level":');
  for (const [name, secret] of Object.entries(secrets)) {
    // The part behind a key's id is what must not be told.
    const core = /^tk_[^_]+_(.+)$/.exec(secret)?.[1] ?? secret;
    const forms = [
      core,
      encodeURIComponent(core),
      Buffer.from(core).toString("base64").replace(/=+$/, "").slice(0, -2),
    ];
    for (const form of forms) {
      const answered = answers.find((one) => one.includes(form));
      expect([name, answered?.slice(0, 300)]).toEqual([name, undefined]);
      const line = written.flatMap((text) => text.split("\n")).find((one) => one.includes(form));
      expect([name, line?.slice(0, 500)]).toEqual([name, undefined]);
    }
  }
});
