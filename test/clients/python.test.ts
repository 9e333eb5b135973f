/** The Python client's own tests, run by Python against a real Troupe. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";

const folder = join(import.meta.dirname, "../../clients/python");
let troupe: Troupe;
beforeAll(async () => {
  troupe = await startTroupe({ TROUPE_API_KEYS: "client:secret" });
});
afterAll(() => troupe.stop());

test("its tests pass, all of them", { timeout: 120_000 }, async () => {
  const env = { PATH: process.env.PATH, AGENT_RUNTIME_URL: troupe.base, AGENT_RUNTIME_KEY: "secret" };
  const argv = ["-B", "-m", "unittest", "tests.test_agent_runtime_client"];
  const child = spawn("python3", argv, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.on("data", (chunk: Buffer) => {
    told += chunk.toString();
  });
  const [code] = await once(child, "close");
  expect([code, told]).toEqual([0, expect.stringMatching(/Ran 8 tests[\s\S]*\nOK\n$/)]);
});
