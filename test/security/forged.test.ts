/**
 * Forged tokens on every operation of the table and every socket: 401 whatever is wrong with them, never a fault of
 * ours, and nothing is asked of any actor. Real keys, of all kinds that can be configured at once.
 */
import { createHmac, generateKeyPairSync, sign } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import WebSocket from "ws";
import { type Operation, pathParameters } from "../../src/gateway/operation.ts";
import { operations } from "../../src/gateway/table.ts";
import { type Started, start } from "../gateway/support/start.ts";

const secret = "a-shared-secret-of-some-length";
const pair = () => generateKeyPairSync("rsa", { modulusLength: 2048 });
const [ours, inSet, foreign] = [pair(), pair(), pair()];
const pem = ours.publicKey.export({ type: "spki", format: "pem" }).toString();
const jwk = { ...inSet.publicKey.export({ format: "jwk" }), kid: "k1", alg: "RS256", use: "sig" };
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
const nowS = (): number => Math.floor(Date.now() / 1000);
const good = () => ({ sub: "user", iss: "issuer", aud: "troupe", exp: nowS() + 600, scope: "*" });
type Signer = (text: string) => string;
const hmac =
  (key: string | Buffer, hash = "sha256"): Signer =>
  (text) =>
    createHmac(hash, key).update(text).digest("base64url");
const rsa =
  (key: typeof ours, hash = "sha256"): Signer =>
  (text) =>
    sign(hash, Buffer.from(text), key.privateKey).toString("base64url");
const token = (header: object, claims: object, signer: Signer): string => {
  const text = `${part(header)}.${part(claims)}`;
  return `${text}.${signer(text)}`;
};
const hs = { alg: "HS256", typ: "JWT" };
const rs = { alg: "RS256", typ: "JWT" };

let jwks: Server;
let on: Started;
let anAgentsToken = "";
beforeAll(async () => {
  jwks = createServer((_, response) => response.end(JSON.stringify({ keys: [jwk] })));
  await new Promise<void>((resolve) => jwks.listen(0, "127.0.0.1", resolve));
  const address = `http://127.0.0.1:${(jwks.address() as AddressInfo).port}/keys`;
  const jwt = { secret, publicKey: pem, jwks: address, issuer: "issuer", audience: "troupe", scopes: [] };
  on = await start({ apiKeys: [{ name: "a", key: "k", scopes: ["*"] }], auth: { jwt, rateLimit: null } });
  anAgentsToken = token({ ...hs, kid: "troupe" }, { ...good(), iss: "troupe", aud: "troupe:agent" }, hmac(secret));
}, 60_000);
afterAll(async () => {
  await on.gateway.close(100);
  jwks.close();
});
const bearer = (value: string) => ({ authorization: `Bearer ${value}` });

test("what is signed by the right key is accepted: so the others are refused for what they are", async () => {
  for (const one of [
    token(hs, good(), hmac(secret)),
    token(rs, good(), rsa(ours)),
    token({ ...rs, kid: "k1" }, good(), rsa(inSet)),
  ]) {
    expect((await on.get("/v1/runs", bearer(one))).status).toBe(200);
  }
});

/** Each makes a token that must not be believed. */
const forgeries: Record<string, () => string> = {
  "alg none": () => `${part({ alg: "none" })}.${part(good())}.`,
  "alg none in other letters": () => `${part({ alg: "nOnE" })}.${part(good())}.`,
  "alg none, signed": () => token({ alg: "none" }, good(), hmac(secret)),
  "no alg": () => token({ typ: "JWT" }, good(), hmac(secret)),
  "HS256 keyed with the public key's text": () => token(hs, good(), hmac(pem)),
  "HS256 keyed with the public key's bytes": () =>
    token(hs, good(), hmac(ours.publicKey.export({ type: "spki", format: "der" }))),
  "HS256 said, RS256 done": () => token(hs, good(), rsa(ours)),
  "RS256 said, HS256 done": () => token(rs, good(), hmac(secret)),
  "HS512 of the right secret": () => token({ ...hs, alg: "HS512" }, good(), hmac(secret, "sha512")),
  "RS512 of the right key": () => token({ ...rs, alg: "RS512" }, good(), rsa(ours, "sha512")),
  "another secret": () => token(hs, good(), hmac("another")),
  "an empty secret": () => token(hs, good(), hmac("")),
  "a foreign key": () => token(rs, good(), rsa(foreign)),
  "a foreign key under a known kid": () => token({ ...rs, kid: "k1" }, good(), rsa(foreign)),
  "an unknown kid": () => token({ ...rs, kid: "k2" }, good(), rsa(foreign)),
  "a kid that is a path": () => token({ ...rs, kid: "../../dev/null" }, good(), hmac("")),
  "its own key in the header": () =>
    token({ ...rs, jwk: foreign.publicKey.export({ format: "jwk" }) }, good(), rsa(foreign)),
  "a key set of its own": () => token({ ...rs, jku: "http://127.0.0.1:1/keys" }, good(), rsa(foreign)),
  "a critical extension": () => token({ ...hs, crit: ["b64"], b64: false }, good(), hmac(secret)),
  expired: () => token(hs, { ...good(), exp: nowS() - 60 }, hmac(secret)),
  "not yet valid": () => token(hs, { ...good(), nbf: nowS() + 600 }, hmac(secret)),
  "an exp that is a text": () => token(hs, { ...good(), exp: "tomorrow" }, hmac(secret)),
  "another issuer": () => token(rs, { ...good(), iss: "other" }, rsa(ours)),
  "another audience": () => token(rs, { ...good(), aud: ["other"] }, rsa(ours)),
  "no audience": () => token(hs, { ...good(), aud: undefined }, hmac(secret)),
  "no subject": () => token(hs, { ...good(), sub: undefined }, hmac(secret)),
  "a subject that is an object": () => token(hs, { ...good(), sub: { $ne: null } }, hmac(secret)),
  "scopes that are no list": () => token(hs, { ...good(), scope: { all: true } }, hmac(secret)),
  "claims that are no object": () => token(hs, ["sub"], hmac(secret)),
  "an agent's token that Troupe did not sign": () => anAgentsToken,
  "a signature of another token": () => {
    const [, , signature] = token(hs, { ...good(), sub: "other" }, hmac(secret)).split(".");
    return `${part(hs)}.${part(good())}.${signature}`;
  },
  "claims changed behind the signature": () => {
    const [header, , signature] = token(hs, good(), hmac(secret)).split(".");
    return `${header}.${part({ ...good(), scope: "*", agent_id: "boss" })}.${signature}`;
  },
  "a stored key nobody made": () => `tk_0123456789abcdefghjkmnpqrs_${"A".repeat(43)}`,
  "a stored key's prefix": () => "tk_",
};

const pathOf = (path: string): string => pathParameters(path).reduce((at, name) => at.replace(`{${name}}`, "x"), path);
const closed = operations.filter(({ scope }) => scope !== null);
const anyForgery = fc.constantFrom(...Object.keys(forgeries));
/** What is asked for every caller, known or not: that a key or an agent is there. Nothing is changed by it. */
const looks = new Set(["agent.credentials"]);

async function expectNothing(what: string, ask: () => Promise<{ status: number; text: string }>): Promise<void> {
  const before = on.runtime.asked.length;
  const { status, text } = await ask();
  expect([status, what]).toEqual([401, what]);
  const asked = on.runtime.asked.slice(before).filter(({ command }) => !looks.has(command.type));
  expect([asked, what]).toEqual([[], what]);
  expect(text).not.toContain(secret);
}

test.each(Object.keys(forgeries))("%s: 401 everywhere, in each of the three places", async (name) => {
  const forged = forgeries[name]?.() as string;
  for (const path of ["/v1/runs", "/api/v1/tasks", "/ninja-api/grpc/get_task_status", "/ag-ui/agents/echo"]) {
    const method = path.startsWith("/ninja") ? "POST" : "GET";
    const body = method === "POST" ? { task_id: "x" } : undefined;
    await expectNothing(name, () => on.send(method, path, body, bearer(forged)));
    await expectNothing(name, () => on.send(method, path, body, { "x-api-key": forged }));
  }
  for (const path of ["/v1/ws", "/ws", "/api/v1/ws/client", "/ws/agent/client/"]) {
    const address = `${on.base.replace("http", "ws")}${path}?api_key=${encodeURIComponent(forged)}`;
    const status = await new Promise<number>((resolve, reject) => {
      const socket = new WebSocket(address);
      socket.on("unexpected-response", (request, response) => {
        request.destroy();
        resolve(response.statusCode ?? 0);
      });
      socket.on("open", () => reject(new Error(`${path} opened for: ${name}`)));
      socket.on("error", () => undefined);
    });
    expect([status, name]).toEqual([401, name]);
  }
});

test("on every operation, whatever comes with it", { timeout: 120_000 }, async () => {
  const of = fc.constantFrom(...closed.map((one) => one.name));
  const request = fc.record({ of, name: anyForgery, body: fc.jsonValue() });
  await fc.assert(
    fc.asyncProperty(request, async ({ of: operation, name, body }) => {
      const { method, path } = closed.find((one) => one.name === operation) as Operation;
      const sent = method === "GET" || method === "DELETE" ? undefined : body;
      const headers = { ...bearer(forgeries[name]?.() as string), "idempotency-key": "k" };
      await expectNothing(`${name} on ${operation}`, () => on.send(method, pathOf(path), sent, headers));
    }),
    { numRuns: 400 },
  );
});

test("every sign of a good token counts, but for spare bits", { timeout: 60_000 }, async () => {
  const one = token(rs, good(), rsa(ours));
  const last = one.lastIndexOf(".");
  const change = fc.tuple(fc.nat(one.length - 2), fc.constantFrom(..."ABCxyz019-_.~ é\u0000"));
  await fc.assert(
    fc.asyncProperty(change, async ([at, sign]) => {
      const other = one.slice(0, at) + sign + one.slice(at + 1);
      fc.pre(other !== one && at !== last && !/[^!-~]/.test(other));
      await expectNothing(`sign ${at} is ${sign}`, () => on.get("/v1/runs", bearer(other)));
    }),
    { numRuns: 100 },
  );
});

test("what was refused is in the log without the token", () => {
  const logged = JSON.stringify(on.logs);
  expect(logged).not.toContain(secret);
  expect(logged).not.toContain(anAgentsToken);
  for (const { level } of on.logs) expect(level).not.toBe("error");
});
