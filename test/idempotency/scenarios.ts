/**
 * For every operation that changes something: how it is called so that it succeeds, and another request under the
 * same key. An operation of the table without an entry fails the test that goes through them.
 */
import { address } from "../../src/machines/address.ts";
import { deadLetterType } from "../../src/machines/dead-letter/machine.ts";
import type { Real } from "../gateway/support/real-runtime.ts";
import type { Reply, Started } from "../gateway/support/start.ts";
import { until } from "../support/until.ts";

export interface Call {
  readonly path: string;
  readonly body?: unknown;
}
export interface Scenario {
  readonly call: Call;
  /** The same operation, asked for something else. */
  readonly other: Call;
}

let numbers = 0;
export const fresh = (name: string): string => `${name}-${++numbers}`;

export class World {
  constructor(
    readonly on: Started<Real["runtime"]>,
    readonly real: Real,
    readonly key: Record<string, string>,
  ) {}

  async post(path: string, body?: unknown, method = "POST"): Promise<Reply["body"]> {
    const reply = await this.on.send(method, path, body, this.key);
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${reply.text}`);
    return reply.body;
  }

  async agent(): Promise<string> {
    const agent_id = fresh("agent");
    await this.post("/v1/agents", { agent_id, agent_type: "coder", capabilities: [], max_concurrent_tasks: 5 });
    return agent_id;
  }

  async task(agent?: string): Promise<string> {
    const assigned = agent === undefined ? {} : { assigned_agent: agent };
    const made = await this.post("/v1/tasks", { task_type: "nobody", input: null, ...assigned });
    return made.task.task_id;
  }

  async run(): Promise<string> {
    const made = await this.post("/v1/runs", { workflow: { name: "waits" }, input: { a: 1 } });
    return made.run.run_id;
  }

  /** A run at its checkpoint. */
  async waiting(): Promise<string> {
    const run = await this.run();
    await until(async () => (await this.on.get(`/v1/runs/${run}`, this.key)).body.checkpoints.length > 0, 20_000);
    return `/v1/runs/${run}/human/look`;
  }

  async resource(): Promise<string> {
    const made = await this.post("/v1/resources", { name: fresh("gpu"), resource_type: "gpu", capacity: { gpus: 4 } });
    return made.resource_id ?? made.resource.resource_id;
  }

  async request(): Promise<string> {
    const body = { target: await this.agent(), request_type: "t", data: 1, wait: false };
    return (await this.post("/v1/requests", body)).request_id;
  }

  async subscription(): Promise<string> {
    return (await this.post("/v1/subscriptions", { topics: [fresh("t")] })).subscription_id;
  }

  async conflict(): Promise<string> {
    const body = { conflict_type: "x", tasks: [await this.task(), await this.task()], metadata: { n: fresh("n") } };
    return (await this.post("/v1/conflicts", body)).conflict_id;
  }

  async session(): Promise<string> {
    return (await this.post("/v1/sessions", { session_id: fresh("session") })).session_id;
  }

  async workflow(): Promise<string> {
    return (
      await this.post("/api/v1/workflows", {
        id: fresh("w"),
        name: "W",
        steps: [{ id: "s", name: "s", action: "echo" }],
      })
    ).id;
  }

  async letter(): Promise<string> {
    const id = fresh("letter");
    await this.real.runtime.ask(address(deadLetterType, id), {
      type: "dead_letter.keep",
      to: address("task", await this.task()),
      command: { type: "task.cancel" },
      truncated: false,
      error: "of the test",
      source: "a test",
      tries: 1,
    });
    return id;
  }
}

/** One with another body at the same path. */
const bodies = (path: string, body: unknown, other: unknown): Scenario => ({
  call: { path, body },
  other: { path, body: other },
});
/** One without a body: the other names another thing. */
const paths = (path: string, other: string): Scenario => ({ call: { path }, other: { path: other } });

const echo = { workflow: { name: "echo", version: "0.1.0" }, input: 1 };
const definition = (version: string) => ({ name: "made", version, stages: [{ name: "say", agent_type: "echo" }] });
const agUi = (): Scenario => {
  const body = { threadId: fresh("thread"), runId: "r1", messages: [{ id: "1", role: "user", content: "hello" }] };
  return bodies("/ag-ui/agents/echo", body, { ...body, runId: "r2" });
};
const steps = (name: string) => ({ id: fresh("w"), name, steps: [{ id: "s", name: "s", action: "echo" }] });

export const scenarios: Readonly<Record<string, (w: World) => Promise<Scenario>>> = {
  "runs.create": async () => bodies("/v1/runs", echo, { ...echo, input: 2 }),
  "runs.cancel": async (w) => {
    const path = `/v1/runs/${await w.run()}`;
    return paths(path, `${path}?reason=other`);
  },
  "checkpoints.approve": async (w) => bodies(`${await w.waiting()}/approve`, { note: "a" }, { note: "b" }),
  "checkpoints.reject": async (w) => bodies(`${await w.waiting()}/reject`, { note: "a" }, { note: "b" }),
  "checkpoints.provide_input": async (w) => bodies(`${await w.waiting()}/provide_input`, { input: 1 }, { input: 2 }),
  "workflows.register": async () => bodies("/v1/workflows/made", definition("1.0.0"), definition("2.0.0")),
  "tasks.create": async () => {
    const body = { task_id: fresh("task"), task_type: "nobody", input: 1 };
    return bodies("/v1/tasks", body, { ...body, task_id: fresh("task") });
  },
  "tasks.cancel": async (w) => paths(`/v1/tasks/${await w.task()}`, `/v1/tasks/${await w.task()}`),
  "tasks.update": async (w) => {
    const body = { status: "running", progress: 0.25 };
    return bodies(`/v1/tasks/${await w.task(await w.agent())}`, body, { ...body, progress: 0.5 });
  },
  "agents.register": async () => {
    const body = { agent_id: fresh("agent"), agent_type: "coder" };
    return bodies("/v1/agents", body, { ...body, agent_type: "other" });
  },
  "agents.heartbeat": async (w) =>
    bodies(`/v1/agents/${await w.agent()}/heartbeat`, { status: "idle" }, { status: "busy" }),
  "agents.deregister": async (w) => paths(`/v1/agents/${await w.agent()}`, `/v1/agents/${await w.agent()}`),
  "resources.register": async () => {
    const body = { name: fresh("gpu"), resource_type: "gpu", capacity: { gpus: 4 } };
    return bodies("/v1/resources", body, { ...body, capacity: { gpus: 5 } });
  },
  "resources.update": async (w) => bodies(`/v1/resources/${await w.resource()}`, { offline: true }, { offline: false }),
  "resources.remove": async (w) => paths(`/v1/resources/${await w.resource()}`, `/v1/resources/${await w.resource()}`),
  "dead_letters.retry": async (w) =>
    paths(`/v1/dead-letters/${await w.letter()}/retry`, `/v1/dead-letters/${await w.letter()}/retry`),
  "dead_letters.drop": async (w) =>
    paths(`/v1/dead-letters/${await w.letter()}`, `/v1/dead-letters/${await w.letter()}`),
  "shared_state.update": async () =>
    bodies(`/v1/shared-state/plan/${fresh("s")}`, { data: { a: 1 } }, { data: { a: 2 } }),
  "requests.create": async (w) => {
    const body = { target: await w.agent(), request_type: "t", data: 1, wait: false };
    return bodies("/v1/requests", body, { ...body, data: 2 });
  },
  "requests.respond": async (w) => bodies(`/v1/requests/${await w.request()}/response`, { data: 1 }, { data: 2 }),
  "requests.cancel": async (w) => paths(`/v1/requests/${await w.request()}`, `/v1/requests/${await w.request()}`),
  "callbacks.receive": async () => bodies(`/v1/callbacks/${fresh("box")}`, { a: 1 }, { a: 2 }),
  "publications.publish": async () => {
    const topic = fresh("topic");
    return bodies("/v1/publications", { topic, data: { a: 1 } }, { topic, data: { a: 2 } });
  },
  "subscriptions.create": async () => bodies("/v1/subscriptions", { topics: [fresh("t")] }, { topics: [fresh("t")] }),
  "subscriptions.acknowledge": async (w) => {
    const at = `/v1/subscriptions/${await w.subscription()}`;
    const { cursor } = (await w.on.get(`${at}/messages`, w.key)).body;
    return bodies(`${at}/acknowledge`, { cursor, count: 1 }, { cursor, count: 2 });
  },
  "subscriptions.close": async (w) =>
    paths(`/v1/subscriptions/${await w.subscription()}`, `/v1/subscriptions/${await w.subscription()}`),
  "conflicts.report": async () => bodies("/v1/conflicts", { conflict_type: "x" }, { conflict_type: "y" }),
  "conflicts.resolve": async (w) =>
    bodies(`/v1/conflicts/${await w.conflict()}/resolve`, { strategy: "priority" }, { strategy: "manual", note: "n" }),
  "templates.put": async () =>
    bodies(
      `/v1/templates/${fresh("template")}`,
      { parameters_schema: { type: "object" } },
      { parameters_schema: { type: "array" } },
    ),
  "keys.create": async () => bodies("/v1/keys", { name: "ci", scopes: ["runs:read"] }, { name: "ci2" }),
  "keys.revoke": async (w) => {
    const made = async () => (await w.post("/v1/keys", { name: "k" })).key.key_id;
    return paths(`/v1/keys/${await made()}`, `/v1/keys/${await made()}`);
  },
  "sessions.create": async () => {
    const body = { session_id: fresh("session"), state: { a: 1 } };
    return bodies("/v1/sessions", body, { ...body, state: { a: 2 } });
  },
  "sessions.update_state": async (w) =>
    bodies(`/v1/sessions/${await w.session()}/state`, { state: { a: 1 } }, { state: { a: 2 } }),
  "sessions.register_tools": async (w) => {
    const tool = (name: string) => ({ tools: [{ name, description: "d", parameters: { type: "object" } }] });
    return bodies(`/v1/sessions/${await w.session()}/tools`, tool("a"), tool("b"));
  },
  "sessions.reset": async (w) =>
    paths(`/v1/sessions/${await w.session()}/reset`, `/v1/sessions/${await w.session()}/reset`),
  "sessions.cancel": async (w) => bodies(`/v1/sessions/${await w.session()}/cancel`, { reason: "a" }, { reason: "b" }),
  "sessions.end": async (w) => paths(`/v1/sessions/${await w.session()}`, `/v1/sessions/${await w.session()}`),
  "grpc.execute_task": async () => bodies("/ninja-api/grpc/execute_task", { prompt: "a" }, { prompt: "b" }),
  "grpc.cancel_task": async (w) =>
    bodies("/ninja-api/grpc/cancel_task", { task_id: await w.task() }, { task_id: await w.task() }),
  "api.agents.register": async () => {
    const body = { id: fresh("agent"), type: "coder", name: "C", capabilities: ["x"] };
    return bodies("/api/v1/agents/register", body, { ...body, name: "D" });
  },
  "api.agents.create": async () => {
    const body = { name: fresh("agent"), capabilities: ["x"] };
    return bodies("/api/v1/agents", body, { ...body, capabilities: ["y"] });
  },
  "api.agents.deregister": async (w) => paths(`/api/v1/agents/${await w.agent()}`, `/api/v1/agents/${await w.agent()}`),
  "api.agents.heartbeat": async (w) =>
    bodies(`/api/v1/agents/${await w.agent()}/heartbeat`, { status: "active" }, { status: "busy" }),
  "api.tasks.create": async () =>
    bodies("/api/v1/tasks", { type: "nobody", priority: "high" }, { type: "nobody", priority: "low" }),
  "api.tasks.update": async (w) => {
    const body = { status: "in_progress", progress: 45 };
    return bodies(`/api/v1/tasks/${await w.task(await w.agent())}`, body, { ...body, progress: 50 });
  },
  "api.tasks.cancel": async (w) => paths(`/api/v1/tasks/${await w.task()}`, `/api/v1/tasks/${await w.task()}`),
  "api.workflows.create": async () => bodies("/api/v1/workflows", steps("A"), steps("B")),
  "api.workflows.execute": async (w) =>
    bodies(`/api/v1/workflows/${await w.workflow()}/execute`, { parameters: { a: 1 } }, { parameters: { a: 2 } }),
  "api.requests.create": async (w) => {
    const body = { type: "t", source: "me", target: await w.agent(), callback_url: "/api/v1/callbacks/box" };
    return bodies("/api/v1/requests", { ...body, data: 1 }, { ...body, data: 2 });
  },
  "api.requests.respond": async (w) =>
    bodies(`/api/v1/requests/${await w.request()}/response`, { status: "success", data: 1 }, { status: "error" }),
  "api.publications.create": async () => {
    const topic = fresh("topic");
    return bodies("/api/v1/publications", { topic, data: { a: 1 } }, { topic, data: { a: 2 } });
  },
  "api.callbacks.receive": async () => bodies(`/api/v1/callbacks/${fresh("box")}`, { a: 1 }, { a: 2 }),
  "api.templates.put": async () =>
    bodies(`/api/v1/templates/${fresh("template")}`, { type: "object" }, { type: "array" }),
  "api.resources.create": async () => {
    const body = { name: fresh("gpu"), type: "gpu", capacity: { gpus: 4 } };
    return bodies("/api/v1/resources", body, { ...body, capacity: { gpus: 5 } });
  },
  "api.resources.remove": async (w) =>
    paths(`/api/v1/resources/${await w.resource()}`, `/api/v1/resources/${await w.resource()}`),
  "api.conflicts.create": async () => {
    const body = { agent_id: "a", task_id: "t", conflict_type: "x", description: "d", severity: "high" };
    return bodies("/api/v1/conflicts", body, { ...body, severity: "low" });
  },
  "api.conflicts.resolve": async (w) =>
    bodies(`/api/v1/conflicts/${await w.conflict()}/resolve`, { strategy: "priority" }, { strategy: "manual" }),
  "ag_ui.run": async () => ({ call: { ...agUi().call, path: "/" }, other: { ...agUi().other, path: "/" } }),
  "ag_ui.run_agent": async () => agUi(),
};
