/** The Python worker's own tests, run by Python against a real Troupe, which is killed when they ask for it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { RestartableTroupe } from "./restartable.ts";

const folder = join(import.meta.dirname, "../../clients/python");
let troupe: RestartableTroupe;
let signals: string;

beforeAll(async () => {
  troupe = await RestartableTroupe.begin();
  signals = mkdtempSync(join(tmpdir(), "troupe-python-"));
}, 60_000);
afterAll(async () => {
  await troupe?.stop();
  rmSync(signals, { recursive: true, force: true });
}, 60_000);

test("its tests pass, all of them, a kill -9 of the server in between", { timeout: 240_000 }, async () => {
  const env = { PATH: process.env.PATH, TROUPE_URL: troupe.base, TROUPE_SIGNAL: signals };
  const argv = ["-B", "-m", "unittest", "tests.test_troupe_worker"];
  const child = spawn("python3", argv, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  let told = "";
  child.stderr.on("data", (chunk: Buffer) => {
    told += chunk.toString();
  });
  const closed = once(child, "close");
  const over = () => child.exitCode !== null;
  await until(() => over() || existsSync(join(signals, "kill-now")), 200_000, "the tests to ask for the kill");
  if (!over()) {
    await troupe.kill();
    writeFileSync(join(signals, "killed"), "");
    await troupe.start();
    writeFileSync(join(signals, "restarted"), "");
  }
  const [code] = await closed;
  expect([code, told]).toEqual([0, expect.stringMatching(/Ran 6 tests[\s\S]*\nOK\n$/)]);
});
