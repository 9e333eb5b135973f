/**
 * Agents under `/api/v1`: contracts 001 (registered with an id, kept active by heartbeats) and 004 (registered with
 * a name, without heartbeats). Both see all agents.
 */
import { z } from "zod";
import { TroupeError } from "../../../machines/errors.ts";
import { answer, call, defineRoute } from "../../dialect.ts";
import { freeJson, freeObject, type Operation, type OperationContext } from "../../operation.ts";
import { absent } from "../../operations/values.ts";
import { collect, listFields } from "./pages.ts";
import { anyId, metadata, ownId, typeName } from "./schema.ts";
import { type CoreTask, toTask } from "./task-map.ts";

/** What the core's operations tell of an agent. */
export interface CoreAgent {
  readonly agent_id: string;
  readonly agent_type: string;
  readonly name: string;
  readonly version: string | null;
  readonly status: string;
  readonly capabilities: readonly string[];
  readonly concurrency: number;
  readonly current_tasks: readonly string[];
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly resources: Readonly<Record<string, unknown>>;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly health_check_url: string | null;
  readonly reported_status: string | null;
  readonly metrics: unknown;
  readonly registered_at: string | null;
  readonly last_heartbeat_at: string | null;
}

/**
 * In the contracts' words an agent that is there is `active`: `busy` when it can take no more (or says so), `idle`
 * only when it has nothing to do and says so itself.
 */
export function agentWord(one: Pick<CoreAgent, "status" | "reported_status">): string {
  if (one.status === "unavailable" || one.status === "gone" || one.status === "busy") return one.status;
  if (one.reported_status === "busy") return "busy";
  return one.status === "idle" && one.reported_status === "idle" ? "idle" : "active";
}

/** Both vocabularies in one object. */
export function toAgent(one: CoreAgent) {
  return {
    id: one.agent_id,
    agent_id: one.agent_id,
    type: one.agent_type,
    name: one.name,
    version: one.version,
    status: agentWord(one),
    capabilities: one.capabilities,
    configuration: one.configuration,
    max_concurrent_tasks: one.concurrency,
    current_tasks: one.current_tasks.length,
    performance_metrics: one.metrics ?? null,
    health_check_url: one.health_check_url,
    resources: one.resources,
    metadata: one.metadata,
    created_at: one.registered_at,
    last_heartbeat: one.last_heartbeat_at,
  };
}

const registration = z.object({
  id: ownId.nullish(),
  type: z.string().min(1).max(256).nullish(),
  name: z.string().min(1).max(256).nullish(),
  version: z.string().max(64).nullish(),
  capabilities: z.array(z.string().min(1).max(128)).max(64).nullish(),
  health_check_url: z
    .url({ protocol: /^https?$/ })
    .max(2_048)
    .nullish(),
  configuration: freeObject.nullish(),
  resources: freeObject.nullish(),
  metadata,
});
type Registration = z.output<typeof registration>;

interface Registered {
  readonly agent: CoreAgent;
  readonly client_id: string;
  readonly client_secret: string | null;
}

/** Only what was given: a field that is null was left out. */
function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** `liveness`: whether an agent that sends no heartbeats is missed. */
async function register(ctx: OperationContext, body: Registration, liveness: boolean) {
  const { id, type, ...same } = body;
  const input = {
    ...given({ agent_id: id, agent_type: typeof type === "string" ? typeName(type) : null, ...same }),
    liveness,
  };
  const made = await call<Registered>(ctx, "agents.register", input);
  const { client_id, client_secret } = made;
  return { ...toAgent(made.agent), client_id, client_secret, agent_credentials: { client_id, client_secret } };
}

const both = ["001", "004"] as const;

/** A deregistered agent is no more. */
async function present(ctx: OperationContext, id: string): Promise<CoreAgent> {
  const one = await call<CoreAgent>(ctx, "agents.get", { agent_id: id });
  if (one.status === "gone") throw absent("agent", id);
  return one;
}

const word = z.string().min(1).max(128).optional();

export const agentRoutes: readonly Operation[] = [
  defineRoute({
    dialects: ["001"],
    name: "api.agents.register",
    summary: "Register an agent; heartbeats keep it active",
    description: "The answer holds the agent's own credentials; the secret is shown this once.",
    method: "POST",
    path: "/api/v1/agents/register",
    scope: "agents:write",
    orScope: "agents:act",
    errors: ["forbidden"],
    example: { id: "agent-001", type: "code_generation", name: "Code Generator", capabilities: ["python"] },
    input: registration,
    output: answer,
    handle: (ctx, body) => register(ctx, body, true),
  }),
  defineRoute({
    dialects: ["004"],
    name: "api.agents.create",
    summary: "Register an agent, without heartbeats",
    method: "POST",
    path: "/api/v1/agents",
    scope: "agents:write",
    orScope: "agents:act",
    errors: ["forbidden"],
    example: { name: "data_processor_agent", capabilities: ["data_processing"], resources: { cpu: 2, memory: "1Gi" } },
    input: z.object({ ...registration.shape, name: z.string().min(1).max(256) }),
    output: answer,
    handle: (ctx, body) => register(ctx, body, false),
  }),
  defineRoute({
    dialects: both,
    name: "api.agents.list",
    summary: "List agents, newest first",
    method: "GET",
    path: "/api/v1/agents",
    scope: "agents:read",
    errors: [],
    input: z.object({
      ...listFields,
      type: word,
      status: word,
      capability: word,
      status_filter: word,
      capability_filter: word,
    }),
    output: z.array(answer),
    handle(ctx, input) {
      const status = input.status ?? input.status_filter;
      const capability = input.capability ?? input.capability_filter;
      const type = input.type === undefined ? undefined : typeName(input.type);
      return collect(ctx, input, {
        operation: "agents.list",
        query: given({ agent_type: type, capability }),
        show: (one: CoreAgent) => {
          if (one.status === "gone") return null;
          const shown = toAgent(one);
          return status === undefined || shown.status === status ? shown : null;
        },
      });
    },
  }),
  defineRoute({
    dialects: both,
    name: "api.agents.get",
    summary: "Read an agent",
    method: "GET",
    path: "/api/v1/agents/{agent_id}",
    scope: "agents:read",
    errors: ["not_found"],
    input: z.object({ agent_id: anyId }),
    output: answer,
    handle: async (ctx, { agent_id: id }) => toAgent(await present(ctx, short(id))),
  }),
  defineRoute({
    dialects: ["004"],
    name: "api.agents.deregister",
    summary: "Deregister an agent; its tasks go to others",
    method: "DELETE",
    path: "/api/v1/agents/{agent_id}",
    scope: "agents:act",
    errors: ["not_found", "forbidden"],
    input: z.object({ agent_id: anyId }),
    output: z.object({ message: z.string() }),
    async handle(ctx, { agent_id: id }) {
      await present(ctx, short(id));
      await call(ctx, "agents.deregister", { agent_id: id });
      return { message: `Agent ${id} deregistered successfully` };
    },
  }),
  defineRoute({
    dialects: ["001"],
    name: "api.agents.heartbeat",
    summary: "Tell that an agent is there",
    method: "POST",
    path: "/api/v1/agents/{agent_id}/heartbeat",
    scope: "agents:act",
    errors: ["not_found", "forbidden", "agent_unavailable"],
    bodyRequired: false,
    example: { status: "active", current_tasks: 3, performance_metrics: { cpu_usage: 45.2 } },
    input: z.object({
      agent_id: anyId,
      status: z.string().max(64).nullish(),
      current_tasks: z.union([z.int().min(0), z.array(anyId).max(1_000)]).nullish(),
      performance_metrics: freeObject.nullish(),
    }),
    output: answer,
    async handle(ctx, { agent_id: id, status, current_tasks: current, performance_metrics: metrics }) {
      const tasks = Array.isArray(current)
        ? { tasks: current, current_tasks: current.length }
        : { current_tasks: current };
      const input = { agent_id: short(id), ...given({ status, metrics, ...tasks }) };
      const told = await call<{ agent: CoreAgent; cancelled: string[] }>(ctx, "agents.heartbeat", input);
      return { ...toAgent(told.agent), acknowledged: true, cancelled_tasks: told.cancelled };
    },
  }),
  defineRoute({
    dialects: ["001"],
    name: "api.agents.next",
    summary: "The next task of an agent; waits for it",
    method: "GET",
    path: "/api/v1/agents/{agent_id}/tasks/next",
    scope: "agents:act",
    errors: ["not_found", "forbidden", "agent_unavailable"],
    input: z.object({ agent_id: anyId, wait: z.number().min(0).max(60).default(0) }),
    output: z.object({ task: freeJson.describe("null: none came in time.") }),
    async handle(ctx, { agent_id: id, wait }) {
      const { task } = await call<{ task: CoreTask | null }>(ctx, "agents.next", { agent_id: short(id), wait });
      return { task: task === null ? null : toTask(task) };
    },
  }),
];

/** The core's ids have at most 200 characters; a longer one names nothing. */
function short(id: string): string {
  if (id.length <= 200) return id;
  throw new TroupeError("not_found", "There is no agent with so long an id");
}
