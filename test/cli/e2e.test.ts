/**
 * The client against the real thing: `troupe start` as a process of its own, with its own
 * nats-server, killed and started again while it is followed.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, expect, test } from "vitest";
import { freePort } from "../support/free-port.ts";
import { type Cli, cli, jsonLines } from "./harness.ts";

const bin = join(import.meta.dirname, "../../bin/troupe.js");
let folder: string;
let node: ChildProcess;
let url: string;

/** Starts a node on the folder's data; resolves with its address when it is ready. */
async function start(port: number): Promise<string> {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: "silent", GRPC_PORT: "off" };
  const argv = [bin, "start", "--port", String(port), "--data-dir", join(folder, "data")];
  node = spawn(process.execPath, argv, { cwd: folder, env, stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: node.stdout as NodeJS.ReadableStream })) {
    const found = /ready on (http:\S+)/.exec(line);
    if (found?.[1] !== undefined) return found[1];
  }
  throw new Error("the node ended before it was ready");
}

function troupe(...argv: string[]): Cli {
  return cli([...argv, "--url", url]);
}

async function stop(signal: NodeJS.Signals): Promise<void> {
  if (node.exitCode !== null || node.signalCode !== null) return;
  node.kill(signal);
  await once(node, "exit");
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-e2e-"));
  url = await start(await freePort());
  const sections = Array.from(
    { length: 40 },
    (_, n) => `## Part ${n}\n\nThis is what part ${n} says. It says it twice.\n`,
  );
  await writeFile(join(folder, "doc.md"), `# Parts\n\n${sections.join("\n")}`);
});
afterAll(async () => {
  await stop("SIGTERM");
  await rm(folder, { recursive: true, force: true });
});

test("echo: the input comes out again", async () => {
  const one = troupe("run", "echo", "--input", '{"a":[1]}', "--follow", "--json");
  expect(await one.code).toBe(0);
  const lines = jsonLines(one.out.text);
  expect(lines[0]).toMatchObject({ type: "run.started" });
  expect(lines.at(-2)).toMatchObject({ type: "run.completed" });
  expect(lines.at(-1)).toMatchObject({ status: "succeeded", output: { a: [1] } });
});

test("document-brief: followed, approved from another terminal, the report saved", async () => {
  const argv = ["--input", '{"title":"Parts"}', "--file", join(folder, "doc.md")];
  const one = troupe("run", "document-brief@1.0.0", ...argv, "--follow", "--out", join(folder, "out"));
  await one.out.shows(/troupe approve (\S+) /);
  const id = /troupe approve (\S+) /.exec(one.out.text)?.[1] ?? "";
  const two = troupe("approve", id);
  expect([await two.code, two.err.text]).toEqual([0, ""]);
  expect([await one.code, one.err.text]).toEqual([0, ""]);
  const [report] = await readdir(join(folder, "out"));
  expect(await readFile(join(folder, "out", report ?? ""), "utf8")).toContain("Parts");
});

test("a rejected run is exit code 1, a summary of one's own is 0", async () => {
  for (const [decision, code] of [
    [["reject", "--note", "no"], 1],
    [["input", "--text", "My own words."], 0],
  ] as const) {
    const one = troupe("run", "document-brief", "--set", "text=A text. Of two sentences.", "--follow");
    await one.out.shows(/troupe approve (\S+) /);
    const id = /troupe approve (\S+) /.exec(one.out.text)?.[1] ?? "";
    const [verb, ...flags] = decision;
    expect(await troupe(verb, id, ...flags).code).toBe(0);
    expect(await one.code).toBe(code);
  }
});

test("kill -9 while a run and the feed are followed: each event once, in order", async () => {
  const feed = troupe("tail", "event.*.run.document-brief.>", "--json");
  await feed.err.shows("listening");
  const one = troupe("run", "document-brief", "--file", join(folder, "doc.md"), "--follow", "--json");
  await one.out.shows("step.completed");
  await stop("SIGKILL");
  await one.err.shows("reconnecting…");
  await start(Number(new URL(url).port));
  await one.out.shows("hitl.required");
  const id = String(jsonLines(one.out.text)[0]?.run_id);
  expect(await troupe("approve", id).code).toBe(0);
  expect(await one.code).toBe(0);
  const followed = jsonLines(one.out.text).flatMap(({ event_id: event }) => (event === undefined ? [] : [event]));
  const all = troupe("runs", "events", id, "--json", "--limit", "100000");
  expect(await all.code).toBe(0);
  expect(followed).toEqual(jsonLines(all.out.text).map((event) => event.event_id));
  await feed.out.shows(/"name":"completed"/);
  feed.interrupt();
  expect(await feed.code).toBe(130);
  const numbers = jsonLines(feed.out.text).flatMap((event) => (event.root === id ? [Number(event.no)] : []));
  expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
});

test("what else can be asked", async () => {
  for (const argv of [["status"], ["runs", "list"], ["workflows", "list"], ["agents", "list"], ["tasks", "list"]]) {
    const one = troupe(...argv);
    expect([argv, await one.code, one.err.text]).toEqual([argv, 0, ""]);
    const two = troupe(...argv, "--json");
    expect(await two.code).toBe(0);
    expect(JSON.parse(two.out.text)).toBeTruthy();
  }
  const created = troupe("tasks", "create", "--type", "echo", "--input", '{"b":2}');
  expect([await created.code, created.err.text]).toEqual([0, ""]);
  expect(await troupe("tasks", "show", created.out.text.trim()).code).toBe(0);
  const definition = { name: "twice", version: "1.0.0", stages: [{ name: "a", agent_type: "echo" }] };
  await writeFile(join(folder, "twice.json"), JSON.stringify(definition));
  for (let n = 0; n < 2; n++) expect(await troupe("workflows", "register", join(folder, "twice.json")).code).toBe(0);
  await writeFile(join(folder, "twice.json"), JSON.stringify({ ...definition, description: "other" }));
  expect(await troupe("workflows", "register", join(folder, "twice.json")).code).toBe(1);
  expect(await troupe("runs", "show", "run_nothing").code).toBe(4);
});
