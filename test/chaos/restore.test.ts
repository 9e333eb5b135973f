/** A backup taken while runs are under way, brought into an empty directory: every run goes on there to its end. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { workflows } from "./fixtures/workflows.ts";
import { eventually, Troupe } from "./harness.ts";
import { fetchAll } from "./http.ts";

type Json = { [key: string]: unknown };
const run = promisify(execFile);
const root = fileURLToPath(new URL("../..", import.meta.url));
const text = readFileSync(new URL("./fixtures/harbour.md", import.meta.url), "utf8");

const tool = (data: string, ...args: string[]) =>
  run(process.execPath, ["bin/troupe.js", ...args], { cwd: root, env: { ...process.env, TROUPE_DATA: data } });

async function send(troupe: Troupe, method: string, path: string, body?: unknown): Promise<Json> {
  const answer = await fetchAll(troupe.base + path, {
    method,
    headers: { "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const told = answer.body.toString();
  if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${told}`);
  return JSON.parse(told) as Json;
}

async function begin(troupe: Troupe, name: string, version: string, input: unknown): Promise<string> {
  const { run: made } = await send(troupe, "POST", "/v1/runs", { workflow: { name, version }, input });
  return (made as { run_id: string }).run_id;
}

const statusOf = async (troupe: Troupe, id: string) => (await send(troupe, "GET", `/v1/runs/${id}`)).status;
const ended = (troupe: Troupe, id: string) =>
  eventually(`the end of ${id}`, async () => (await statusOf(troupe, id)) === "succeeded", 60_000, 100);

test("runs that are under way when the backup is taken end where it is restored", { timeout: 240_000 }, async () => {
  const lost = await Troupe.create();
  const found = await Troupe.create();
  try {
    await lost.start();
    for (const one of workflows) await send(lost, "PUT", `/v1/workflows/${one.name}`, one);
    const items = Array.from({ length: 8 }, (_, i) => ({ ms: 4_000, value: i }));
    const fan = await begin(lost, "chaos-fan", "1.0.0", { items });
    const brief = await begin(lost, "document-brief", "1.0.0", { text });
    const done = await begin(lost, "echo", "0.1.0", { a: 1 });
    await ended(lost, done);
    await eventually("the checkpoint", async () => (await statusOf(lost, brief)) === "waiting_human", 60_000);
    await eventually("agents at work", () => readFileSync(lost.effects, "utf8").trim().split("\n").length >= 8);
    const expiry = await begin(lost, "chaos-expiry", "1.0.0", { value: 5 });
    const file = join(lost.directory, "kept.troupe");
    await tool(lost.data, "backup", file);
    // Nothing of the first is left but the file.
    await lost.kill();
    await lost.killNats();
    await tool(found.data, "restore", file);
    await found.start();
    expect((await send(found, "GET", `/v1/runs/${done}`)).status).toBe("succeeded");
    expect(await statusOf(found, brief)).toBe("waiting_human");
    await send(found, "POST", `/v1/runs/${brief}/human/review/approve`, {});
    await Promise.all([fan, brief, expiry].map((id) => ended(found, id)));
    const { result, output = result } = await send(found, "GET", `/v1/runs/${fan}`);
    expect(output).toEqual({ all: items.map(({ value }) => ({ value })), last: { value: 8 } });
    await found.interrupt();
    expect((await tool(found.data, "audit")).stdout).toMatch(/sound/);
  } finally {
    await Promise.all([lost.dispose(), found.dispose()]);
  }
});
