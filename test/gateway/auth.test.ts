/** Credentials, scopes, and the protection of a gateway without credentials from web pages. */
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { parseApiKeys } from "../../src/gateway/index.ts";
import { type Started, start } from "./support/start.ts";

describe("TROUPE_API_KEYS", () => {
  test("names, keys, scopes", () => {
    expect(parseApiKeys("ops:s3cret, ci:k2:runs:read+runs:write,")).toEqual([
      { name: "ops", key: "s3cret", scopes: ["*"] },
      { name: "ci", key: "k2", scopes: ["runs:read", "runs:write"] },
    ]);
    expect(parseApiKeys("")).toEqual([]);
  });
  test.each(["noKey", "name:", ":key", "a:k:", "a:k:bad scope", "a:k:runs", "sp ace:k"])(
    "%j is refused without showing the key",
    (text) => {
      expect(() => parseApiKeys(text)).toThrow(/API key 1/);
    },
  );
});

describe("with credentials", () => {
  let on: Started;
  beforeAll(async () => {
    on = await start({ apiKeys: parseApiKeys("all:top,reader:low:runs:read,wild:mid:runs:*") });
    on.runtime.emit("r", "run", "r", "echo", "started");
  });
  afterAll(() => on.gateway.close(100));

  test.each(["/", "/healthz", "/readyz", "/docs", "/openapi.json"])("%s is open", async (path) => {
    expect((await on.get(path)).status).toBe(200);
  });

  test("everything else needs a key", async () => {
    for (const path of ["/v1/runs", "/v1/status", "/v1/workflows", "/v1/tasks", "/v1/agents"]) {
      const reply = await on.get(path);
      expect([path, reply.status, reply.body.error.code]).toEqual([path, 401, "unauthenticated"]);
      expect(reply.headers.get("www-authenticate")).toContain("Bearer");
    }
    expect((await on.get("/v1/runs", { "x-api-key": "wrong" })).status).toBe(401);
    expect((await on.get("/v1/runs", { authorization: "Basic dG9w" })).status).toBe(401);
    expect((await on.get("/v1/runs", { "x-api-key": "top" })).status).toBe(200);
    expect((await on.get("/v1/runs", { authorization: "bearer top" })).status).toBe(200);
    expect((await on.get("/v1/runs?api_key=top")).status).toBe(401);
  });

  test("a missing scope is 403 and named", async () => {
    const body = { workflow: { name: "echo" }, input: 1 };
    const reply = await on.send("POST", "/v1/runs", body, { "x-api-key": "low" });
    expect(reply.status).toBe(403);
    expect(reply.body.error).toMatchObject({ code: "forbidden", details: { scope: "runs:write" } });
    expect((await on.send("POST", "/v1/runs", body, { "x-api-key": "mid" })).status).toBe(201);
    expect((await on.get("/v1/status", { "x-api-key": "mid" })).status).toBe(403);
  });

  test("the same idempotency key of two credentials gives two runs", async () => {
    const body = { workflow: { name: "echo" }, input: 1 };
    const ids = await Promise.all(
      ["top", "mid"].map(
        async (key) =>
          (await on.send("POST", "/v1/runs", body, { "x-api-key": key, "idempotency-key": "same" })).body.run.run_id,
      ),
    );
    expect(ids[0]).not.toBe(ids[1]);
  });

  test("a WebSocket needs a key, in a header or the query", async () => {
    const url = `${on.base.replace("http", "ws")}/v1/ws`;
    expect(await outcome(url)).toBe(401);
    expect(await outcome(`${url}?api_key=wrong`)).toBe(401);
    expect(await outcome(`${url}?api_key=top`)).toBe("open");
    expect(await outcome(url, { headers: { authorization: "Bearer top" } })).toBe("open");
    // A key decides, not where the page came from.
    expect(await outcome(`${url}?api_key=top`, { origin: "https://elsewhere.example" })).toBe("open");
  });
});

describe("without credentials", () => {
  let on: Started;
  beforeAll(async () => {
    on = await start();
  });
  afterAll(() => on.gateway.close(100));

  function withHost(host: string, method = "GET", headers: Record<string, string> = {}): Promise<number> {
    return new Promise((resolve, reject) => {
      const req = request(
        { port: on.gateway.port, host: "127.0.0.1", path: "/v1/runs", method, headers: { host, ...headers } },
        (res) => {
          res.resume();
          resolve(res.statusCode ?? 0);
        },
      );
      req.on("error", reject);
      req.end();
    });
  }

  test("only loopback names are served", async () => {
    for (const host of ["localhost", "localhost:8000", "127.0.0.1:1", "127.9.9.9", "[::1]:8000", "troupe.localhost"]) {
      expect([host, await withHost(host)]).toEqual([host, 200]);
    }
    for (const host of [
      "evil.example",
      "evil.example:8000",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "192.168.1.1",
      "0.0.0.0",
    ]) {
      expect([host, await withHost(host)]).toEqual([host, 403]);
    }
  });

  test("a page of another origin may not change anything", async () => {
    const own = { origin: "http://localhost:8000" };
    expect(await withHost("localhost:8000", "DELETE", { origin: "http://evil.example" })).toBe(403);
    expect(await withHost("localhost:8000", "POST", { origin: "null" })).toBe(403);
    expect(await withHost("localhost:8000", "DELETE", own)).toBe(405);
  });

  test("a WebSocket of a page of another origin is refused", async () => {
    const url = `${on.base.replace("http", "ws")}/v1/ws`;
    expect(await outcome(url, { origin: "https://evil.example" })).toBe(403);
    expect(await outcome(url, { origin: on.base })).toBe("open");
    expect(await outcome(url)).toBe("open");
    expect(await outcome(url, { headers: { host: "evil.example" } })).toBe(403);
  });
});

function outcome(url: string, options: WebSocket.ClientOptions = {}): Promise<number | "open"> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(url, options);
    socket.on("open", () => {
      socket.close();
      resolve("open");
    });
    socket.on("unexpected-response", (_, response) => {
      response.resume();
      resolve(response.statusCode ?? 0);
    });
    socket.on("error", reject);
  });
}
