/** Who answers a prompt: an agent that wants it, found by type or by capability; the built-in one when there is none. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Real, startReal } from "../gateway/support/real-runtime.ts";
import { type Started, startOver } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

let real: Real;
let on: Started<Real["runtime"]>;
beforeAll(async () => {
  real = await startReal();
  on = await startOver(real.runtime);
});
afterAll(async () => {
  await on.gateway.close(100);
  await real.stop();
});

const post = (name: string, body: object) => on.send("POST", `/ninja-api/grpc/${name}`, body);
const execute = async (prompt: string): Promise<string> => (await post("execute_task", { prompt })).body.task_id;
async function ended(task_id: string) {
  const status = async () => (await post("get_task_status", { task_id })).body;
  await until(async () => ["completed", "failed", "cancelled"].includes((await status()).status), 20_000);
  return status();
}

test.each([
  ["its type", { agent_id: "by-type", agent_type: "prompt" }],
  ["a capability", { agent_id: "by-capability", agent_type: "worker", capabilities: ["prompt"] }],
])("a registered agent gets the prompts, found by %s; the built-in one those after it has left", async (_, agent) => {
  const { agent_id: id } = agent;
  expect((await on.send("POST", "/v1/agents", { ...agent, max_concurrent_tasks: 2 })).status).toBe(201);
  const taskId = await execute("What is it?");
  const next = await on.get(`/v1/agents/${id}/tasks/next?wait=20`);
  expect(next.body.task).toMatchObject({ task_id: taskId, input: { prompt: "What is it?" } });
  const path = `/v1/tasks/${taskId}`;
  expect((await on.send("PATCH", path, { status: "running", agent_id: id })).status).toBe(200);
  const report = { status: "completed", output: { result: "It is this." }, agent_id: id };
  expect((await on.send("PATCH", path, report)).status).toBe(200);
  expect(await ended(taskId)).toMatchObject({ status: "completed", result: "It is this." });
  // More than it can take: they wait for it, as it is the one that wants them.
  const many = [await execute("1"), await execute("2"), await execute("3")];
  await on.send("DELETE", `/v1/agents/${id}`);
  for (const one of many) expect((await ended(one)).result).toContain("No model is configured");
  expect((await ended(await execute("afterwards"))).result).toContain("No model is configured");
});
