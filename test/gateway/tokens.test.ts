/** Tokens, stored keys and rate limits, over HTTP: what is accepted, what is refused, what an answer says. */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import type { IncomingMessage } from "node:http";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import WebSocket from "ws";
import { rateDefinition, windowMs } from "../../src/machines/rate/machine.ts";
import { absent, type State, step } from "../machines/driver.ts";
import { type Started, start } from "./support/start.ts";

const secret = "your-secret-key";
const { publicKey, privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = publicKey.export({ type: "spki", format: "pem" }).toString();
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const nowS = (): number => Math.floor(Date.now() / 1000);

function hs256(claims: object, key = secret, header: object = { alg: "HS256", typ: "JWT" }): string {
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${createHmac("sha256", key).update(text).digest("base64url")}`;
}

function rs256(claims: object): string {
  const text = `${part({ alg: "RS256", typ: "JWT" })}.${part(claims)}`;
  return `${text}.${sign("sha256", Buffer.from(text), privateKey).toString("base64url")}`;
}

describe("tokens", () => {
  let on: Started;
  beforeAll(async () => {
    on = await start({ auth: { jwt: { secret, publicKey: pem, scopes: ["*"] }, rateLimit: null } });
  });
  afterAll(() => on.gateway.close(100));
  const ask = async (token: string) => on.get("/v1/runs", { authorization: `Bearer ${token}` });

  test("HS256 and RS256 are accepted; scopes of the token bind", async () => {
    expect((await ask(hs256({ sub: "user123", exp: nowS() + 60 }))).status).toBe(200);
    expect((await ask(rs256({ sub: "user123", exp: nowS() + 60 }))).status).toBe(200);
    expect((await ask(hs256({ sub: "u", scope: "runs:read openid" }))).status).toBe(200);
    expect((await ask(hs256({ sub: "u", scope: "tasks:read" }))).status).toBe(403);
    expect((await ask(hs256({ sub: "u", scopes: [] }))).status).toBe(403);
  });

  test.each([
    ["expired", () => hs256({ sub: "u", exp: nowS() - 60 })],
    ["not yet valid", () => hs256({ sub: "u", nbf: nowS() + 60 })],
    ["of another secret", () => hs256({ sub: "u" }, "another")],
    ["HS256 with the public key as the secret", () => hs256({ sub: "u" }, pem)],
    ["alg none", () => `${part({ alg: "none" })}.${part({ sub: "u" })}.`],
    ["alg none with a signature", () => hs256({ sub: "u" }, secret, { alg: "none" })],
    ["alg HS512", () => hs256({ sub: "u" }, secret, { alg: "HS512" })],
    ["RS256 said, HS256 done", () => hs256({ sub: "u" }, secret, { alg: "RS256" })],
    ["without a subject", () => hs256({ exp: nowS() + 60 })],
    ["scopes of another type", () => hs256({ sub: "u", scope: 7 })],
    ["an agent's token that Troupe did not sign", () => hs256({ sub: "a" }, secret, { alg: "HS256", kid: "troupe" })],
  ])("%s: 401, and the token is in no answer and no log", async (_, make) => {
    const token = make();
    const reply = await ask(token);
    expect([reply.status, reply.body.error.code]).toEqual([401, "unauthenticated"]);
    const said = reply.text + JSON.stringify(on.logs);
    expect(said).not.toContain(token);
    expect(said).not.toContain(secret);
  });

  test("whatever is changed in a token, it is refused, and never with a fault of ours", async () => {
    const good = hs256({ sub: "user123", exp: nowS() + 600 });
    const change = fc.tuple(fc.nat(good.length - 1), fc.constantFrom(..."ABCxyz019-_."));
    await fc.assert(
      fc.asyncProperty(change, async ([at, sign]) => {
        const other = good.slice(0, at) + sign + good.slice(at + 1);
        // The last sign of base64 has spare bits: the same bytes may be written in several ways.
        fc.pre(other !== good && at < good.length - 1);
        expect((await ask(other)).status).toBe(401);
      }),
      { numRuns: 60 },
    );
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[!-~]{1,300}$/), async (junk) => {
        expect((await ask(junk)).status).toBe(401);
      }),
      { numRuns: 60 },
    );
  });
});

test("the first stored key closes an open system; a revoked one is refused; more scopes than one's own are not given", async () => {
  const on = await start();
  expect((await on.get("/v1/runs")).status).toBe(200);
  const made = await on.send("POST", "/v1/keys", { name: "ci", scopes: ["runs:read", "keys:write", "keys:read"] });
  expect(made.status).toBe(201);
  const key = { "x-api-key": made.body.secret as string };
  expect((await on.get("/v1/runs")).status).toBe(401);
  const answer = await on.get("/v1/runs", key);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("x-ratelimit-limit")).toBe("1000");
  expect(answer.headers.get("x-ratelimit-remaining")).toBe("999");
  expect((await on.get("/v1/keys", key)).text).not.toContain(made.body.secret);
  expect((await on.send("POST", "/v1/keys", { name: "more", scopes: ["*"] }, key)).status).toBe(403);
  expect((await on.send("DELETE", `/v1/keys/${made.body.key.key_id}`, undefined, key)).status).toBe(200);
  await expect.poll(async () => (await on.get("/v1/runs", key)).status, { timeout: 5000 }).toBe(401);
  expect(JSON.stringify(on.logs)).not.toContain(made.body.secret);
  await on.gateway.close(100);
});

test("a limit is kept, and said: 429 with Retry-After", async () => {
  const on = await start({ apiKeys: [{ name: "a", key: "k", scopes: ["*"] }], auth: { rateLimit: 30 } });
  const answers = await Promise.all(Array.from({ length: 60 }, () => on.get("/v1/runs", { "x-api-key": "k" })));
  expect(answers.filter((one) => one.status === 200)).toHaveLength(30);
  const refused = answers.find((one) => one.status === 429);
  expect(refused?.body.error.code).toBe("rate_limited");
  expect(Number(refused?.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(refused?.headers.get("x-ratelimit-remaining")).toBe("0");
  await on.gateway.close(100);
});

test("no minute sees more than the limit, however leases are taken and given back", () => {
  const move = fc.record({ afterMs: fc.nat(4_000), want: fc.nat(40), back: fc.nat(100) });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 60 }), fc.array(move, { maxLength: 80 }), (limit, moves) => {
      const spent: { at: number; count: number }[] = [];
      let state: State = absent(rateDefinition as never);
      let now = 1_000_000;
      let last: { slot: number; count: number }[] = [];
      for (const { afterMs, want, back } of moves) {
        now += afterMs;
        const command = { type: "rate.lease", limit, want, unspent: last };
        const done = step(rateDefinition as never, state, command, { type: "rate", key: "a" }, now);
        state = done.state;
        const grant = done.effects.find((one) => one.type === "reply")?.value as { granted: number; slot: number };
        const unspent = Math.floor((grant.granted * back) / 100);
        last = unspent > 0 ? [{ slot: grant.slot, count: unspent }] : [];
        spent.push({ at: now, count: grant.granted - unspent });
        const inMinute = spent.filter((one) => one.at > now - windowMs).reduce((sum, one) => sum + one.count, 0);
        expect(inMinute).toBeLessThanOrEqual(limit);
      }
    }),
  );
});

test.each(["native", "javascript"] as const)("handshakes tell of the limit and count (%s server)", async (server) => {
  const on = await start({ apiKeys: [{ name: "a", key: "k", scopes: ["*"] }], auth: { rateLimit: 3 }, server });
  const shake = (path: string, headers: Record<string, string>): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const socket = new WebSocket(`${on.base.replace("http", "ws")}${path}`, { headers });
      let answer: IncomingMessage | undefined;
      socket.on("upgrade", (response) => {
        answer = response;
      });
      socket.on("open", () => {
        socket.terminate();
        resolve(answer as IncomingMessage);
      });
      socket.on("unexpected-response", (_, response) => {
        response.resume();
        resolve(response);
      });
      socket.on("error", reject);
    });
  for (const [i, path] of ["/v1/ws", "/ws?api_key=k", "/api/v1/ws/client-1"].entries()) {
    const { statusCode, headers } = await shake(path, path.includes("api_key") ? {} : { "x-api-key": "k" });
    expect([statusCode, headers["x-ratelimit-limit"], headers["x-ratelimit-remaining"]]).toEqual([
      101,
      "3",
      `${2 - i}`,
    ]);
  }
  const refused = await shake("/api/v1/ws/client-1", { "x-api-key": "k" });
  expect([refused.statusCode, refused.headers["x-ratelimit-remaining"]]).toEqual([429, "0"]);
  expect(Number(refused.headers["retry-after"])).toBeGreaterThan(0);
  const over = await on.get("/api/v1/tasks", { "x-api-key": "k" });
  expect([over.status, over.body.error.code]).toEqual([429, "RATE_LIMIT_EXCEEDED"]);
  await on.gateway.close(100);
});
