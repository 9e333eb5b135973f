/** Contract 002 over gRPC: every method, with clients made from the .proto file, against the real runtime. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { all, detailsOf, fromJsonValue, Inbox, jsonValue, type Message, type Stub } from "./support/client.ts";
import { type Grpc, registerWorkflows, startGrpc } from "./support/start.ts";

const asking = {
  name: "asking",
  version: "1.0.0",
  description: "Asks a human.",
  tags: ["asks"],
  default_timeout_ms: 60_000,
  stages: [
    {
      kind: "checkpoint",
      name: "answer",
      title: "A number, please",
      instructions: "Any number.",
      schema: { type: "object", properties: { n: { type: "number" } }, required: ["n"] },
      on_reject: "continue",
    },
  ],
  output: "${stages.answer.output}",
};

let grpc: Grpc;
let runs: Stub;
beforeAll(async () => {
  grpc = await startGrpc();
  await registerWorkflows(grpc.base, [asking]);
  runs = grpc.stub("agent.runtime.v1.AgentRuntime");
});
afterAll(() => grpc.stop());

const refused = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(
    () => Promise.reject(new Error("it was not refused")),
    (error) => error,
  );
const http = async (path: string, headers: Record<string, string> = {}): Promise<Message> =>
  (await fetch(grpc.base + path, { headers })).json();

async function begin(name: string, input: unknown, more: object = {}): Promise<string> {
  const request = { workflow: { name }, input: jsonValue(input), ...more };
  return (await runs.call("CreateRun", request)).run.run_id;
}

/** Begun, and waiting for its human. */
async function waiting(): Promise<string> {
  const run_id = await begin("asking", null);
  const inbox = new Inbox(runs.stream("StreamEvents", { run_id }));
  await inbox.next(({ type }) => type === "EVENT_TYPE_HITL_REQUIRED");
  inbox.cancel();
  return run_id;
}

const input = { text: "hä", list: [1, 2.5, -3, true, null, { deep: "yes" }], big: 9007199254740991 };

test("a run is created, read and listed with all that JSON can hold", async () => {
  const request = {
    workflow: { name: "echo", version: "0.1.0" },
    input: jsonValue(input),
    context: jsonValue({ user: "u1" }),
    metadata: { origin: jsonValue("test"), n: jsonValue(7) },
    labels: { team: "bees" },
    idempotency_key: "create-1",
  };
  const { run } = await runs.call("CreateRun", request);
  expect(run).toMatchObject({ workflow: { name: "echo", version: "0.1.0" }, tenant_id: "", error: null });
  expect(run.trace_id).toMatch(/^[0-9a-f]{32}$/);
  const events = await all(runs.stream("StreamEvents", { run_id: run.run_id }));
  expect(events.at(-1).type).toBe("EVENT_TYPE_RUN_COMPLETED");
  const { run: read } = await runs.call("GetRun", { run_id: run.run_id });
  expect(read.status).toBe("RUN_STATUS_SUCCEEDED");
  expect(fromJsonValue(read.input)).toEqual(input);
  expect(fromJsonValue(read.output)).toEqual(input);
  expect(fromJsonValue(read.context)).toEqual({ user: "u1" });
  expect(fromJsonValue(read.metadata.n)).toBe(7);
  expect(read.timing.finished_at >= read.timing.started_at).toBe(true);
  const overHttp = await http(`/v1/runs/${run.run_id}`);
  expect([read.timing.created_at, read.timing.wall_ms]).toEqual([overHttp.timing.created_at, overHttp.timing.wall_ms]);
  const again = await runs.call("CreateRun", request);
  expect(again.run.run_id).toBe(run.run_id);
  const other = await refused(runs.call("CreateRun", { ...request, input: jsonValue("other") }));
  expect(other.code).toBe(status.ALREADY_EXISTS);
  expect(detailsOf(other).metadata.differs).toBe('["input"]');
});

test("runs are listed in pages, by status and workflow", async () => {
  const ids = [await begin("echo", 1), await begin("echo", 2), await begin("echo", 3)];
  for (const run_id of ids) await all(runs.stream("StreamEvents", { run_id }));
  const found: string[] = [];
  let cursor = "";
  do {
    const page = await runs.call("ListRuns", { limit: 2, cursor, status: "succeeded", workflow_name: "echo" });
    expect(page.data.length).toBeLessThanOrEqual(2);
    found.push(...page.data.map(({ run_id }: Message) => run_id));
    cursor = page.next_cursor;
  } while (cursor !== "");
  for (const id of ids) expect(found.filter((one) => one === id)).toHaveLength(1);
  expect((await runs.call("ListRuns", { workflow_name: "nothing-of-this-name" })).data).toEqual([]);
});

describe("events", () => {
  test("are the same as over HTTP, in pages and live", async () => {
    const run_id = await begin("echo", "x");
    const live = await all(runs.stream("StreamEvents", { run_id }));
    const { data } = await http(`/v1/runs/${run_id}/events`);
    expect(live.map(({ event_id }) => event_id)).toEqual(data.map((one: Message) => one.event_id));
    const [first] = live;
    expect(first).toMatchObject({ ts: data[0].ts, run_id, step_id: "", tool_name: "" });
    expect(first.trace.trace_id).toBe(data[0].trace.trace_id);
    expect(fromJsonValue(first.payload)).toEqual(data[0].payload);
    const paged: Message[] = [];
    let cursor = "";
    do {
      const page = await runs.call("ListEvents", { run_id, limit: 1, cursor });
      paged.push(...page.data);
      cursor = page.next_cursor;
    } while (cursor !== "");
    expect(paged).toEqual(live);
  });

  test("resume behind the last-event-id, each once", async () => {
    const run_id = await begin("echo", "x");
    const whole = await all(runs.stream("StreamEvents", { run_id }));
    for (const [at, { event_id }] of whole.entries()) {
      const rest = await all(runs.stream("StreamEvents", { run_id }, { metadata: { "last-event-id": event_id } }));
      expect(rest).toEqual(whole.slice(at + 1));
    }
    const bad = await refused(all(runs.stream("StreamEvents", { run_id }, { metadata: { "last-event-id": "evt_x" } })));
    expect(bad.code).toBe(status.INVALID_ARGUMENT);
    expect(detailsOf(bad).metadata.problems).toContain("last-event-id");
  });

  test("come live while the run waits, and end with it", async () => {
    const run_id = await begin("asking", null);
    const inbox = new Inbox(runs.stream("StreamEvents", { run_id }));
    await inbox.next(({ type }) => type === "EVENT_TYPE_HITL_REQUIRED");
    await runs.call("RejectCheckpoint", { run_id, checkpoint_id: "answer", note: "no" });
    await inbox.next(({ type }) => type === "EVENT_TYPE_HITL_RESOLVED");
    await inbox.next(({ type }) => type === "EVENT_TYPE_RUN_COMPLETED");
    expect(await inbox.end()).toBeNull();
  });
});

describe("checkpoints", () => {
  test("are approved, once", async () => {
    const run_id = await waiting();
    const { run } = await runs.call("GetRun", { run_id });
    expect(run.status).toBe("RUN_STATUS_WAITING_HUMAN");
    expect(run.checkpoints).toHaveLength(1);
    const [checkpoint] = run.checkpoints;
    expect(checkpoint).toMatchObject({
      run_id,
      title: "A number, please",
      instructions: "Any number.",
      decision: null,
    });
    expect(checkpoint.status).toBe("HUMAN_CHECKPOINT_STATUS_REQUIRED");
    expect(fromJsonValue(checkpoint.required_schema)).toMatchObject({ required: ["n"] });
    const { checkpoint_id } = checkpoint;
    const approved = await runs.call("ApproveCheckpoint", { run_id, checkpoint_id, note: "fine" });
    expect(approved.status).toBe("HUMAN_CHECKPOINT_STATUS_APPROVED");
    expect(approved.decision).toMatchObject({ approved: true, note: "fine" });
    const twice = await refused(runs.call("ApproveCheckpoint", { run_id, checkpoint_id }));
    expect(twice.code).toBe(status.FAILED_PRECONDITION);
  });

  test("are rejected", async () => {
    const run_id = await waiting();
    const rejected = await runs.call("RejectCheckpoint", { run_id, checkpoint_id: "answer", note: "no" });
    expect(rejected.status).toBe("HUMAN_CHECKPOINT_STATUS_REJECTED");
    expect(rejected.decision).toMatchObject({ approved: false, note: "no" });
  });

  test("take input that their schema permits, and no other", async () => {
    const run_id = await waiting();
    const at = { run_id, checkpoint_id: "answer" };
    for (const wrong of [undefined, jsonValue({ n: "two" })]) {
      const error = await refused(runs.call("ProvideCheckpointInput", { ...at, input: wrong }));
      expect(error.code).toBe(status.INVALID_ARGUMENT);
      expect(detailsOf(error).metadata.problems).toContain("input");
    }
    const given = await runs.call("ProvideCheckpointInput", { ...at, input: jsonValue({ n: 2 }), note: "two" });
    expect(given.status).toBe("HUMAN_CHECKPOINT_STATUS_INPUT_PROVIDED");
    expect(fromJsonValue(given.provided_input)).toEqual({ n: 2 });
  });
});

test("a run is cancelled while it waits", async () => {
  const run_id = await waiting();
  await runs.call("CancelRun", { run_id });
  const events = await all(runs.stream("StreamEvents", { run_id }));
  expect(events.at(-1).type).toBe("EVENT_TYPE_RUN_CANCELED");
  expect((await runs.call("GetRun", { run_id })).run.status).toBe("RUN_STATUS_CANCELED");
  const done = await begin("echo", 1);
  await all(runs.stream("StreamEvents", { run_id: done }));
  expect((await refused(runs.call("CancelRun", { run_id: done }))).code).toBe(status.FAILED_PRECONDITION);
});

test("workflows are listed by tag, read whole, with their schemas", async () => {
  const list = await runs.call("ListWorkflows", { tag: "asks" });
  expect(list).toEqual({
    data: [{ name: "asking", version: "1.0.0", description: "Asks a human.", tags: ["asks"] }],
    next_cursor: "",
  });
  expect((await runs.call("ListWorkflows", { limit: 1 })).next_cursor).not.toBe("");
  const workflow = await runs.call("GetWorkflow", { name: "asking" });
  expect(workflow).toMatchObject({ name: "asking", version: "1.0.0", tags: ["asks"], default_timeout_ms: 60_000 });
  expect(fromJsonValue(workflow.definition)).toMatchObject({ stages: [{ kind: "checkpoint" }] });
  const bundle = await runs.call("GetWorkflowSchemas", { name: "document-brief", version: "1.0.0" });
  const overHttp = await http("/v1/workflows/document-brief/schemas");
  expect(bundle.workflow).toBe("document-brief");
  expect(bundle.schema_hash).toBe(overHttp.schema_hash);
  const schemas = Object.entries(bundle.schemas).map(([key, one]) => [key, fromJsonValue(one)]);
  expect(Object.fromEntries(schemas)).toEqual(overHttp.schemas);
});

test("artifacts: a record's data, a file's address that works", async () => {
  const run_id = await begin("document-brief", { text: "# Bees\n\nBees fly. They are small.", auto_approve: true });
  await all(runs.stream("StreamEvents", { run_id }));
  const { run } = await runs.call("GetRun", { run_id });
  expect(run.status).toBe("RUN_STATUS_SUCCEEDED");
  const artifacts: Message[] = [];
  for (const { artifact_id } of run.artifacts) artifacts.push(await runs.call("GetArtifact", { artifact_id }));
  const file = artifacts.find(({ type }) => type === "ARTIFACT_TYPE_FILE");
  const record = artifacts.find(({ type }) => type === "ARTIFACT_TYPE_RECORD");
  expect(file.data).toBeNull();
  const downloaded = await fetch(file.file.download_url);
  expect((await downloaded.arrayBuffer()).byteLength).toBe(file.file.size_bytes);
  expect(fromJsonValue(record.data)).toMatchObject({ title: "Bees" });
});

test.each([
  ["CreateRun", { workflow: { name: "no-such-workflow" } }, status.NOT_FOUND],
  ["CreateRun", {}, status.INVALID_ARGUMENT],
  ["CreateRun", { workflow: { name: "document-brief" }, input: jsonValue({ text: 1 }) }, status.INVALID_ARGUMENT],
  ["CreateRun", { workflow: { name: "echo" }, input: { double_value: Number.NaN } }, status.INVALID_ARGUMENT],
  ["GetRun", { run_id: "run_none" }, status.NOT_FOUND],
  ["GetRun", {}, status.INVALID_ARGUMENT],
  ["ListRuns", { limit: 1_000 }, status.INVALID_ARGUMENT],
  ["ListRuns", { status: "sleeping" }, status.INVALID_ARGUMENT],
  ["ListRuns", { cursor: "nonsense" }, status.INVALID_ARGUMENT],
  ["CancelRun", { run_id: "run_none" }, status.NOT_FOUND],
  ["ListEvents", { run_id: "run_none" }, status.NOT_FOUND],
  ["ApproveCheckpoint", { run_id: "run_none", checkpoint_id: "c" }, status.NOT_FOUND],
  ["RejectCheckpoint", { run_id: "run_none", checkpoint_id: "c" }, status.NOT_FOUND],
  ["ProvideCheckpointInput", { run_id: "run_none", checkpoint_id: "c", input: jsonValue(1) }, status.NOT_FOUND],
  ["ListWorkflows", { limit: -1 }, status.INVALID_ARGUMENT],
  ["GetWorkflow", { name: "none" }, status.NOT_FOUND],
  ["GetWorkflowSchemas", { name: "echo", version: "9.9.9" }, status.NOT_FOUND],
  ["GetArtifact", { artifact_id: "run_none~a" }, status.NOT_FOUND],
])("%s of %j is refused with %i and details", async (method, request, code) => {
  const error = await refused(runs.call(method, request));
  expect(error.code).toBe(code);
  expect(detailsOf(error)).toMatchObject({ code, domain: "troupe", message: error.details });
});

test("a stream of an unknown run is refused", async () => {
  expect((await refused(all(runs.stream("StreamEvents", { run_id: "run_none" })))).code).toBe(status.NOT_FOUND);
});
