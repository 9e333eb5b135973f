/**
 * An agent's own credentials end to end, against a real Troupe with keys: registered by an operator, traded for tokens,
 * used by the worker SDKs; good for that agent alone, and until it leaves.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ApiError } from "../../clients/typescript/src/api.ts";
import { type Task, Worker } from "../../clients/typescript/src/index.ts";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";
import { until } from "../support/until.ts";

const longMs = 120_000;
const key = "operator-key-0123456789";
let troupe: Troupe;

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
type Body = any;

async function send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const answer = await fetch(troupe.base + path, {
    method,
    headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(30_000),
  });
  const text = await answer.text();
  return { status: answer.status, body: (text === "" ? null : JSON.parse(text)) as Body };
}
const asOperator = (method: string, path: string, body?: unknown) => send(method, path, body, { "x-api-key": key });

async function registered(id: string, type: string): Promise<{ client_id: string; client_secret: string }> {
  const made = await asOperator("POST", "/api/v1/agents/register", { id, type, name: id, capabilities: [] });
  expect(made.status).toBe(200);
  const { client_id, client_secret } = made.body;
  expect(made.body.agent_credentials).toEqual({ client_id, client_secret });
  return { client_id, client_secret };
}

async function ended(task: string): Promise<Body> {
  let now: Body;
  await until(
    async () => {
      now = (await asOperator("GET", `/v1/tasks/${task}`)).body;
      return ["completed", "failed", "cancelled", "timed_out"].includes(now.status);
    },
    longMs,
    `the end of ${task}`,
  );
  return now;
}
const created = async (task_type: string, input: unknown): Promise<string> =>
  (await asOperator("POST", "/v1/tasks", { task_type, input })).body.task.task_id;

beforeAll(async () => {
  troupe = await startTroupe({ TROUPE_API_KEYS: `operator:${key},reader:reader-key:runs:read+tasks:read` });
}, longMs);
afterAll(() => troupe?.stop(), longMs);

test("a token is for its agent alone, in every dialect, and until it leaves", { timeout: longMs }, async () => {
  const mine = await registered("mine", "any");
  await registered("other", "any");
  for (const [path, body] of [
    ["/api/v1/auth/token", mine],
    ["/api/v1/auth/token", { agent_credentials: mine }],
    ["/v1/auth/token", mine],
  ] as const) {
    const traded = await send("POST", path, body);
    expect(traded).toMatchObject({ status: 200, body: { token_type: "Bearer", expires_in: 3600 } });
    const token = { authorization: `Bearer ${traded.body.access_token}` };
    const beat = { status: "active", current_tasks: 0 };
    expect((await send("POST", "/api/v1/agents/mine/heartbeat", beat, token)).status).toBe(200);
    const foreign = await send("POST", "/api/v1/agents/other/heartbeat", beat, token);
    expect([foreign.status, foreign.body.error.code]).toEqual([403, "FORBIDDEN"]);
    expect((await send("DELETE", "/api/v1/agents/other", undefined, token)).status).toBe(403);
    expect((await send("POST", "/v1/keys", { name: "k" }, token)).status).toBe(403);
    const made = await send("POST", "/v1/agents", { agent_type: "any", agent_id: "third" }, token);
    expect(made.status).toBe(403);
  }
  for (const wrong of [
    { ...mine, client_secret: "secret-key" },
    { ...mine, client_id: "nobody" },
  ]) {
    const refused = await send("POST", "/api/v1/auth/token", wrong);
    expect([refused.status, refused.body.error.code]).toEqual([401, "AUTHENTICATION_FAILED"]);
  }
  expect((await send("POST", "/api/v1/auth/token", { client_id: "mine" })).status).toBe(400);
  const { access_token } = (await send("POST", "/v1/auth/token", mine)).body;
  const token = { authorization: `Bearer ${access_token}` };
  expect((await send("DELETE", "/v1/agents/mine", undefined, token)).status).toBe(200);
  expect((await send("POST", "/v1/auth/token", mine)).status).toBe(401);
  await until(async () => (await send("GET", "/v1/agents/mine", undefined, token)).status === 401, 30_000);
});

test("the TypeScript worker works with its own credentials, stops, and comes again", { timeout: longMs }, async () => {
  const { client_id: clientId, client_secret: clientSecret } = await registered("shouter", "shout");
  const work = async (run: (task: Task<Body>) => unknown): Promise<Worker<Body, unknown>> => {
    const credentials = { clientId, clientSecret };
    const worker = new Worker<Body, unknown>({ url: troupe.base, credentials, agentType: "shout", drainMs: 50, run });
    await worker.start();
    return worker;
  };
  const first = await work((task) => ({ text: task.input.text.toUpperCase() }));
  expect([first.agentId, first.clientSecret]).toEqual(["shouter", null]);
  expect(await ended(await created("shout", { text: "a" }))).toMatchObject({ agent: "shouter", output: { text: "A" } });
  await first.stop();

  const stuck = await work((task) => new Promise((_, reject) => task.signal.addEventListener("abort", reject)));
  const left = await created("shout", { text: "b" });
  await until(() => stuck.running === 1, 30_000, "the task to be taken");
  await stuck.stop();
  const third = await work((task) => task.input.text.repeat(2));
  expect(await ended(left)).toMatchObject({ status: "completed", output: "bb" });
  await third.stop();
});

test("a worker with a wrong secret, or a key without the scope, says so at once", { timeout: longMs }, async () => {
  for (const [credentials, status] of [
    [{ clientId: "shouter", clientSecret: "guess" }, 401],
    [{ apiKey: "reader-key" }, 403],
    [undefined, 401],
  ] as const) {
    const worker = new Worker({ url: troupe.base, credentials, agentType: "shout", run: () => null });
    const refusal = await worker.start().catch((error: unknown) => error);
    expect(refusal).toBeInstanceOf(ApiError);
    expect((refusal as ApiError).status).toBe(status);
  }
});

test("the Python worker works with its own credentials; its example with a key", { timeout: longMs }, async () => {
  const { client_id, client_secret } = await registered("python-shouter", "pyshout");
  const script = [
    "import os, sys, threading",
    "from troupe_worker import Worker",
    "w = Worker(os.environ['URL'], 'pyshout', lambda task: task.input['text'].upper(),",
    "           client_id=os.environ['ID'], client_secret=os.environ['SECRET'], drain=0.1)",
    "w.start()",
    "print('takes tasks', flush=True)",
    "sys.stdin.read()",
    "w.stop()",
    "Worker(os.environ['URL'], 'pyshout', lambda task: None,",
    "       client_id=os.environ['ID'], client_secret=os.environ['SECRET']).start()",
    "print('came again', flush=True)",
  ].join("\n");
  const cwd = join(import.meta.dirname, "../../clients/python");
  const env = { PATH: process.env.PATH, URL: troupe.base, ID: client_id, SECRET: client_secret, TROUPE_API_KEY: key };
  const own = spawn("python3", ["-B", "-c", script], { cwd, env, stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: own.stdout })[Symbol.asyncIterator]();
  expect((await lines.next()).value).toBe("takes tasks");
  const done = await ended(await created("pyshout", { text: "a" }));
  expect(done).toMatchObject({ agent: "python-shouter", output: "A" });
  const exited = once(own, "exit");
  own.stdin.end();
  expect((await lines.next()).value).toBe("came again");
  expect((await exited)[0]).toBe(0);

  const argv = ["-B", "-m", "examples.python_audit", troupe.base];
  const example = spawn("python3", argv, { cwd, env, stdio: ["ignore", "pipe", "inherit"] });
  const left = once(example, "exit");
  await once(createInterface({ input: example.stdout }), "line");
  const audited = await ended(await created("python-audit", { files: { "a.py": "x = 1\n" } }));
  expect(audited.status).toBe("completed");
  example.kill("SIGTERM");
  await left;
});

test("no secret is in what the server wrote", () => {
  expect(troupe.errors()).not.toContain(key);
});
