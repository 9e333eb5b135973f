/** HTTP manners: errors' shape, methods, types, limits, malformed and hostile requests. */
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Started, start } from "./support/start.ts";

let on: Started;
beforeAll(async () => {
  on = await start({ limits: { bodyBytesMax: 100_000, jsonDepthMax: 20 } });
});
afterAll(() => on.gateway.close(100));

/** Sends bytes as they are and gives back what came until the connection ended or `until` was seen. */
function raw(bytes: string | Buffer, until = /\r\n\r\n/): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(on.gateway.port, "127.0.0.1", () => socket.write(bytes));
    let text = "";
    socket.setTimeout(5_000, () => socket.destroy(new Error(`no answer: ${text}`)));
    socket.on("data", (d) => {
      text += d;
      if (until.test(text)) socket.end();
    });
    socket.on("close", () => resolve(text));
    socket.on("error", reject);
  });
}

const run = { workflow: { name: "echo" }, input: 1 };

test("every error has the contract's shape, advice and the correlation id that the logs carry", async () => {
  const reply = await on.get("/v1/nothing", { "x-correlation-id": "abc-123" });
  expect(reply.status).toBe(404);
  expect(reply.headers.get("x-correlation-id")).toBe("abc-123");
  expect(reply.body).toEqual({
    error: {
      code: "not_found",
      message: "There is nothing at /v1/nothing. Check the id or path; it does not exist here.",
      retryable: false,
      correlation_id: "abc-123",
    },
  });
  expect(on.logs.some((l) => l.fields.correlation_id === "abc-123")).toBe(true);
  const made = await on.get("/v1/nothing", { "x-correlation-id": "with space" });
  expect(made.body.error.correlation_id).toBe(made.headers.get("x-correlation-id"));
  expect(made.body.error.correlation_id).not.toBe("with space");
});

test.each(["/", "/healthz", "/readyz", "/v1/status"])("%s answers 200", async (path) => {
  expect((await on.get(path)).status).toBe(200);
});

test("GET / says where to look", async () => {
  const { body } = await on.get("/");
  expect(body).toMatchObject({ message: "Troupe", version: "0.1.0", docs: "/docs", health: "/api/v1/health" });
  for (const path of [body.docs, body.health]) expect((await on.get(path)).status).toBe(200);
});

test("readyz is 503 with a reason when not ready", async () => {
  on.runtime.ready = false;
  const reply = await on.get("/readyz");
  on.runtime.ready = true;
  expect(reply.status).toBe(503);
  expect(reply.body.error.details.reason).toContain("NATS");
  expect(reply.headers.get("retry-after")).toBe("1");
});

test("a wrong method is 405 with Allow; OPTIONS and HEAD work", async () => {
  const reply = await on.send("PATCH", "/v1/runs");
  expect(reply.status).toBe(405);
  expect(reply.headers.get("allow")).toBe("POST, GET, HEAD, OPTIONS");
  expect(reply.body.error.code).toBe("method_not_allowed");
  const options = await on.send("OPTIONS", "/v1/runs");
  expect([options.status, options.headers.get("allow")]).toEqual([204, "POST, GET, HEAD, OPTIONS"]);
  const head = await on.send("HEAD", "/v1/workflows");
  const get = await on.get("/v1/workflows");
  expect([head.status, head.text, head.headers.get("content-length")]).toEqual([
    200,
    "",
    String(Buffer.byteLength(get.text)),
  ]);
  expect((await on.send("DELETE", "/openapi.json")).status).toBe(405);
  expect((await on.send("POST", "/docs")).status).toBe(405);
});

test.each([
  "text/plain",
  "application/x-www-form-urlencoded",
  "application/json; charset=latin1",
  "multipart/form-data",
])("content type %s is 415", async (type) => {
  const reply = await on.send("POST", "/v1/runs", JSON.stringify(run), { "content-type": type });
  expect(reply.status).toBe(415);
  expect(reply.body.error.code).toBe("unsupported_type");
});

test.each(["application/json", "application/json; charset=UTF-8", "application/vnd.x+json"])(
  "content type %s is fine",
  async (type) => {
    expect((await on.send("POST", "/v1/runs", JSON.stringify(run), { "content-type": type })).status).toBe(201);
  },
);

describe("malformed bodies are 400 and name the place", () => {
  test.each([
    ['{"a":1,}', 1, 8],
    ['{"a":1', 1, 7],
    ["abc", 1, 1],
    ['{\n  "a": tru\n}', 2, 8],
    ["[1,2]]", 1, 6],
    ['{"a" 1}', 1, 6],
    ['"x', 1, 3],
    ["01", 1, 2],
    ['{"a":"\\x"}', 1, 7],
    ["[1 2]", 1, 4],
    ["{,}", 1, 2],
    ["[,1]", 1, 2],
  ])("%s", async (text, line, column) => {
    const reply = await on.send("POST", "/v1/runs", text);
    expect(reply.status).toBe(400);
    expect(reply.body.error.details).toEqual({ line, column });
  });

  test("not UTF-8", async () => {
    const bytes = Buffer.concat([Buffer.from('{"a":"ä'), Buffer.from([0xff]), Buffer.from('"}')]);
    const reply = await on.send("POST", "/v1/runs", bytes);
    expect(reply.body.error.details).toEqual({ byte: 8 });
  });

  test.each([
    ["empty", ""],
    ["an array", "[]"],
    ["a word", '"run"'],
    ["null", "null"],
  ])("%s", async (_, text) => {
    expect((await on.send("POST", "/v1/runs", text)).status).toBe(400);
  });
});

test("unknown fields are named, all of them", async () => {
  const reply = await on.send("POST", "/v1/runs", {
    ...run,
    workflow: { name: "echo", versoin: "1" },
    inptu: 1,
    run_id: "x",
  });
  expect(reply.status).toBe(400);
  const paths = reply.body.error.details.problems.map((p: { path: string }) => p.path).sort();
  expect(paths).toEqual(["inptu", "run_id", "workflow.versoin"]);
});

describe("hostile values", () => {
  const send = (input: string) => on.send("POST", "/v1/runs", `{"workflow":{"name":"echo"},"input":${input}}`);

  test.each([
    ['{"__proto__":{"polluted":true}}', "input.__proto__"],
    ['{"a":[{"\\u005f_proto__":1}]}', "input.a[0].__proto__"],
    ['{"x":{"$blob":{"name":"other/secret","bytes":1,"sha256":""}}}', "input.x.$blob"],
    ["1e999", "input"],
    ['"\\ud800"', "input"],
    [`${"[".repeat(30)}${"]".repeat(30)}`, `input${"[0]".repeat(19)}`],
  ])("%s is refused with its place", async (input, path) => {
    const reply = await send(input);
    expect(reply.status).toBe(400);
    expect(reply.body.error.details.problems[0].path).toBe(path);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  test.each([
    '{"constructor":{"prototype":1},"toString":2,"hasOwnProperty":3}',
    '{"":1}',
    "null",
    '"\\u0000"',
    "-0.5e-300",
  ])("%s comes back as it is", async (input) => {
    const reply = await send(input);
    expect(reply.status).toBe(201);
    expect(reply.body.run.input).toEqual(JSON.parse(input));
  });

  test("names of Object's own members are unknown fields like others", async () => {
    const reply = await on.send(
      "POST",
      "/v1/runs",
      '{"workflow":{"name":"echo"},"input":1,"toString":1,"constructor":{}}',
    );
    expect(reply.status).toBe(400);
    const query = await on.get("/v1/runs?toString=1&__proto__=2");
    expect(query.status).toBe(400);
    const paths = query.body.error.details.problems.map((p: { path: string }) => p.path);
    expect(paths).toContain("toString");
  });
});

describe("limits", () => {
  const big = JSON.stringify({ ...run, input: "x".repeat(150_000) });

  test("a body over the limit is 413 and the connection stays usable", async () => {
    for (let i = 0; i < 3; i++) {
      const reply = await on.send("POST", "/v1/runs", big);
      expect(reply.status).toBe(413);
      expect(reply.body.error.details.bytes_max).toBe(100_000);
    }
  });

  test("a chunked body is bounded too", async () => {
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 30; i++) controller.enqueue(new Uint8Array(10_000).fill(32));
        controller.close();
      },
    });
    const init = { method: "POST", body: stream, duplex: "half", headers: { "content-type": "application/json" } };
    const response = await fetch(`${on.base}/v1/runs`, init as RequestInit);
    expect(response.status).toBe(413);
  });

  test("a declared length far over the limit is answered at once, and the connection ends", async () => {
    const text = await raw(
      `POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 900000000\r\n\r\n{"a":`,
      /too_large/,
    );
    expect(text).toMatch(/^HTTP\/1.1 413 /);
    expect(text.toLowerCase()).toContain("connection: close");
  });

  test("a small chunked body is read whole", async () => {
    const parts = ['{"workflow":{"na', 'me":"echo"},"inp', 'ut":"ü"}'].map(
      (p) => `${Buffer.byteLength(p).toString(16)}\r\n${p}\r\n`,
    );
    const text = await raw(
      `POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${parts.join("")}0\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1.1 201 /);
  });
});

test("a client that leaves while the runtime still works harms nobody", async () => {
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const read = on.runtime.read.bind(on.runtime);
  let asked = 0;
  on.runtime.read = async (at) => {
    asked++;
    await gate;
    return read(at);
  };
  const aborts = Array.from({ length: 20 }, () => new AbortController());
  const gone = aborts.map((a) => fetch(`${on.base}/v1/runs/run_x`, { signal: a.signal }).catch(() => "gone"));
  await expect.poll(() => asked).toBe(20);
  for (const a of aborts) a.abort();
  await Promise.all(gone);
  await expect.poll(() => on.logs.filter((l) => l.fields.status === 499).length).toBeGreaterThanOrEqual(20);
  release();
  on.runtime.read = read;
  expect((await on.get("/healthz")).status).toBe(200);
});

test("an unexpected error is 500 without a word of it, and logged with the id", async () => {
  const list = on.runtime.list;
  on.runtime.list = () => Promise.reject(new Error("secret path /etc/x"));
  const reply = await on.get("/v1/runs");
  on.runtime.list = list;
  expect(reply.status).toBe(500);
  expect(reply.text).not.toContain("secret");
  const line = on.logs.find((l) => l.level === "error" && l.fields.correlation_id === reply.body.error.correlation_id);
  expect(line).toBeDefined();
});

test.each([
  "GET /v1/runs/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "GET //v1//runs HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "GET /v1/runs/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "GET /docs/../package.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
  "GET /docs/%2e%2e/package.json HTTP/1.1\r\nHost: localhost\r\n\r\n",
])("odd request %j gets a plain refusal", async (request) => {
  const text = await raw(request);
  expect(text).toMatch(/^HTTP\/1.1 (400|404|405) /);
});

test("docs are served from here, without other hosts", async () => {
  for (const path of ["/docs", "/docs/"]) {
    const page = await on.get(path);
    expect(page.status).toBe(200);
    expect(page.text).not.toMatch(/https?:\/\//);
    for (const [, asset] of page.text.matchAll(/(?:src|href)="([^"]+)"/g)) {
      const reply = await on.get(asset as string);
      expect([asset, reply.status]).toEqual([asset, 200]);
      expect(reply.text.length).toBeGreaterThan(100);
    }
  }
});

test("an address beyond loopback is refused without credentials, and a taken port is told", async () => {
  const { createGateway } = await import("../../src/gateway/index.ts");
  const { realClock } = await import("./support/start.ts");
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  const parts = { runtime: on.runtime, clock: realClock, logger: silent };
  for (const host of ["0.0.0.0", "::", "192.168.1.5", "example.org", "127.0.0.1.example.org"]) {
    const open = createGateway({ ...parts, config: { host, port: 0, version: "1" } });
    await expect(open.listen(), host).rejects.toThrow(/TROUPE_API_KEYS/);
  }
  const second = createGateway({ ...parts, config: { host: "127.0.0.1", port: on.gateway.port, version: "1" } });
  await expect(second.listen()).rejects.toThrow(/taken/);
});
