/**
 * Random and hostile input over every operation of the contracts and over their sockets, against the real runtime:
 * never a 5xx, always the contract's own shape of an error, nothing of the inside told, and nothing changed by what
 * was refused.
 */
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codes001 } from "../../src/gateway/error-shape.ts";
import type { Operation } from "../../src/gateway/operation.ts";
import { operations } from "../../src/gateway/table.ts";
import { errorKinds } from "../../src/machines/errors.ts";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { Client, type Message } from "../gateway/support/socket.ts";
import { type Reply, type Started, startOver } from "../gateway/support/start.ts";

let real: Real;
let on: Started<Real["runtime"]>;

beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime, { limits: { bodyBytesMax: 1 << 18, wsMessageBytesMax: 1 << 16 } });
  await on.send("POST", "/api/v1/agents/register", { id: "agent-1", type: "worker_1" });
  await on.send("POST", "/api/v1/tasks", { id: "task-1", type: "nobody_does_this" });
  await on.send("POST", "/api/v1/workflows", { id: "workflow-1", name: "W", steps: [{ name: "s", type: "task" }] });
  await on.send("POST", "/api/v1/resources", { name: "R", type: "gpu", capacity: { gpus: 1 } });
}, 120_000);
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

/**
 * How many actors of each type there are, whatever their status, and what is known of those that were there before all
 * this. What a heartbeat or a slot changes by itself is left out.
 */
async function standing(): Promise<Record<string, unknown>> {
  const { counts } = await real.runtime.tally();
  const total = (of: Readonly<Record<string, number>>) => Object.values(of).reduce((sum, n) => sum + n, 0);
  const { body: agent } = await on.get("/api/v1/agents/agent-1");
  const { status: _, current_tasks: __, last_heartbeat: ___, performance_metrics: ____, ...own } = agent;
  const { body: task } = await on.get("/api/v1/tasks/task-1");
  const { body: workflow } = await on.get("/api/v1/workflows/workflow-1");
  const totals = Object.entries(counts)
    .filter(([type]) => type !== "meter")
    .map(([type, of]) => [type, total(of)] as const);
  return { totals: Object.fromEntries(totals), agent: own, task, workflow };
}

const leak = /\bat .*\.(ts|js):\d+|node_modules|TypeError|RangeError|ZodError|SyntaxError|\/src\/|xstate/;

/** The contract's own shape of a refusal, and no more than that. */
function expectRefusal(reply: Reply, path: string, what: unknown): void {
  const context = JSON.stringify({ what, status: reply.status, text: reply.text.slice(0, 400) });
  expect(reply.status, context).toBeGreaterThanOrEqual(400);
  expect(reply.status, context).toBeLessThan(500);
  expect(reply.text, context).not.toMatch(leak);
  expect(typeof reply.body?.detail, context).toBe("string");
  if (!path.startsWith("/api/v1")) {
    expect(Object.keys(reply.body), context).toEqual(["detail"]);
    return;
  }
  expect(codes001, context).toContain(reply.body.error.code);
  expect(reply.body.error, context).toMatchObject({
    message: reply.body.detail,
    details: expect.any(Object),
    correlation_id: expect.stringMatching(/./),
    timestamp: expect.stringMatching(/^\d{4}-/),
  });
}

const nasty = fc.constantFrom(
  "' OR 1=1 --",
  '"; DROP TABLE agents; --',
  "../../etc/passwd",
  "..%2f..%2fetc",
  "%00",
  "\u0000",
  "\u202e\u200b\ufeff",
  "~",
  "a~b",
  "agent-1~x",
  "*",
  ">",
  "event.>",
  "$JS.API.>",
  "${input}",
  "${stages.x.output}",
  "__proto__",
  "constructor",
  "prototype",
  "toString",
  "hasOwnProperty",
  "x".repeat(5_000),
  "é".repeat(300),
  ".",
  "..",
  "-1",
  "1e309",
  "NaN",
  "http://169.254.169.254/latest",
  "file:///etc/passwd",
);
const word = fc.oneof(nasty, fc.string({ maxLength: 40 }), fc.string({ unit: "binary", maxLength: 20 }));
const value = fc.oneof(
  { depthSize: "medium" },
  fc.jsonValue(),
  word,
  fc.constantFrom(null, true, -0, 1e308, -1, 0, 0.5, 2 ** 53, 1e21, [], {}, [[[[]]]], "", "high", "active"),
);
/** As text: what no object literal can hold. */
const nastyJson = fc.constantFrom(
  '{"__proto__":{"polluted":1}}',
  '{"constructor":{"prototype":{"polluted":1}}}',
  '{"title":"a","title":"b"}',
  '{"title":"a","metadata":{"n":1e999}}',
  `{"title":"a","metadata":{"n":${"9".repeat(400)}}}`,
  `${"[".repeat(5_000)}${"]".repeat(5_000)}`,
  `{"type":"x","input_data":${'{"a":'.repeat(200)}1${"}".repeat(200)}}`,
  '{"type":"x","input_data":"\\ud800"}',
  '{"type":"x","input_data":{"$blob":{"name":"x/y","bytes":1,"sha256":"0"}}}',
  '{"prompt":"x","context":{"__proto__":"y"}}',
  "{",
  '"',
  "nul",
  "[]",
  "null",
  "\u00a0{}",
  "0x10",
);

/** Every operation of a contract that changes something or reads, but tokens (they have tests of their own). */
const spoken = operations.filter(
  ({ name, path }) => (path.startsWith("/api/v1") || path.startsWith("/ninja-api")) && name !== "api.auth.token",
);
const fieldsOf = (operation: Operation): string[] => Object.keys(operation.input.shape);

/** A body of an operation: its own example with one field spoiled, or fields of its own with anything in them, or anything. */
function bodyOf(operation: Operation): fc.Arbitrary<string> {
  const field = fc.constantFrom(...fieldsOf(operation), "__proto__x", "id", "metadata");
  const example = (operation.example ?? {}) as Record<string, unknown>;
  const own = fc.dictionary(field, value, { maxKeys: 5 }).map((body) => JSON.stringify(body));
  const spoiled = fc.tuple(field, value).map(([name, v]) => JSON.stringify({ ...example, [name]: v }));
  const wrapped = fc
    .tuple(fc.constantFrom("request", "response", "publication", "parameters_schema"), value)
    .map(([name, v]) => JSON.stringify({ [name]: v }));
  return fc.oneof(
    nastyJson,
    own,
    spoiled,
    wrapped,
    value.map((v) => JSON.stringify(v)),
  );
}

const known = fc.constantFrom("agent-1", "task-1", "workflow-1", "req-001", "550e8400-e29b-41d4-a716-446655440000");
const call = fc.constantFrom(...spoken).chain((operation) => {
  const names = [...operation.path.matchAll(/\{([a-z_]+)\}/g)].map((m) => m[1] as string);
  const ids = fc.tuple(...names.map(() => fc.oneof(known, word)));
  const query = fc.dictionary(fc.constantFrom(...fieldsOf(operation), "x", "limit", "cursor", "__proto__"), word, {
    maxKeys: 3,
  });
  return fc.record({
    operation: fc.constant(operation),
    ids,
    // Nobody wants to wait for what will not come.
    query: query.map(({ wait: _, ...rest }) => rest),
    body: bodyOf(operation),
  });
});

function pathOf(operation: Operation, ids: readonly string[], query: Readonly<Record<string, string>>): string {
  let i = 0;
  const escaped = (text: string) => encodeURIComponent(Buffer.from(text).toString());
  const path = operation.path.replace(/\{[a-z_]+\}/g, () => escaped(ids[i++] ?? ""));
  const search = Object.entries(query).map(([name, text]) => `${escaped(name)}=${escaped(text)}`);
  return search.length === 0 || operation.method !== "GET" ? path : `${path}?${search.join("&")}`;
}
const settings = (numRuns: number) => ({ numRuns, endOnFailure: false, verbose: 1 }) as const;

describe("over HTTP", () => {
  test("every operation, with anything: refused in the contract's shape and without effect, or carried out", {
    timeout: 240_000,
  }, async () => {
    let before = await standing();
    await fc.assert(
      fc.asyncProperty(call, async ({ operation, ids, query, body }) => {
        const path = pathOf(operation, ids, query);
        // Segments `.` and `..` are gone before the request is sent.
        const { pathname } = new URL(on.base + path);
        const reply = await on.send(operation.method, path, operation.method === "GET" ? undefined : body);
        if (reply.status < 400) {
          if (operation.method !== "GET") before = await standing();
          return;
        }
        // A path that ended as another prefix answers in that one's shape.
        if (!/^\/(api\/v1|ninja-api)(\/|$)/.test(pathname)) return;
        // What a client asked to wait for may fail or be away: these are the contract's own words for that.
        const codes = ["AGENT_UNAVAILABLE", "WORKFLOW_FAILED", "TASK_TIMEOUT"];
        if (reply.status >= 500 && codes.includes(reply.body?.error?.code)) return;
        expectRefusal(reply, pathname, [operation.method, path, body]);
        if (operation.method !== "GET") expect(await standing()).toEqual(before);
      }),
      settings(600),
    );
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
  });

  test("bytes that are no UTF-8", { timeout: 120_000 }, async () => {
    const before = await standing();
    const posted = spoken.filter(({ method, path }) => method !== "GET" && !path.includes("{"));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...posted), fc.uint8Array({ maxLength: 40 }), async (operation, bytes) => {
        const body = Buffer.concat([Buffer.from('{"type":"'), bytes, Buffer.from([0xc3, 0x28, 0x22, 0x7d])]);
        expectRefusal(await on.send(operation.method, operation.path, body), operation.path, bytes);
      }),
      settings(100),
    );
    expect(await standing()).toEqual(before);
  });

  test("bodies beyond the bound are 413, in the contract's shape", async () => {
    const before = await standing();
    for (const { method, path } of spoken.filter((one) => one.method !== "GET" && !one.path.includes("{"))) {
      const reply = await on.send(method, path, JSON.stringify({ type: "x", prompt: "x".repeat(1 << 19) }));
      expect([path, reply.status]).toEqual([path, 413]);
      expectRefusal(reply, path, "something huge");
    }
    expect(await standing()).toEqual(before);
  });

  test("the same name twice is refused: nobody knows which one was meant", async () => {
    for (const body of ['{"title":"a","title":"b"}', '{"title":"a","metadata":{"x":1,"x":2}}']) {
      const reply = await on.send("POST", "/api/v1/tasks", body);
      expect([body, reply.status]).toEqual([body, 400]);
    }
  });

  test("names that mean something to JavaScript stay what they were", async () => {
    const text = '{"constructor":{"prototype":{"x":1}},"toString":1,"hasOwnProperty":[],"valueOf":null,"":0,"a.b":1}';
    const made = await on.send("POST", "/api/v1/tasks", `{"type":"keeps","input_data":${text},"metadata":${text}}`);
    expect(made.status).toBe(200);
    const { body } = await on.get(`/api/v1/tasks/${made.body.id}`);
    expect([body.input_data, body.metadata]).toEqual([JSON.parse(text), JSON.parse(text)]);
  });
});

const part = fc.constantFrom(
  ...["subscription", "unsubscription", "publication", "request", "response", "heartbeat", "report"],
);
const inner = fc.dictionary(
  fc.constantFrom(
    ...["id", "agent_id", "topics", "filters", "durable", "topic", "data", "target", "type", "timeout", "source"],
    ...["request_id", "status", "errors", "task_id", "progress", "output_data", "callback_url", "current_tasks"],
  ),
  fc.oneof(value, fc.constantFrom("agent-1", "task-1", ["task.>"], "completed", 0.05)),
  { maxKeys: 6 },
);
/** Messages that look like the protocol's, by the socket's path. */
const sockets: readonly (readonly [string, fc.Arbitrary<unknown>, Message, (answer: Message) => boolean])[] = [
  [
    "/ws/agent/hostile/",
    fc.record(
      {
        type: fc.oneof(fc.constantFrom("task_update", "agent_command", "ping", "subscribe", "unsubscribe"), value),
        task_id: fc.oneof(known, value),
        status: value,
        message: value,
        command: value,
        params: value,
        event_types: value,
      },
      { requiredKeys: ["type"] },
    ),
    { type: "agent_command", command: "marker" },
    (m) => m.type === "command_received" && m.command === "marker",
  ],
  [
    "/ws/state/hostile/properties/",
    fc.record(
      { type: fc.oneof(fc.constantFrom("update_state", "get_state"), value), data: value },
      { requiredKeys: ["type"] },
    ),
    { type: "get_state" },
    (m) => m.type === "state_update",
  ],
  [
    "/ws",
    fc.oneof(
      fc.tuple(part, inner).map(([name, fields]) => ({ [name]: fields })),
      fc.dictionary(part, value, { maxKeys: 2 }),
    ),
    { publication: { id: "marker", topic: "marker.here" } },
    (m) => m.ack?.id === "marker",
  ],
  [
    "/api/v1/ws/hostile",
    fc.record(
      {
        type: fc.oneof(fc.constantFrom("subscribe", "unsubscribe"), value),
        subscriptions: fc.oneof(value, fc.array(fc.oneof(word, fc.constantFrom("task_activity", "system_metrics")))),
      },
      { requiredKeys: ["type"] },
    ),
    { type: "unsubscribe", subscriptions: ["conflict_alerts"] },
    (m) => m.type === "unsubscription_confirmed",
  ],
];

/** An error in the socket's own words. */
function expectFault(message: Message, text: string): void {
  const told = JSON.stringify(message);
  expect(told, text).not.toMatch(leak);
  const { error } = message;
  if (error !== undefined) {
    expect([...codes001], text).toContain(error.code);
    expect(error.code, text).not.toBe("INTERNAL");
  } else if (message.type === "error") {
    expect(typeof message.message, text).toBe("string");
    if (message.data !== undefined) expect(Object.keys(errorKinds), text).toContain(message.data.code);
    expect(message.data?.code, text).not.toBe("internal");
  }
}

describe.each(sockets)("on %s", (path, like, marker, isMarked) => {
  test("messages of any shape are answered, the socket stays, and what was refused has changed nothing", {
    timeout: 240_000,
  }, async () => {
    const before = await standing();
    const client = await Client.at(on.base, path);
    const message = fc.oneof(
      nastyJson,
      like.map((one) => JSON.stringify(one)),
      value.map((one) => JSON.stringify(one)),
    );
    await fc.assert(
      fc.asyncProperty(message, async (text) => {
        const from = client.messages.length;
        client.socket.send(text);
        await client.after(isMarked, marker);
        for (const answer of client.messages.slice(from)) expectFault(answer, text);
      }),
      settings(200),
    );
    expect(client.socket.readyState).toBe(1);
    client.close();
    // Requests, publications and shared states may be made here; agents, tasks and runs never.
    const { totals } = (await standing()) as { totals: Record<string, number> };
    const made = (before as { totals: Record<string, number> }).totals;
    for (const type of ["agent", "task", "run", "resource", "workflow"])
      expect([type, totals[type]]).toEqual([type, made[type]]);
  });

  test("bytes, half messages and huge ones", { timeout: 120_000 }, async () => {
    const client = await Client.at(on.base, path);
    const refused = () => client.after((m) => m.type === "error" || m.error !== undefined);
    for (const bytes of [
      Buffer.from([0x7b, 0xff, 0xfe, 0x7d]),
      Buffer.from('{"type":"ping"'),
      Buffer.from(JSON.stringify({ type: "ping", pad: "x".repeat(100_000) })),
      Buffer.from("{\u0000}"),
    ]) {
      const answer = refused();
      client.socket.send(bytes, { binary: false });
      expectFault(await answer, bytes.subarray(0, 40).toString());
    }
    await client.after(isMarked, marker);
    client.close();
  });
});

test("paths of sockets with anything in them: a refusal or a socket, never a fault", { timeout: 120_000 }, async () => {
  const places = ["/ws/agent/{}/", "/ws/agent/client-1/{}/", "/ws/state/{}/x/", "/ws/state/x/{}/", "/api/v1/ws/{}"];
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...places), word, async (place, text) => {
      const path = place.replace("{}", encodeURIComponent(Buffer.from(text).toString()));
      const client = await Client.at(on.base, path).catch((error: Error) => error);
      if (client instanceof Client) return client.close();
      expect(client.message).toMatch(/Unexpected server response: 4\d\d|socket hang up/);
    }),
    settings(120),
  );
});

test("nothing of all this was an error inside", () => {
  expect(on.logs.filter(({ level }) => level === "error")).toEqual([]);
  expect(real.problems).toEqual([]);
});
