/** Checkpoints, workflows, artifacts with signed downloads, tasks and agents over HTTP. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Answer } from "../../src/actors/client.ts";
import type { Json, JsonObject } from "../../src/machines/effects.ts";
import { TroupeError } from "../../src/machines/errors.ts";
import { type Started, start } from "./support/start.ts";
import { agentView, checkpointView, runView, taskView } from "./support/views.ts";

let on: Started;
beforeAll(async () => {
  on = await start();
});
afterAll(() => on.gateway.close(100));

describe("checkpoints", () => {
  const schema = {
    type: "object",
    required: ["summary"],
    properties: { summary: { type: "string", format: "email" } },
  };
  const at = (verb: string, id = "review") => `/v1/runs/run_h/human/${id}/${verb}`;

  beforeAll(() => {
    on.runtime.put(
      "run",
      "run_h",
      runView({ status: "waiting_human", checkpoints: [checkpointView({ requiredSchema: schema })] }),
    );
    on.runtime.onAsk = (to, command): Answer => {
      if (command.type !== "run.decide") throw new TroupeError("conflict", "not now");
      const view = on.runtime.views.get(`run/${to.key}`) as JsonObject & { checkpoints: JsonObject[] };
      const open = view.checkpoints[0] as JsonObject;
      if (open.status !== "required") throw new TroupeError("conflict", "The checkpoint is decided already");
      const verb = command.decision as string;
      const status = { approve: "approved", reject: "rejected", provide_input: "input_provided" }[verb] as string;
      const decision = {
        approved: verb !== "reject",
        note: (command.note as string) ?? null,
        decidedAt: 1_700_000_001_000,
        by: null,
      };
      const decided = { ...open, status, providedInput: (command.input as Json) ?? null, decision };
      const next = { ...view, checkpoints: [decided] };
      on.runtime.put("run", to.key, next);
      return { reply: null, view: next, step: 2 };
    };
  });
  afterAll(() => {
    on.runtime.onAsk = undefined;
  });
  const reopen = () =>
    on.runtime.put(
      "run",
      "run_h",
      runView({ status: "waiting_human", checkpoints: [checkpointView({ requiredSchema: schema })] }),
    );

  test("approve takes no body, {} or a note", async () => {
    for (const body of [undefined, {}, { note: "fine" }]) {
      reopen();
      const reply = await on.send("POST", at("approve"), body);
      expect(reply.status).toBe(200);
      expect(reply.body).toMatchObject({
        checkpoint_id: "review",
        run_id: "run_h",
        status: "approved",
        required_schema: schema,
        decision: { approved: true, note: body?.note ?? null, decided_at: "2023-11-14T22:13:21.000Z" },
      });
    }
  });

  test("reject and provide_input need a body", async () => {
    reopen();
    expect((await on.send("POST", at("reject"))).status).toBe(400);
    expect((await on.send("POST", at("provide_input"))).status).toBe(400);
    const missing = await on.send("POST", at("provide_input"), {});
    expect(missing.body.error.details.problems[0]).toEqual({ path: "input", message: "is required" });
    expect((await on.send("POST", at("reject"), {})).body.status).toBe("rejected");
  });

  test("the input is checked against the schema, with its place", async () => {
    reopen();
    const bad = await on.send("POST", at("provide_input"), { input: { summary: "x" } });
    expect(bad.status).toBe(400);
    expect(bad.body.error.details.problems[0].path).toBe("input.summary");
    const good = await on.send("POST", at("provide_input"), { input: { summary: "a@b.example" }, note: "n" });
    expect(good.body).toMatchObject({ status: "input_provided", provided_input: { summary: "a@b.example" } });
  });

  test("decided already is 409, unknown 404", async () => {
    const again = await on.send("POST", at("approve"));
    expect(again.status).toBe(409);
    expect((await on.send("POST", at("provide_input"), { input: 5 })).status).toBe(409);
    expect((await on.send("POST", at("approve", "other"))).status).toBe(404);
    expect((await on.send("POST", "/v1/runs/run_no/human/review/approve")).status).toBe(404);
  });
});

describe("workflows", () => {
  const definition = {
    name: "brief",
    version: "1.0.0",
    description: "d",
    tags: ["text"],
    default_timeout_ms: 1000,
    input_schema: { type: "object" },
    stages: [
      { name: "a", agent_type: "echo" },
      { name: "ok", kind: "checkpoint", title: "Fine?", dependencies: ["a"], schema: { type: "string" } },
    ],
  };

  test("register, read, list by tag, read its schemas", async () => {
    const made = await on.send("PUT", "/v1/workflows/brief", definition);
    expect(made.status).toBe(200);
    expect(made.body).toMatchObject({
      name: "brief",
      version: "1.0.0",
      default_timeout_ms: 1000,
      output_schema_ref: null,
      versions: ["1.0.0"],
    });
    await on.send("PUT", "/v1/workflows/brief", { ...definition, version: "1.1.0" });
    expect((await on.get("/v1/workflows/brief")).body.version).toBe("1.1.0");
    const first = await on.get("/v1/workflows/brief?version=1.0.0");
    expect(first.body.definition.stages).toHaveLength(2);
    expect(first.body.input_schema_ref).toBe("/v1/workflows/brief/schemas?version=1.0.0#/schemas/input");
    const list = await on.get("/v1/workflows?tag=text");
    expect(list.body).toEqual({
      data: [{ name: "brief", version: "1.1.0", description: "d", tags: ["text"] }],
      next_cursor: null,
    });
    const bundle = await on.get("/v1/workflows/brief/schemas?version=1.0.0");
    expect(bundle.body).toMatchObject({
      workflow: { name: "brief", version: "1.0.0" },
      schema_hash: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
      schemas: { input: { type: "object" }, "checkpoint.ok": { type: "string" } },
    });
  });

  test.each([
    [{ ...definition, name: "other" }, "name"],
    [{ ...definition, stages: [{ name: "a", agent_type: "echo", dependencies: ["b"] }] }, "stages[0].dependencies[0]"],
    [{ ...definition, colour: 1 }, "colour"],
    [{ ...definition, input_schema: { type: "nonsense" } }, "input_schema"],
    [{ ...definition, input_schema: { $ref: "https://elsewhere.example/s" } }, "input_schema"],
    [{ ...definition, input_schema: { pattern: "(" } }, "input_schema"],
    [{ ...definition, input_schema: { pattern: "^(?=(a+)+$)" } }, "input_schema"],
    [
      { ...definition, stages: [{ name: "c", kind: "checkpoint", title: "t", schema: { type: 1 } }] },
      "stages[0].schema",
    ],
  ])("a bad definition is 400 with its place (%#)", async (body, place) => {
    const reply = await on.send("PUT", "/v1/workflows/brief", body);
    expect(reply.status).toBe(400);
    expect(reply.body.error.details.problems.map((p: { path: string }) => p.path)).toContain(place);
  });

  test("a pattern that backtracks without end does not hold the gateway up", async () => {
    on.runtime.putWorkflow({
      name: "redos",
      version: "1.0.0",
      input_schema: { type: "string", pattern: "^(a|a)*$" },
      stages: [{ name: "a", agent_type: "echo" }],
    });
    const begun = performance.now();
    const reply = await on.send("POST", "/v1/runs", { workflow: { name: "redos" }, input: `${"a".repeat(5_000)}b` });
    expect(reply.status).toBe(400);
    expect(performance.now() - begun).toBeLessThan(2_000);
  });
});

describe("artifacts", () => {
  const bytes = Buffer.alloc(3_000_000, "troupe ");
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const id = "run_a~a~publish~1";

  beforeAll(async () => {
    const blob = await on.runtime.values.putBytes("run_a", bytes);
    const common = { mimeType: "text/markdown; charset=utf-8", createdAt: 1_700_000_000_000 };
    const entries = [
      { ...common, artifactId: id, type: "file", name: 'Ünsere "Notiz".md', blob, bytes: bytes.length, sha256 },
      {
        ...common,
        artifactId: "run_a~a~publish~2",
        type: "record",
        name: "record",
        mimeType: "application/json",
        data: { a: 1 },
      },
    ];
    on.runtime.put("run", "run_a", runView({ artifacts: { length: 2, pages: [entries] } as unknown as Json }));
  });

  test("a record carries its data, a file a URL that serves its bytes without a credential", async () => {
    const record = await on.get("/v1/artifacts/run_a~a~publish~2");
    expect(record.body).toEqual({
      artifact_id: "run_a~a~publish~2",
      type: "record",
      name: "record",
      created_at: "2023-11-14T22:13:20.000Z",
      mime_type: "application/json",
      data: { a: 1 },
    });
    const { body } = await on.get(`/v1/artifacts/${id}`);
    expect(body.file).toMatchObject({ size_bytes: bytes.length, sha256 });
    expect(body.data).toBeUndefined();
    expect(Date.parse(body.file.expires_at)).toBeGreaterThan(Date.now());
    expect(body.file.download_url.startsWith(`${on.base}/v1/artifacts/`)).toBe(true);
    const response = await fetch(body.file.download_url);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/markdown; charset=utf-8");
    expect(response.headers.get("content-length")).toBe(String(bytes.length));
    expect(response.headers.get("content-disposition")).toBe(
      "attachment; filename=\"_nsere _Notiz_.md\"; filename*=UTF-8''%C3%9Cnsere%20%22Notiz%22.md",
    );
    expect(Buffer.from(await response.arrayBuffer()).equals(bytes)).toBe(true);
    const head = await fetch(body.file.download_url, { method: "HEAD" });
    expect([head.status, head.headers.get("content-length")]).toEqual([200, String(bytes.length)]);
  });

  test("no other spelling of the URL passes, and none for another artifact", async () => {
    const { download_url: url } = (await on.get(`/v1/artifacts/${id}`)).body.file;
    const { pathname, searchParams } = new URL(url);
    const [expires, signature] = [searchParams.get("expires") as string, searchParams.get("signature") as string];
    const tail = (signature.at(-1) as string).charCodeAt(0);
    const forged = [
      `${pathname}?signature=${signature}&expires=${expires}`,
      `${pathname}?expires=${Number(expires) + 60}&signature=${signature}`,
      `${pathname}?expires=0${expires}&signature=${signature}`,
      `${pathname}?expires=${expires}&signature=${signature}=`,
      `${pathname}?expires=${expires}&signature=${signature.slice(0, -1)}${String.fromCharCode(tail + 1)}`,
      `${pathname}?expires=${expires}&signature=${signature.toLowerCase()}`,
      `${pathname.replaceAll("~", "%7E")}?expires=${expires}&signature=${signature}`,
      `${pathname.replace("~1", "~2")}?expires=${expires}&signature=${signature}`,
    ];
    for (const target of forged) {
      const reply = await on.get(target);
      expect([target, reply.status, reply.body.error.details.reason]).toEqual([target, 403, "bad_signature"]);
    }
    for (const target of [
      `${pathname}?expires=${expires}`,
      `${pathname}?expires=x&signature=${signature}`,
      pathname,
      `${pathname}?expires=${expires}&signature=${signature}&more=1`,
    ]) {
      expect([400, 403]).toContain((await on.get(target)).status);
    }
  });

  test("an expired URL says so", async () => {
    const { download_url: url } = (await on.get(`/v1/artifacts/${id}`)).body.file;
    const now = on.runtime.now;
    on.runtime.now = () => Date.now() + 16 * 60_000;
    const reply = await on.get(url.slice(on.base.length));
    on.runtime.now = now;
    expect([reply.status, reply.body.error.details.reason]).toEqual([403, "expired"]);
  });

  test("a source that breaks off does not look like a whole file", async () => {
    const { download_url: url } = (await on.get(`/v1/artifacts/${id}`)).body.file;
    const stream = on.runtime.values.stream;
    on.runtime.values.stream = async () =>
      (async function* () {
        yield new Uint8Array(1000);
        throw new Error("store away");
      })();
    await expect(fetch(url).then((r) => r.arrayBuffer())).rejects.toThrow();
    on.runtime.values.stream = stream;
    expect((await fetch(url)).status).toBe(200);
  });

  test.each(["run_a", "run_a~a~publish~9", "nope~a~x~1", "~", "%20"])("unknown artifact %s is 404", async (unknown) => {
    expect((await on.get(`/v1/artifacts/${unknown}`)).status).toBe(404);
  });

  test("TROUPE_PUBLIC_URL is the base of the URL", async () => {
    const other = await start({ publicUrl: "https://troupe.example.org/" });
    other.runtime.put("run", "run_a", on.runtime.views.get("run/run_a") as JsonObject);
    const { body } = await other.get(`/v1/artifacts/${id}`);
    expect(body.file.download_url).toMatch(/^https:\/\/troupe\.example\.org\/v1\/artifacts\//);
    await other.gateway.close(0);
  });
});

describe("tasks and agents", () => {
  test("a task is asked for with the core's names and answered with the edge's", async () => {
    on.runtime.onAsk = (to, command) => {
      const { type: _, ...fields } = command;
      const view = taskView(fields as Record<string, Json>);
      on.runtime.put("task", to.key, view);
      return { reply: null, view, step: 1 };
    };
    const reply = await on.send("POST", "/v1/tasks", {
      task_type: "echo",
      input: [1],
      timeout_ms: 5,
      deadline: "2030-01-01T00:00:00Z",
    });
    on.runtime.onAsk = undefined;
    expect(reply.status).toBe(201);
    expect(reply.body.task).toMatchObject({
      task_type: "echo",
      status: "ready",
      input: [1],
      timeout_ms: 5,
      deadline: "2030-01-01T00:00:00.000Z",
    });
    const { command } = on.runtime.asked.at(-1) as { command: JsonObject };
    expect(command).toMatchObject({
      type: "task.create",
      taskType: "echo",
      timeoutMs: 5,
      deadlineAt: Date.parse("2030-01-01"),
    });
    const id = reply.body.task.task_id;
    expect((await on.get(`/v1/tasks/${id}`)).body.task_id).toBe(id);
    expect((await on.get("/v1/tasks?task_type=echo")).body.data).toHaveLength(1);
    expect((await on.get("/v1/tasks?status=failed")).body.data).toHaveLength(0);
    expect((await on.send("DELETE", `/v1/tasks/${id}`)).status).toBe(202);
    expect((await on.get("/v1/tasks/none")).status).toBe(404);
    expect(
      (await on.send("POST", "/v1/tasks", { task_type: "Bad Type", input: 1 })).body.error.details.problems[0].path,
    ).toBe("task_type");
  });

  test("agents are listed and read", async () => {
    on.runtime.put("agent", "echo-n1", agentView());
    const list = await on.get("/v1/agents?status=idle&capability=text&agent_type=echo");
    expect(list.body.data).toEqual([
      {
        agent_id: "echo-n1",
        agent_type: "echo",
        name: "Echo",
        version: null,
        status: "idle",
        capabilities: ["text"],
        concurrency: 2,
        configuration: {},
        resources: {},
        health_check_url: null,
        reported_status: null,
        metrics: null,
        current_tasks: ["run_a~x"],
        hosted: true,
        node: "n1",
        metadata: {},
        registered_at: "2023-11-14T22:13:20.000Z",
        last_heartbeat_at: "2023-11-14T22:13:20.000Z",
      },
    ]);
    expect((await on.get("/v1/agents/echo-n1")).body).toEqual(list.body.data[0]);
    expect((await on.get("/v1/agents?status=gone")).body.data).toEqual([]);
    expect((await on.get("/v1/agents/none")).status).toBe(404);
  });
});
