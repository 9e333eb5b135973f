import { mkdtemp, readdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { cli, jsonLines } from "./harness.ts";
import { reply, Stub } from "./stub.ts";

let stub: Stub;
const follow = (...more: string[]): string[] => ["run", "echo", "--follow", "--url", stub.url, ...more];

beforeEach(async () => {
  stub = await new Stub().listen();
});
afterEach(() => stub.close());

const checkpoint = {
  checkpoint_id: "c1",
  status: "required",
  title: "Publish it?",
  instructions: "Read it first.\n\nold",
  required_schema: { type: "object", properties: { summary: { type: "string" } } },
};

function openCheckpoint(): void {
  Object.assign(stub.run, { status: "waiting_human", checkpoints: [{ ...checkpoint }] });
  stub.push("hitl.required", { step_id: "approve" });
}

describe("events", () => {
  test("--json: one event a line, the run as the last line", async () => {
    stub.push("run.started");
    const one = cli(follow("--json"));
    await one.out.shows("run.started");
    stub.push("step.started", { step_id: "a" });
    stub.finish("succeeded", { output: 7 });
    expect(await one.code).toBe(0);
    const lines = jsonLines(one.out.text);
    expect(lines.slice(0, 3).map((line) => line.type)).toEqual(["run.started", "step.started", "run.completed"]);
    expect(lines[3]).toMatchObject({ run_id: "r1", status: "succeeded", output: 7 });
    expect(lines).toHaveLength(4);
  });

  test("a cut connection resumes after the last event: each once, in order", async () => {
    stub.push("run.started");
    const one = cli(follow("--json"));
    await one.out.shows("e1");
    for (let n = 2; n <= 6; n++) {
      stub.cut();
      stub.push("step.completed");
      await one.out.shows(`"e${n}"`);
    }
    stub.finish("succeeded");
    expect(await one.code).toBe(0);
    const ids = jsonLines(one.out.text).flatMap((line) => (line.event_id === undefined ? [] : [line.event_id]));
    expect(ids).toEqual(["e1", "e2", "e3", "e4", "e5", "e6", "e7"]);
    const streams = stub.requests.filter((request) => request.path === "/v1/runs/r1/events");
    expect(streams.map((request) => request.headers["last-event-id"])).toEqual([
      undefined,
      "e1",
      "e2",
      "e3",
      "e4",
      "e5",
    ]);
  });

  test("a server that is away is waited for, said once", async () => {
    stub.push("run.started");
    const one = cli(follow());
    await one.out.shows("run.started");
    await stub.close();
    await one.err.shows("reconnecting…");
    await stub.listen();
    await one.err.shows("connected again");
    stub.finish("failed", { error: { code: "boom", message: "It broke." } });
    expect(await one.code).toBe(1);
    expect(one.err.text.match(/reconnecting/g)).toHaveLength(1);
    expect(one.out.text).toContain("boom: It broke.");
  });

  test("a server that replays everything prints nothing twice", async () => {
    stub.push("run.started");
    const one = cli(follow("--json"));
    await one.out.shows("e1");
    stub.routes.set("GET /v1/runs/r1/events", (_request, response) => {
      response.writeHead(200, { "Content-Type": "text/event-stream" });
      for (const event of stub.events) response.write(`id: ${event.event_id}\ndata: ${JSON.stringify(event)}\n\n`);
      response.end();
    });
    stub.push("step.started");
    stub.finish("succeeded");
    stub.cut();
    expect(await one.code).toBe(0);
    expect(jsonLines(one.out.text).map((line) => line.event_id ?? "run")).toEqual(["e1", "e2", "e3", "run"]);
  });

  test("a run that has ended is shown at once", async () => {
    stub.finish("canceled");
    const one = cli(["runs", "follow", "r1", "--url", stub.url]);
    expect(await one.code).toBe(1);
    expect(one.out.text).toContain("✘ canceled");
  });

  test("--timeout is 6 and says how to go on", async () => {
    const one = cli(follow("--timeout", "50ms"));
    expect(await one.code).toBe(6);
    expect(one.err.text).toContain("troupe runs follow r1");
  });

  test("Ctrl-C detaches: 130, and the run is not canceled", async () => {
    stub.push("run.started");
    const one = cli(follow());
    await one.out.shows("run.started");
    one.interrupt();
    expect(await one.code).toBe(130);
    expect(one.err.text).toContain("detached; the run goes on. Follow it again: troupe runs follow r1");
    expect(stub.requests.map((request) => request.method)).not.toContain("DELETE");
  });

  test("a reader that goes away ends it quietly", async () => {
    stub.push("run.started");
    const one = cli(follow());
    await one.out.shows("run.started");
    one.out.broken = true;
    stub.push("step.started");
    expect(await one.code).toBe(0);
    expect(one.err.text).toBe("");
  });
});

describe("checkpoints", () => {
  test("--yes approves", async () => {
    const one = cli(follow("--yes"));
    await one.out.shows("run r1");
    openCheckpoint();
    expect(await one.code).toBe(0);
    expect(stub.requests.filter((request) => request.method === "POST").map((request) => request.path)).toEqual([
      "/v1/runs",
      "/v1/runs/r1/human/c1/approve",
    ]);
  });

  test("without a terminal it says how to decide, once, and waits", async () => {
    const one = cli(follow());
    await one.out.shows("run r1");
    openCheckpoint();
    await one.out.shows("troupe approve r1 c1");
    expect(await cli(["approve", "r1", "--url", stub.url]).code).toBe(0);
    expect(await one.code).toBe(0);
    expect(one.out.text.match(/troupe approve/g)).toHaveLength(1);
    expect(one.out.text).toContain("Read it first.");
  });

  test("at a terminal: reject with a note", async () => {
    const one = cli(follow(), { tty: true });
    await one.out.shows("running");
    openCheckpoint();
    await one.out.shows("ater > ");
    one.stdin.write("what\rr\r");
    await one.out.shows("note for the record");
    one.stdin.write("too long\r");
    expect(await one.code).toBe(1);
    expect(stub.requests.find((request) => request.path.endsWith("/reject"))?.body).toEqual({ note: "too long" });
    expect(one.out.text).toContain("Publish it?: rejected");
  });

  test("at a terminal: a typed summary", async () => {
    const one = cli(follow(), { tty: true });
    await one.out.shows("running");
    openCheckpoint();
    await one.out.shows("ater > ");
    one.stdin.write("e\r");
    await one.out.shows(/summary: .*old/);
    one.stdin.write("er is mine\r");
    expect(await one.code).toBe(0);
    expect(stub.requests.find((request) => request.path.endsWith("/provide_input"))?.body).toEqual({
      input: { summary: "older is mine" },
    });
  });

  test("at a terminal: the editor begins with the draft", async () => {
    const folder = await mkdtemp(join(tmpdir(), "troupe-test-"));
    const editor = join(folder, "editor.mjs");
    await writeFile(
      editor,
      "import{readFileSync as r,writeFileSync as w}from'fs';const f=process.argv.at(-1);w(f,r(f,'utf8')+' and new\\n')",
    );
    const one = cli(follow(), { tty: true, environment: { editor: `'${process.execPath}' '${editor}'` } });
    await one.out.shows("running");
    openCheckpoint();
    await one.out.shows("ater > ");
    one.stdin.write("e\r");
    expect(await one.code).toBe(0);
    expect(stub.requests.find((request) => request.path.endsWith("/provide_input"))?.body).toEqual({
      input: { summary: "old and new" },
    });
  });

  test("at a terminal: decided by someone else while asked", async () => {
    const one = cli(follow(), { tty: true });
    await one.out.shows("running");
    openCheckpoint();
    await one.out.shows("ater > ");
    expect(await cli(["approve", "r1", "--url", stub.url]).code).toBe(0);
    expect(await one.code).toBe(0);
    expect(one.out.text).toContain("decided elsewhere");
  });

  test("at a terminal: Ctrl-C at the question detaches", async () => {
    const one = cli(follow(), { tty: true });
    await one.out.shows("running");
    openCheckpoint();
    await one.out.shows("ater > ");
    one.stdin.write("\u0003");
    expect(await one.code).toBe(130);
    expect(one.err.text).toContain("detached");
  });
});

test("--out saves file artifacts and overwrites nothing", async () => {
  const folder = join(await mkdtemp(join(tmpdir(), "troupe-test-")), "made");
  stub.routes.set("GET /v1/artifacts/a1", (_request, response) =>
    reply(response, 200, { artifact_id: "a1", type: "file", name: "report.md", file: { download_url: "/f" } }),
  );
  stub.routes.set("GET /f", (_request, response) => response.end("# Report"));
  const artifacts = [
    { artifact_id: "a1", type: "file", name: "report.md" },
    { artifact_id: "a2", type: "record", name: "report.json" },
  ];
  stub.finish("succeeded", { artifacts });
  for (const names of [["report.md"], ["report-2.md", "report.md"]]) {
    expect(await cli(["runs", "follow", "r1", "--out", folder, "--url", stub.url]).code).toBe(0);
    expect((await readdir(folder)).sort()).toEqual(names);
  }
});

test("the live view follows the stages", async () => {
  const one = cli(follow(), { tty: true, environment: { noColor: true } });
  await one.out.shows("running");
  stub.run.stages = [{ name: "analyse", status: "running", count: 4, done: 1 }];
  stub.push("step.completed");
  await one.out.shows("1/4");
  stub.run.stages = [{ name: "analyse", status: "completed", count: 4, done: 4 }];
  stub.finish("succeeded");
  expect(await one.code).toBe(0);
  expect(one.out.text).toContain("✔ analyse  4/4");
  expect(one.out.text).not.toContain("\u001b[3");
});
