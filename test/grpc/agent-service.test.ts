/** Contract 000 over gRPC, with a client made from the .proto file, against the real runtime. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { detailsOf, type Stub } from "./support/client.ts";
import { type Grpc, startGrpc } from "./support/start.ts";

let grpc: Grpc;
let agents: Stub;
beforeAll(async () => {
  grpc = await startGrpc();
  agents = grpc.stub("agent.AgentService");
});
afterAll(() => grpc.stop());

const refused = (promise: Promise<unknown>): Promise<ServiceError> =>
  promise.then(
    () => Promise.reject(new Error("it was not refused")),
    (error) => error,
  );

test("a prompt is executed, its status asked for until it has ended", async () => {
  const prompt = "Count the words of: one two three";
  const started = await agents.call("ExecuteTask", { prompt, context: { language: "en" }, tools: ["text_statistics"] });
  expect(started).toMatchObject({ message: "Task submitted for execution" });
  expect(["accepted", "running", "completed"]).toContain(started.status);
  const { task_id } = started;
  let told = await agents.call("GetTaskStatus", { task_id });
  await until(async () => {
    told = await agents.call("GetTaskStatus", { task_id });
    return ["completed", "failed", "cancelled"].includes(told.status);
  });
  expect(told).toMatchObject({ task_id, status: "completed" });
  expect(told.result.length).toBeGreaterThan(0);
  expect(told.events.length).toBeGreaterThan(1);
  expect(await agents.call("CancelTask", { task_id })).toEqual({
    task_id,
    status: "completed",
    message: "Task is completed already",
  });
});

test("the task is the one that HTTP has, and a key makes it once", async () => {
  const metadata = { "idempotency-key": "prompt-1" };
  const first = await agents.call("ExecuteTask", { prompt: "hello" }, { metadata });
  const second = await agents.call("ExecuteTask", { prompt: "hello" }, { metadata });
  expect(second.task_id).toBe(first.task_id);
  const task = (await (await fetch(`${grpc.base}/v1/tasks/${first.task_id}`)).json()) as { input: { prompt: string } };
  expect(task.input.prompt).toBe("hello");
  const other = await refused(agents.call("ExecuteTask", { prompt: "bye" }, { metadata }));
  expect(other.code).toBe(status.ALREADY_EXISTS);
  expect(detailsOf(other).reason).toBe("IDEMPOTENCY_CONFLICT");
});

test("a task that waits is cancelled", async () => {
  const body = { task_type: "nobody-does-this", input: null };
  const created = await fetch(`${grpc.base}/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const { task } = (await created.json()) as { task: { task_id: string } };
  const { task_id } = task;
  expect((await agents.call("GetTaskStatus", { task_id })).status).toBe("accepted");
  expect(await agents.call("CancelTask", { task_id })).toMatchObject({ task_id, status: "cancelled" });
  expect(await agents.call("GetTaskStatus", { task_id })).toMatchObject({ status: "cancelled" });
});

test.each([
  ["ExecuteTask", {}, status.INVALID_ARGUMENT, "INVALID_INPUT"],
  ["GetTaskStatus", { task_id: "no-such-task" }, status.NOT_FOUND, "NOT_FOUND"],
  ["GetTaskStatus", { task_id: "a\u0000b" }, status.INVALID_ARGUMENT, "INVALID_INPUT"],
  ["CancelTask", { task_id: "no-such-task" }, status.NOT_FOUND, "NOT_FOUND"],
])("%s of %j is refused with status and details", async (method, request, code, reason) => {
  const error = await refused(agents.call(method, request));
  expect(error.code).toBe(code);
  const details = detailsOf(error);
  expect(details).toMatchObject({ code, reason, domain: "troupe", message: error.details });
  expect(details.metadata.retryable).toBe("false");
  expect(error.metadata.get("x-correlation-id")).toEqual([details.metadata.correlation_id]);
});
