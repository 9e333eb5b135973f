/** The examples of contracts 001 and 004, as their texts have them, over HTTP against a real Troupe. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startTroupe, type Troupe } from "../gateway/support/troupe.ts";

let troupe: Troupe;
beforeAll(async () => {
  troupe = await startTroupe();
}, 60_000);
afterAll(() => troupe.stop());

const send = async (method: string, path: string, body?: unknown) => {
  const init =
    body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" } };
  const response = await fetch(troupe.base + path, { method, ...init });
  const text = await response.text();
  return { status: response.status, text, body: JSON.parse(text) };
};
const on = { send, get: (path: string) => send("GET", path) };

const post = async (path: string, body: unknown) => {
  const reply = await on.send("POST", path, body);
  expect([path, reply.status, reply.status === 200 ? "" : reply.text]).toEqual([path, 200, ""]);
  return reply.body;
};
const get = async (path: string) => {
  const reply = await on.get(path);
  expect([path, reply.status]).toEqual([path, 200]);
  return reply.body;
};

describe("contract 001", () => {
  test("an agent registers, beats, is found, takes its task, tells of it", async () => {
    const agent = await post("/api/v1/agents/register", {
      id: "agent-001",
      type: "code_generation",
      name: "Code Generator",
      version: "1.0.0",
      capabilities: ["javascript", "python", "react"],
      configuration: { max_concurrent_tasks: 5, supported_frameworks: ["express", "fastapi", "react"] },
    });
    expect(agent).toMatchObject({ id: "agent-001", type: "code_generation", max_concurrent_tasks: 5 });
    expect(agent.agent_credentials).toEqual({ client_id: "agent-001", client_secret: expect.any(String) });
    const beat = { cpu_usage: 45.2, memory_usage: 67.8, task_queue_size: 12 };
    const told = await post("/api/v1/agents/agent-001/heartbeat", {
      status: "active",
      current_tasks: 3,
      performance_metrics: beat,
    });
    expect(told).toMatchObject({ status: "active", performance_metrics: beat });
    const found = await get("/api/v1/agents?type=code_generation&status=active");
    expect(found.map((one: { id: string }) => one.id)).toEqual(["agent-001"]);

    const first = await post("/api/v1/tasks", { id: "task-002", type: "code_generation", input_data: {} });
    expect(first).toMatchObject({ id: "task-002", status: "pending" });
    const sent = {
      id: "task-001",
      type: "code_generation",
      priority: "high",
      assigned_agent: "agent-001",
      parent_workflow_id: "workflow-123",
      input_data: {
        template_id: "react-crud-template",
        customizations: { entities: ["User"], database: "postgresql" },
      },
      dependencies: ["task-002"],
      timeout: 300,
      retry_policy: { max_attempts: 3, backoff_strategy: "exponential" },
    };
    expect(await post("/api/v1/tasks", sent)).toMatchObject({ ...sent, status: "pending" });
    const early = await on.send("PATCH", "/api/v1/tasks/task-001", { status: "in_progress" });
    expect([early.status, early.body.error.code]).toEqual([412, "DEPENDENCY_NOT_MET"]);

    const next = await get("/api/v1/agents/agent-001/tasks/next?wait=20");
    expect(next.task.id).toBe("task-002");
    const done = await on.send("PATCH", "/api/v1/tasks/task-002", { status: "completed", output_data: { ok: true } });
    expect(done.body).toMatchObject({ status: "completed", progress: 100, output_data: { ok: true } });

    expect((await get("/api/v1/agents/agent-001/tasks/next?wait=20")).task.id).toBe("task-001");
    const progress = {
      status: "in_progress",
      progress: 45,
      output_data: { files_generated: 12, current_operation: "generating_api_routes" },
      estimated_completion: "2030-01-15T14:30:00Z",
    };
    const under = await on.send("PATCH", "/api/v1/tasks/task-001", progress);
    expect(under.status).toBe(200);
    expect(under.body).toMatchObject({ status: "in_progress", progress: 45, priority: "high" });
  });

  test("a template registered once is checked: INVALID_TEMPLATE, 400", async () => {
    const schema = { type: "object", required: ["entities"] };
    expect((await on.send("PUT", "/api/v1/templates/crud", schema)).status).toBe(200);
    const off = await on.send("POST", "/api/v1/tasks", {
      type: "x",
      input_data: { template_id: "crud", parameters: {} },
    });
    expect([off.status, off.body.error.code]).toEqual([400, "INVALID_TEMPLATE"]);
    const unknown = await on.send("POST", "/api/v1/tasks", { type: "x", input_data: { template_id: "none" } });
    expect([unknown.status, unknown.body.error.code]).toEqual([400, "INVALID_TEMPLATE"]);
  });

  test("a request to an agent that is not there is AGENT_UNAVAILABLE, with its correlation id", async () => {
    const request = {
      id: "req-009",
      type: "generate_code",
      target: "nobody-1",
      correlation_id: "workflow-123",
      data: {},
    };
    const reply = await on.send("POST", "/api/v1/requests", { request });
    expect([reply.status, reply.body.error.code]).toEqual([503, "AGENT_UNAVAILABLE"]);
    expect(reply.body.error).toMatchObject({ correlation_id: "workflow-123", details: { agent_id: "nobody-1" } });
    const published = await post("/api/v1/publications", {
      publication: { topic: "task.code_generation.completed", data: { task_id: "task-001", result: "success" } },
    });
    expect(published).toMatchObject({ topic: "task.code_generation.completed", status: "published" });
  });
});

describe("contract 004", () => {
  test("agents, tasks, resources and conflicts as in the text", async () => {
    const agent = await post("/api/v1/agents", {
      name: "data_processor_agent",
      capabilities: ["data_processing", "ml_inference"],
      resources: { cpu: 2, memory: "1Gi" },
      metadata: { version: "1.0", team: "ai" },
    });
    expect(agent).toMatchObject({ name: "data_processor_agent", resources: { cpu: 2, memory: "1Gi" } });
    const found = await get("/api/v1/agents?status_filter=active&capability_filter=data_processing");
    expect(found.map((one: { id: string }) => one.id)).toEqual([agent.id]);
    expect((await get(`/api/v1/agents/${agent.id}`)).id).toBe(agent.id);

    const task = await post("/api/v1/tasks", {
      title: "Process Customer Data",
      description: "Analyze customer behavior patterns",
      priority: 8,
      required_capabilities: ["data_processing"],
      resources: { cpu: 1, memory: "512Mi" },
      deadline: "2030-01-15T23:59:59Z",
      metadata: { customer_id: "12345" },
    });
    expect(task).toMatchObject({ title: "Process Customer Data", priority: 8, resources: { memory: "512Mi" } });
    const pending = await get("/api/v1/tasks?status_filter=pending&priority_filter=8");
    expect(pending.map((one: { id: string }) => one.id)).toContain(task.id);

    const resource = await post("/api/v1/resources", {
      name: "gpu_cluster_01",
      type: "gpu",
      capacity: { gpus: 4, memory: "32Gi" },
      metadata: { model: "RTX 4090", location: "rack-1" },
    });
    expect(resource).toMatchObject({ type: "gpu", capacity: { gpus: 4, memory: "32Gi" }, status: "available" });
    expect(await get("/api/v1/resources?type_filter=gpu")).toEqual([resource]);
    expect(await get("/api/v1/resources?type_filter=cpu")).toEqual([]);

    const conflict = await post("/api/v1/conflicts", {
      agent_id: "agent-123",
      task_id: "task-456",
      conflict_type: "resource_contention",
      description: "Multiple agents requesting same GPU resource",
      severity: "high",
      metadata: { resource_id: "gpu-001" },
    });
    expect(conflict).toMatchObject({ severity: "high", status: "open", metadata: { resource_id: "gpu-001" } });
    expect(await get("/api/v1/conflicts?severity_filter=high")).toHaveLength(1);
    expect(await get("/api/v1/conflicts?severity_filter=low")).toEqual([]);

    const gone = await on.send("DELETE", `/api/v1/agents/${agent.id}`);
    expect([gone.status, Object.keys(gone.body)]).toEqual([200, ["message"]]);
    expect((await on.get(`/api/v1/agents/${agent.id}`)).status).toBe(404);
  });
});
