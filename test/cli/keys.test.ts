/** `troupe keys` against a gateway with the real credentials' machine: made once, shown once, revoked. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Started, start } from "../gateway/support/start.ts";
import { cli, jsonLines } from "./harness.ts";

let on: Started;
beforeAll(async () => {
  on = await start({ apiKeys: [{ name: "admin", key: "admin-key", scopes: ["*"] }] });
});
afterAll(() => on.gateway.close(100));

const troupe = (argv: readonly string[], key = "admin-key") => cli([...argv, "--url", on.base, "--key", key]);

test("create prints the key alone, which then works; list never shows it; revoke ends it", async () => {
  const made = troupe(["keys", "create", "ci", "--scopes", "runs:read,keys:read", "--rate-limit", "600"]);
  expect([await made.code, made.err.text]).toEqual([0, expect.stringContaining("runs:read, keys:read")]);
  const secret = made.out.text.trim();
  expect(secret).toMatch(/^tk_[0-9a-z]+_[A-Za-z0-9_-]{43}$/);
  expect(made.err.text).not.toContain(secret);
  const answer = await on.get("/v1/runs", { "x-api-key": secret });
  expect([answer.status, answer.headers.get("x-ratelimit-limit")]).toEqual([200, "600"]);

  const listed = troupe(["keys", "list"], secret);
  expect(await listed.code).toBe(0);
  expect(listed.out.text).toMatch(/KEY +NAME +STATUS[\s\S]*ci +active +runs:read keys:read +600/);
  const json = troupe(["keys", "list", "--json"]);
  expect(await json.code).toBe(0);
  const [[one]] = jsonLines(json.out.text) as unknown as [[{ key_id: string }]];
  for (const text of [listed.out.text, json.out.text]) expect(text).not.toContain(secret.split("_")[2]);

  const refused = troupe(["keys", "create", "more", "--scopes", "*"], secret);
  expect([await refused.code, refused.err.text]).toEqual([expect.any(Number), expect.stringContaining("keys:write")]);
  expect(await refused.code).not.toBe(0);

  const revoked = troupe(["keys", "revoke", one.key_id]);
  expect([await revoked.code, revoked.out.text]).toEqual([0, `${one.key_id}  revoked\n`]);
  await expect
    .poll(async () => (await on.get("/v1/runs", { "x-api-key": secret })).status, { timeout: 10_000 })
    .toBe(401);
  const after = troupe(["keys", "list"]);
  expect([await after.code, after.out.text]).toEqual([0, expect.stringMatching(/ci +revoked/)]);
});

test("create without a limit; a limit that is none", async () => {
  const made = troupe(["keys", "create", "free", "--rate-limit", "none", "--json"]);
  expect([await made.code, made.err.text]).toEqual([0, ""]);
  expect(jsonLines(made.out.text)[0]).toMatchObject({ key: { name: "free", rate_limit: null, scopes: ["*"] } });
  const bad = troupe(["keys", "create", "x", "--rate-limit", "few"]);
  expect(await bad.code).toBe(2);
});
