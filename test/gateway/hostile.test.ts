/**
 * Hostile and random input over HTTP and WebSocket against the real runtime: never a 5xx, always the errors' shape,
 * and what was refused has changed nothing.
 */
import { once } from "node:events";
import { connect } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { errorKinds } from "../../src/machines/errors.ts";
import { type Real, startReal, workflows } from "./support/real-runtime.ts";
import { Client, type Message } from "./support/socket.ts";
import { type Reply, type Started, startOver } from "./support/start.ts";

let real: Real;
let on: Started<Real["runtime"]>;
let runId: string;
let held: Counts;

interface Counts {
  readonly run: number;
  readonly task: number;
  readonly workflow: number;
}

async function counts(): Promise<Counts> {
  const count = async (type: string): Promise<number> => {
    let n = 0;
    for (let cursor: string | null | undefined; cursor !== null; ) {
      const page = await real.runtime.list({ type, limit: 200, ...(cursor === undefined ? {} : { cursor }) });
      n += page.items.length;
      cursor = page.nextCursor;
    }
    return n;
  };
  return { run: await count("run"), task: await count("task"), workflow: await count("workflow") };
}

beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime, { limits: { bodyBytesMax: 1 << 20 } });
  for (const definition of workflows) await on.send("PUT", `/v1/workflows/${definition.name}`, definition);
  const body = { workflow: { name: "document-brief" }, input: { text: "# A\n\nSome words here.", auto_approve: true } };
  runId = (await on.send("POST", "/v1/runs", body)).body.run.run_id;
  const ended = await fetch(`${on.base}/v1/runs/${runId}/events`, { headers: { accept: "text/event-stream" } });
  expect(await ended.text()).toContain("run.completed");
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});
beforeEach(async () => {
  held = await counts();
});

/** The shape of a refusal, and no more than that. */
function expectRefusal(reply: Reply, what: unknown): void {
  const context = JSON.stringify({ what, status: reply.status, text: reply.text.slice(0, 300) });
  expect(reply.status, context).toBeLessThan(500);
  expect(reply.status, context).toBeGreaterThanOrEqual(400);
  expect(reply.body?.error, context).toMatchObject({
    code: expect.any(String),
    message: expect.stringMatching(/\.$/),
    retryable: expect.any(Boolean),
    correlation_id: expect.stringMatching(/./),
  });
  expect(Object.keys(errorKinds), context).toContain(reply.body.error.code);
  expect(reply.text, context).not.toMatch(/\bat .*\.(ts|js):\d+|node_modules|TypeError|ZodError/);
}

function expectSane(reply: Reply, what: unknown): void {
  if (reply.status >= 400) expectRefusal(reply, what);
}

const nasty = fc.constantFrom(
  "' OR 1=1 --",
  '"; DROP TABLE runs; --',
  "../../etc/passwd",
  "%00",
  "\u0000",
  "\u202e\u200b\ufeff",
  "𝒳".repeat(40),
  `run_${"é".repeat(100)}`,
  "~",
  "a~b",
  "*",
  ">",
  "a.b.>",
  "$JS.API.>",
  "${input}",
  "{{7*7}}",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "x".repeat(5_000),
  ".",
  "..",
  "-1",
  "1e309",
  "NaN",
);
const word = fc.oneof(nasty, fc.string({ maxLength: 40 }), fc.string({ unit: "binary", maxLength: 20 }));
const value = fc.oneof(
  { depthSize: "medium" },
  fc.jsonValue(),
  word,
  fc.constantFrom(null, true, -0, 1e308, -1, 0.5, 2 ** 53, [], {}, [[[[]]]]),
);
/** As text: what no object literal can hold. */
const nastyJson = fc.constantFrom(
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"a":1,"a":2}',
  '{"n":1e999}',
  '{"n":-1e999}',
  `{"n":${"9".repeat(400)}}`,
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
  `${'{"a":'.repeat(200)}1${"}".repeat(200)}`,
  '{"a":"\\ud800"}',
  '{"$blob":{"name":"x/y","bytes":1,"sha256":"0"}}',
  '{"a":{"$blob":1}}',
  "{",
  '"',
  "nul",
  "\u00a0{}",
  "\ufeff{}",
  "[1,]",
  "0x10",
);
const fields = [
  "workflow",
  "input",
  "context",
  "metadata",
  "labels",
  "name",
  "version",
  "limit",
  "task_type",
  "stages",
];
const anyBody = fc.oneof(
  nastyJson,
  value.map((v) => JSON.stringify(v)),
  fc.dictionary(fc.oneof(fc.constantFrom(...fields), word), value, { maxKeys: 6 }).map((v) => JSON.stringify(v)),
  nastyJson.map((json) => `{"workflow":{"name":"echo"},"input":${json}}`),
  fc
    .tuple(fc.constantFrom(...fields), value)
    .map(([field, v]) => JSON.stringify({ workflow: { name: "echo" }, input: 1, [field]: v })),
  value.map((v) => JSON.stringify({ name: "hostile", version: "1.0.0", stages: [v] })),
  value.map((v) =>
    JSON.stringify({
      name: "hostile",
      version: "1.0.0",
      stages: [{ name: "a", agent_type: "echo", input: v, when: v }],
    }),
  ),
);
const targets = () =>
  fc.constantFrom(
    ["POST", "/v1/runs"],
    ["POST", "/v1/tasks"],
    ["PUT", "/v1/workflows/hostile"],
    ["POST", `/v1/runs/${runId}/human/review/approve`],
    ["POST", `/v1/runs/${runId}/human/review/provide_input`],
    ["POST", `/v1/runs/${runId}/human/nobody/reject`],
  );
const settings = (numRuns: number) => ({ numRuns, endOnFailure: false, verbose: 1 }) as const;

test("bodies of any shape: refused in the errors' shape, or kept as they are", { timeout: 60_000 }, async () => {
  let made = { run: 0, task: 0 };
  await fc.assert(
    fc.asyncProperty(targets(), anyBody, async ([method = "", path = ""], body) => {
      const reply = await on.send(method, path, body);
      expectSane(reply, [method, path, body]);
      if (reply.status === 201)
        made = path === "/v1/runs" ? { ...made, run: made.run + 1 } : { ...made, task: made.task + 1 };
    }),
    settings(500),
  );
  expect(({} as { polluted?: number }).polluted).toBeUndefined();
  const now = await counts();
  expect(now.run - held.run).toBe(made.run);
  expect(now.workflow - held.workflow).toBeLessThanOrEqual(1);
  // A run of echo has one task.
  expect(now.task - held.task).toBe(made.run + made.task);
});

test("a run keeps keys that mean something to JavaScript, and changes nothing else", async () => {
  const input =
    '{"constructor":{"prototype":{"x":1}},"toString":1,"hasOwnProperty":[],"valueOf":null,"":0,"a.b":1,"length":9}';
  const made = await on.send("POST", "/v1/runs", `{"workflow":{"name":"echo"},"input":${input}}`);
  expect(made.status).toBe(201);
  const id = made.body.run.run_id;
  await expect.poll(async () => (await on.get(`/v1/runs/${id}`)).body.status).toBe("succeeded");
  expect((await on.get(`/v1/runs/${id}`)).body.output).toEqual(JSON.parse(input));
});

test("bytes that are no UTF-8", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 60 }), async (bytes) => {
      expectRefusal(
        await on.send(
          "POST",
          "/v1/runs",
          Buffer.concat([Buffer.from('{"workflow":"'), bytes, Buffer.from([0xc3, 0x28])]),
        ),
        bytes,
      );
    }),
    settings(60),
  );
  expect(await counts()).toEqual(held);
});

test("ids, queries and cursors of any text", { timeout: 60_000 }, async () => {
  const places = [
    "/v1/runs/{}",
    "/v1/runs/{}/events",
    "/v1/tasks/{}",
    "/v1/agents/{}",
    "/v1/workflows/{}",
    "/v1/workflows/{}/schemas",
    "/v1/artifacts/{}",
    "/v1/artifacts/{}/download",
    "/v1/runs?cursor={}",
    "/v1/runs?limit={}",
    "/v1/runs?status={}",
    "/v1/runs?workflow_name={}",
    "/v1/runs?{}=1",
    "/v1/tasks?cursor={}",
    "/v1/tasks?run_id={}",
    "/v1/workflows?tag={}",
    "/v1/workflows/echo?version={}",
    "/{}",
    `/v1/runs/${runId}/events?cursor={}`,
    `/v1/runs/${runId}/human/{}/approve`,
  ];
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...places),
      word,
      fc.constantFrom("GET", "DELETE"),
      async (place, text, method) => {
        const escaped = encodeURIComponent(Buffer.from(text).toString());
        const path = place.replace("{}", escaped);
        if (new URL(on.base + path).pathname === `/v1/runs/${runId}`) return;
        expectSane(await on.send(method, path), [method, path]);
      },
    ),
    settings(600),
  );
  expect(await counts()).toEqual(held);
});

test("forged cursors and Last-Event-ID", async () => {
  const page = await on.get(`/v1/runs/${runId}/events?limit=2`);
  const cursor = page.body.next_cursor as string;
  for (const forged of [cursor.slice(0, -1), `${cursor}A`, `A${cursor}`, cursor.toUpperCase(), "", "null", "W10"]) {
    if (forged === cursor) continue;
    expectRefusal(await on.get(`/v1/runs/${runId}/events?cursor=${forged}`), forged);
    expectRefusal(await on.get(`/v1/runs?cursor=${cursor}`), "of another list");
  }
  const sse = { accept: "text/event-stream" };
  for (const id of ["x", "-1", "1e3", "99999999999999999999", `${runId}`, "' OR 1=1", "0x1", "9".repeat(2_000)]) {
    const reply = await on.get(`/v1/runs/${runId}/events`, { ...sse, "last-event-id": id });
    if (reply.status !== 200) expectRefusal(reply, id);
  }
  for (const raw of [
    "f1_0.0_0_0",
    "f1_zzzzzzzzzzzz.0_0_0",
    "f1_0_0_0",
    "f1_0.0_9_zzzzzzzz",
    "f1_-1.0_0_0",
    "f2_0.0_0_0",
    "f1_1.1_zzz_0",
  ]) {
    const client = await Client.open(on.base);
    const since = Buffer.from(raw).toString("base64url");
    const answer = await client.call({ type: "subscribe", id: "s", pattern: ">", since });
    if (answer.type === "error") expect(["invalid_input", "cursor_expired"], raw).toContain(answer.error.code);
    else expect(answer.type, raw).toBe("subscribed");
    client.close();
  }
});

test("a download's signature altered in any position is refused", { timeout: 60_000 }, async () => {
  const run = (await on.get(`/v1/runs/${runId}`)).body;
  const { artifact_id } = run.artifacts.find((a: { type: string }) => a.type === "file");
  const url = new URL((await on.get(`/v1/artifacts/${encodeURIComponent(artifact_id)}`)).body.file.download_url);
  const target = url.pathname + url.search;
  expect((await on.get(target)).status).toBe(200);
  const alphabet = "ABab01-_%.&=/";
  for (let at = url.pathname.length - 8; at < target.length; at++) {
    const other = alphabet[(alphabet.indexOf(target[at] as string) + 1 + (at % 7)) % alphabet.length] as string;
    for (const forged of [
      target.slice(0, at) + other + target.slice(at + 1),
      target.slice(0, at) + target.slice(at + 1),
    ]) {
      if (forged === target) continue;
      const reply = await on.get(forged);
      expect([400, 403, 404], forged).toContain(reply.status);
      expectRefusal(reply, forged);
    }
  }
  for (const forged of [
    `${target}&a=1`,
    `${target}&expires=9`,
    target.replace("?", "?a&"),
    `${target}=`,
    target.replace("expires", "Expires"),
  ])
    expectRefusal(await on.get(forged), forged);
});

/** Bytes as they are, on a socket; the answer's first bytes, empty when it was closed without one. */
async function raw(request: string, hangUp = false): Promise<string> {
  const socket = connect(Number(new URL(on.base).port), "127.0.0.1");
  let answer = "";
  socket.on("data", (chunk) => {
    answer += chunk.toString("latin1");
    socket.end();
  });
  socket.on("error", () => undefined);
  socket.write(request, "latin1");
  if (hangUp) socket.end();
  await once(socket, "close");
  return answer;
}

test("paths, headers and queries beyond any measure end in a refusal or a closed connection", async () => {
  const long = "a".repeat(100_000);
  const end = "Host: localhost\r\nConnection: close\r\n";
  const requests = [
    `GET /${long} HTTP/1.1\r\n${end}\r\n`,
    `GET /v1/runs?cursor=${long} HTTP/1.1\r\n${end}\r\n`,
    `GET /v1/runs HTTP/1.1\r\n${end}X-Long: ${long}\r\n\r\n`,
    `GET /v1/runs HTTP/1.1\r\n${end}Idempotency-Key: ${"k".repeat(2_000)}\r\n\r\n`,
    `POST /v1/runs HTTP/1.1\r\n${end}Content-Length: -5\r\n\r\n`,
    `POST /v1/runs HTTP/1.1\r\n${end}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    `POST /v1/runs HTTP/1.1\r\n${end}Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n`,
    `GET /%ff%fe HTTP/1.1\r\n${end}\r\n`,
    `GET /v1/runs/%zz HTTP/1.1\r\n${end}\r\n`,
    `GET /v1/runs?%zz=%ff HTTP/1.1\r\n${end}\r\n`,
  ];
  /** To uWebSockets' parser these are beginnings: it waits for the rest, and closes after its 10 s of silence. */
  const unfinished = [
    `GET /v1/runs HTTP/1.1\r\n${end}${"X-A: b\r\n".repeat(500)}\r\n`,
    `GET http://evil.example/v1/runs HTTP/1.1\r\n${end}\r\n`,
    `\u00ff\u00fe /x HTTP/1.1\r\n${end}\r\n`,
    "GET / HTTP/9.9\r\n\r\n",
    "\r\n\r\n\r\n",
  ];
  for (const request of unfinished) expect(await raw(request, true)).not.toMatch(/^HTTP\/1\.1 [25]/);
  for (const request of requests) {
    const answer = await raw(request);
    const status = /^HTTP\/1\.1 (\d{3})/.exec(answer)?.[1];
    // The parser's own answers: 431, 505 and the like. Never an answer of a handler that failed.
    if (status !== undefined) expect(["500", "502", "503", "504"], request.slice(0, 80)).not.toContain(status);
  }
  expect((await on.get("/healthz")).status).toBe(200);
  expect(await counts()).toEqual(held);
});

test("WebSocket messages of any shape are answered, and the connection stays", { timeout: 60_000 }, async () => {
  const { operations } = await import("../../src/gateway/index.ts");
  const reading = operations.filter((o) => o.method === "GET").map((o) => o.name);
  const message = fc.oneof(
    nastyJson,
    value.map((v) => JSON.stringify(v)),
    fc
      .record(
        {
          type: fc.oneof(fc.constantFrom("subscribe", "unsubscribe", "request", "publish", "ping"), value),
          id: fc.oneof(word, value),
          pattern: fc.oneof(word, fc.constant("event.>"), value),
          since: value,
          filter: value,
          operation: fc.oneof(fc.constantFrom(...reading), word),
          input: value,
          subject: fc.oneof(word, fc.constant("agent.nobody.x")),
          data: value,
          timeout_ms: fc.oneof(fc.constant(50), value),
        },
        { requiredKeys: ["type"] },
      )
      .map((v) => JSON.stringify(v)),
  );
  const client = await Client.open(on.base);
  let n = 0;
  await fc.assert(
    fc.asyncProperty(message, async (text) => {
      const before = client.messages.length;
      client.send(text);
      const marker = `marker-${++n}`;
      await client.call({ type: "ping", id: marker });
      for (const answer of client.messages.slice(before) as Message[]) {
        expect(["subscribed", "unsubscribed", "event", "reply", "error", "pong"]).toContain(answer.type);
        if (answer.type === "error") {
          expect(Object.keys(errorKinds)).toContain(answer.error.code);
          expect(answer.error.code, text).not.toBe("internal");
        }
      }
    }),
    settings(500),
  );
  client.close();
  expect(await counts()).toEqual(held);
});

test("nothing of all this was an error inside", () => {
  expect(on.logs.filter((l) => l.level === "error")).toEqual([]);
  expect(real.problems).toEqual([]);
});
