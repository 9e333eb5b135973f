/**
 * The gateway over the JavaScript server that stands in where uWebSockets has no binary: what the other suites check
 * of the native one, its basics here. `TROUPE_SERVER=javascript npx vitest run test/gateway` runs those over it too.
 */
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { loadConfig } from "../../src/config.ts";
import { serverBuild } from "../../src/gateway/index.ts";
import { FallbackApp, portOfFallback } from "../../src/gateway/uws-fallback/app.ts";
import { Client } from "./support/socket.ts";
import { type Started, type StartOptions, start } from "./support/start.ts";
import { runView } from "./support/views.ts";

const startOurs = (limits: StartOptions["limits"] = {}): Promise<Started> => start({ server: "javascript", limits });

let on: Started;
beforeAll(async () => {
  on = await startOurs({ bodyBytesMax: 100_000 });
});
afterAll(() => on.gateway.close(100));

const post = { workflow: { name: "echo" }, input: "ü" };
const text = JSON.stringify(post);
const head = `POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n`;

/** A connection that has written these bytes, and all that came, when it matches. */
async function raw(bytes: string): Promise<{ socket: Socket; until(pattern: RegExp): Promise<string> }> {
  const socket = connect(on.gateway.port, "127.0.0.1");
  socket.on("error", () => undefined);
  let came = "";
  socket.on("data", (d) => {
    came += d;
  });
  await once(socket, "connect");
  socket.write(bytes);
  const until = async (pattern: RegExp): Promise<string> => {
    while (!pattern.test(came)) {
      if (socket.closed) throw new Error(`closed after: ${came}`);
      await Promise.race([once(socket, "data"), once(socket, "close")]);
    }
    return came;
  };
  return { socket, until };
}

test("which server runs: ours when asked for, the native one only where it is", () => {
  expect(serverBuild("javascript")).toBe("javascript");
  expect(loadConfig({}, {}).server).toBe("native");
  expect(loadConfig({}, { TROUPE_SERVER: "javascript" }).server).toBe("javascript");
  expect(() => loadConfig({}, { TROUPE_SERVER: "other" })).toThrow(/TROUPE_SERVER/);
});

describe("requests", () => {
  test("this is not uWebSockets, and answers GET, POST, HEAD, OPTIONS", async () => {
    const list = await on.get("/v1/workflows");
    expect([list.status, list.headers.has("uwebsockets"), list.headers.has("date")]).toEqual([200, false, true]);
    const made = await on.send("POST", "/v1/runs", post);
    expect([made.status, made.body.run.input]).toEqual([201, "ü"]);
    const bare = await on.send("HEAD", "/v1/workflows");
    expect([bare.text, bare.headers.get("content-length")]).toEqual(["", String(Buffer.byteLength(list.text))]);
    const options = await on.send("OPTIONS", "/v1/runs");
    expect([options.status, options.headers.has("content-length")]).toEqual([204, false]);
  });

  test("refusals: 404, 405, 413, 415, each a whole answer on a connection that stays", async () => {
    expect((await on.get("/v1/nothing")).status).toBe(404);
    const wrong = await on.send("PATCH", "/v1/runs", "x".repeat(50_000));
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST, GET, HEAD, OPTIONS"]);
    expect((await on.send("POST", "/v1/runs", "x".repeat(150_000))).body.error.code).toBe("too_large");
    expect((await on.send("POST", "/v1/runs", text, { "content-type": "text/plain" })).status).toBe(415);
  });

  test("a body in pieces, also inside of a character, and pipelined requests in order", async () => {
    const bytes = Buffer.from(text);
    const one = await raw(`${head}Content-Length: ${bytes.length}\r\n\r\n`);
    for (const byte of bytes) one.socket.write(Buffer.of(byte));
    expect(await one.until(/"run_id"/)).toMatch(/^HTTP\/1.1 201 /);
    one.socket.destroy();
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
    const two = await raw(get("/v1/workflows") + get("/nothing") + get("/healthz"));
    const came = await two.until(/(HTTP\/1.1 [\s\S]*){3}\}$/);
    expect(came.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 404", "HTTP/1.1 200"]);
    two.socket.destroy();
  });

  test("a declared length far over the bound is refused before a byte of it came", async () => {
    const one = await raw(`${head}Content-Length: 99999999999\r\n\r\n`);
    const came = await one.until(/too_large/);
    expect(came).toMatch(/^HTTP\/1.1 413 [\s\S]*connection: close\r\n/i);
    one.socket.destroy();
  });

  test("an upgrade to something else is not taken", async () => {
    const plain = "HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n";
    const get = await raw(`GET /healthz ${plain}\r\n`);
    expect(await get.until(/\}/)).toMatch(/^HTTP\/1.1 200 /);
    const noKey = await raw(`GET /v1/ws ${plain.replace("h2c", "websocket")}\r\n`);
    expect(await noKey.until(/\}/)).toMatch(/^HTTP\/1.1 404 /);
    for (const { socket } of [get, noKey]) socket.destroy();
  });

  test("a client that leaves, wholly or by half, is forgotten at once", async () => {
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const read = on.runtime.read.bind(on.runtime);
    let asked = 0;
    on.runtime.read = async (at) => {
      asked++;
      await gate;
      return read(at);
    };
    const gone = () => on.logs.filter((l) => l.fields.status === 499).length;
    const before = gone();
    const request = "GET /v1/runs/run_x HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const clients = await Promise.all([raw(request), raw(request), raw(`${head}Content-Length: 900\r\n\r\n{`)]);
    await expect.poll(() => asked).toBe(2);
    clients[0].socket.destroy();
    clients[1].socket.end();
    clients[2].socket.destroy();
    await expect.poll(() => gone() - before).toBe(3);
    release();
    on.runtime.read = read;
    expect((await on.get("/healthz")).status).toBe(200);
  });
});

describe("streams", () => {
  const emit = (id: string, name: string, data = {}) => on.runtime.emit(id, "run", id, "echo", name, data);

  test("events live and resumed, and nothing kept of a reader that left", async () => {
    on.runtime.put("run", "run_s", runView({ status: "running" }));
    emit("run_s", "started");
    const accept = { accept: "text/event-stream" };
    const whole = fetch(`${on.base}/v1/runs/run_s/events`, { headers: accept }).then((r) => r.text());
    const left = await raw(
      "GET /v1/runs/run_s/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n",
    );
    await left.until(/run\.started/);
    left.socket.destroy();
    const gone = () => on.logs.some((l) => l.fields.status === 499 && l.fields.path === "/v1/runs/run_s/events");
    await expect.poll(gone).toBe(true);
    emit("run_s", "completed", { output: 1 });
    const ids = [...(await whole).matchAll(/^id: (\S+)$/gm)].map((m) => m[1] as string);
    expect(ids).toHaveLength(2);
    const rest = await on.get("/v1/runs/run_s/events", { ...accept, "last-event-id": ids[0] as string });
    expect([...rest.text.matchAll(/^id: (\S+)$/gm)].map((m) => m[1])).toEqual(ids.slice(1));
  });

  test("a reader that takes nothing is not read for, and closed", async () => {
    const slow = await startOurs({ stallMs: 300 });
    slow.runtime.put("run", "run_slow", runView({ status: "running" }));
    const big = "x".repeat(20_000);
    for (let i = 0; i < 3_000; i++) slow.runtime.emit("run_slow", "task", "run_slow~a", "echo", "started", { big });
    let read = 0;
    const history = slow.runtime.history.bind(slow.runtime);
    slow.runtime.history = async (...args) => {
      const page = await history(...args);
      read += page.events.length;
      return page;
    };
    const socket = connect(slow.gateway.port, "127.0.0.1");
    socket.pause();
    socket.write("GET /v1/runs/run_slow/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    await expect.poll(() => slow.logs.some((l) => l.fields.status === 499), { timeout: 10_000 }).toBe(true);
    expect(read).toBeLessThan(3_000);
    socket.destroy();
    await slow.gateway.close(0);
  });

  test("a signed download of some MiB is pulled at its reader's pace and comes whole", async () => {
    const bytes = randomBytes(24 * 2 ** 20);
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const blob = await on.runtime.values.putBytes("run_d", bytes);
    const entry = { artifactId: "run_d~a~x~1", type: "file", name: "x.bin", mimeType: "application/octet-stream" };
    const artifacts = { length: 1, pages: [[{ ...entry, createdAt: 1, blob, bytes: bytes.length, sha256 }]] };
    on.runtime.put("run", "run_d", runView({ artifacts: artifacts as never }));
    let pulled = 0;
    const stream = on.runtime.values.stream;
    on.runtime.values.stream = async () =>
      (async function* () {
        for (; pulled < bytes.length; pulled += 2 ** 16) yield bytes.subarray(pulled, pulled + 2 ** 16);
      })();
    const url = new URL((await on.get("/v1/artifacts/run_d~a~x~1")).body.file.download_url);
    const socket = connect(on.gateway.port, "127.0.0.1");
    socket.pause();
    socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
    // Until the kernel's buffers are full: the same figure at two looks, and far from the whole.
    let last = -1;
    const stands = (): boolean => {
      const before = last;
      last = pulled;
      return pulled > 0 && pulled === before;
    };
    await expect.poll(stands, { interval: 100, timeout: 10_000 }).toBe(true);
    expect(pulled).toBeLessThan(bytes.length);
    const got: Buffer[] = [];
    socket.on("data", (d: Buffer) => got.push(d));
    socket.resume();
    await once(socket, "close");
    const all = Buffer.concat(got);
    const end = all.indexOf("\r\n\r\n");
    expect(all.subarray(0, end).toString()).toMatch(new RegExp(`content-length: ${bytes.length}\r\n`));
    expect(
      createHash("sha256")
        .update(all.subarray(end + 4))
        .digest("hex"),
    ).toBe(sha256);
    on.runtime.values.stream = stream;
  });
});

describe("WebSockets", () => {
  test.each(["json", "msgpack"])("subscribe and request in %s", async (format) => {
    const client = await Client.open(on.base, [format]);
    expect([client.socket.protocol, client.socket.extensions]).toEqual([format, ""]);
    const pattern = `event.root_${format}.>`;
    expect((await client.call({ type: "subscribe", id: "s", pattern })).type).toBe("subscribed");
    on.runtime.emit(`root_${format}`, "task", "k", "echo", "started", { a: "ü" });
    expect((await client.next((m) => m.type === "event")).event.data).toEqual({ a: "ü" });
    const made = await client.call({ type: "request", id: "r", operation: "runs.create", input: post });
    expect(made.result.run.input).toBe("ü");
    client.close();
    await expect.poll(() => on.gateway.clients).toBe(0);
  });

  test("a foreign origin, one client too many: refused with the error's body", async () => {
    await expect(Client.open(on.base, [], { origin: "http://evil.example" })).rejects.toThrow(/403/);
    const small = await startOurs({ wsClientsMax: 1 });
    const one = await Client.open(small.base);
    const second = new WebSocket(`${small.base.replace("http", "ws")}/v1/ws`);
    second.on("error", () => undefined);
    const [, response] = await once(second, "unexpected-response");
    let body = "";
    for await (const chunk of response) body += chunk;
    expect([response.statusCode, JSON.parse(body).error.code]).toEqual([503, "overloaded"]);
    one.close();
    await small.gateway.close(0);
  });

  test("a slow reader is told and closed with 1013, and quick ones go on", async () => {
    const small = await startOurs({ wsBufferBytesMax: 300_000 });
    const [slow, quick] = [await Client.open(small.base), await Client.open(small.base)];
    for (const client of [slow, quick]) await client.call({ type: "subscribe", id: "s", pattern: ">" });
    slow.socket.pause();
    const big = "x".repeat(10_000);
    let sent = 0;
    while (small.gateway.clients === 2 && sent < 5_000) {
      for (let i = 0; i < 20; i++, sent++) small.runtime.emit("r", "task", "r~a", "echo", "started", { big });
      await quick.next((m) => m.type === "event" && m.event.no === sent);
    }
    expect(sent).toBeLessThan(5_000);
    slow.socket.resume();
    expect((await slow.closed).code).toBe(1013);
    expect(slow.messages.at(-1)).toMatchObject({ type: "error", error: { code: "overloaded" } });
    expect(quick.events("s")).toHaveLength(sent);
    quick.close();
    await small.gateway.close(0);
  });

  test("shutdown: 1001 for WebSockets, an end for streams, nothing new", async () => {
    const other = await startOurs();
    other.runtime.put("run", "run_c", runView({ status: "running" }));
    const client = await Client.open(other.base);
    const stream = await fetch(`${other.base}/v1/runs/run_c/events`, { headers: { accept: "text/event-stream" } });
    await other.gateway.close(1_000);
    expect(other.gateway.clients).toBe(0);
    expect((await client.closed).code).toBe(1001);
    expect(await stream.text()).toBe(":\n\n");
    await expect(Client.open(other.base)).rejects.toThrow(/ECONNREFUSED/);
  });

  test("the silent are pinged, those silent for the whole time are closed, and then no timer is left", async () => {
    let now = 0;
    const timers = new Set<() => void>();
    const after = (_: number, fn: () => void) => {
      timers.add(fn);
      return { cancel: () => timers.delete(fn) };
    };
    const pass = (ms: number): void => {
      now += ms;
      const due = [...timers];
      timers.clear();
      for (const fn of due) fn();
    };
    const codes: number[] = [];
    const app = new FallbackApp({ now: () => now, monotonic: () => now, after });
    app.ws("/x", {
      idleTimeout: 100,
      upgrade: (res: never) => (res as { upgrade(...of: unknown[]): void }).upgrade({}, "", "", "", undefined),
      close: (_: never, code: number) => void codes.push(code),
    });
    const server = await new Promise<Parameters<typeof portOfFallback>[0]>((resolve) =>
      app.listen("127.0.0.1", 0, (listening) => listening && resolve(listening)),
    );
    const socket = new WebSocket(`ws://127.0.0.1:${portOfFallback(server)}/x`, { autoPong: false });
    await once(socket, "open");
    const pinged = once(socket, "ping");
    for (let i = 0; i < 3; i++) pass(25_000);
    await pinged;
    const closed = once(socket, "close");
    for (let i = 0; i < 2; i++) pass(25_000);
    await closed;
    expect([codes, timers.size]).toEqual([[1006], 0]);
    server.close();
  });
});

test("nothing of all this was an error inside", () => {
  expect(on.logs.filter((l) => l.level === "error")).toEqual([]);
});
