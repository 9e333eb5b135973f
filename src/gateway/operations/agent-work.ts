/**
 * Operations of agents from outside: register, heartbeat, take the next task, deregister. What they then tell of
 * their tasks is in task-update.ts.
 */
import { createHash, randomBytes } from "node:crypto";
import { z } from "zod";
import { address } from "../../machines/address.ts";
import { concurrencyDefault, concurrencyMax } from "../../machines/agent/schema.ts";
import type { JsonObject } from "../../machines/effects.ts";
import { agentTypeSchema, capabilitiesSchema } from "../../machines/schema.ts";
import { nextTask } from "../agents/hand-out.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { requireScope } from "../auth/credential.ts";
import { idFromKey } from "../idempotency.ts";
import { defineOperation, freeObject, type OperationContext } from "../operation.ts";
import { type AgentView, agent, toAgent } from "./agent-shape.ts";
import { amountsOf } from "./amounts.ts";
import { task } from "./task-shape.ts";
import { shownTask } from "./tasks.ts";
import { named, requireId } from "./values.ts";

const agentId = z.string().min(1).max(200);

const registerInput = z.strictObject({
  agent_id: agentId.optional().describe("Chosen by the client, or made."),
  agent_type: agentTypeSchema.default("worker").describe("Which tasks it does: those of this type."),
  name: z.string().min(1).max(256).optional(),
  version: z.string().max(64).optional(),
  capabilities: capabilitiesSchema.default([]),
  max_concurrent_tasks: z
    .int()
    .min(1)
    .max(concurrencyMax)
    .optional()
    .describe(`Default: \`configuration.max_concurrent_tasks\`, else ${concurrencyDefault}.`),
  heartbeat_ms: z.int().min(100).max(3_600_000).optional().describe("Default 30 000; unavailable after three missed."),
  liveness: z.boolean().optional().describe("False: not missed before its first heartbeat."),
  instance: z.string().min(1).max(200).optional().describe("A name of the process: the same again keeps its tasks."),
  configuration: freeObject.optional(),
  resources: freeObject
    .optional()
    .describe("Amounts per unit that its tasks may hold together: `{cpu: 2, memory: '1Gi'}`."),
  metadata: freeObject.optional(),
  health_check_url: z
    .url({ protocol: /^https?$/ })
    .max(2_048)
    .optional(),
});

async function register(ctx: OperationContext, input: z.output<typeof registerInput>) {
  const { credential, idempotencyKey } = ctx;
  const made = () =>
    idempotencyKey === undefined ? ctx.runtime.newId() : idFromKey(credential.id, "agents.register", idempotencyKey);
  const id = input.agent_id === undefined ? `agent_${made()}` : requireId("agent", input.agent_id);
  const bySelf = credential.agentId === id;
  if (!bySelf) requireScope(credential, "agents:write");
  if (credential.agentId !== undefined && !bySelf) await requireOwnAgent(ctx, id);
  // It has its secret already when it comes with its own credentials.
  const secret = bySelf ? null : randomBytes(32).toString("base64url");
  const configured = z.int().min(1).max(concurrencyMax).safeParse(input.configuration?.max_concurrent_tasks);
  const command = {
    type: "agent.register",
    agentType: input.agent_type,
    name: input.name ?? id,
    capabilities: input.capabilities,
    concurrency: input.max_concurrent_tasks ?? (configured.success ? configured.data : concurrencyDefault),
    capacity: amountsOf(input.resources, "resources"),
    createdBy: credential.id,
    bySelf,
    ...(input.version !== undefined && { version: input.version }),
    ...(input.heartbeat_ms !== undefined && { heartbeatMs: input.heartbeat_ms }),
    ...(input.liveness !== undefined && { liveness: input.liveness }),
    ...(input.instance !== undefined && { instance: input.instance }),
    ...(input.configuration !== undefined && { configuration: input.configuration as JsonObject }),
    ...(input.resources !== undefined && { resources: input.resources as JsonObject }),
    ...(input.metadata !== undefined && { metadata: input.metadata as JsonObject }),
    ...(input.health_check_url !== undefined && { healthCheckUrl: input.health_check_url }),
    ...(secret !== null && { secretHash: createHash("sha256").update(secret).digest("hex") }),
  };
  const answer = await ctx.runtime.ask(address("agent", id), command, { timeoutMs: ctx.limits.askTimeoutMs });
  return { agent: toAgent(id, answer.view as unknown as AgentView), client_id: id, client_secret: secret };
}

const common = { tags: ["agents"], scope: "agents:act" } as const;

export const agentWorkOperations = [
  defineOperation({
    ...common,
    name: "agents.register",
    summary: "Register an agent",
    description:
      "Answers with the agent's own credentials; the secret is shown this once. Only the credential that registered an agent (or the agent itself) registers it anew while it is there; what it was working on is then given to others, unless `instance` says that it is the same process.",
    method: "POST",
    path: "/v1/agents",
    status: 201,
    scope: "agents:write",
    // An agent registers itself anew.
    orScope: "agents:act",
    errors: ["invalid_input", "forbidden"],
    example: {
      agent_id: "agent-001",
      agent_type: "code_generation",
      capabilities: ["python"],
      max_concurrent_tasks: 5,
    },
    input: registerInput,
    output: z.object({ agent, client_id: z.string(), client_secret: z.string().nullable() }),
    handle: register,
  }),
  defineOperation({
    ...common,
    name: "agents.heartbeat",
    summary: "Tell that an agent is there",
    method: "POST",
    path: "/v1/agents/{agent_id}/heartbeat",
    errors: ["not_found", "forbidden", "agent_unavailable"],
    input: z.strictObject({
      agent_id: agentId,
      status: z.string().max(64).optional(),
      current_tasks: z.int().min(0).optional(),
      tasks: z.array(agentId).max(concurrencyMax).optional().describe("Ids of the tasks that it works on."),
      metrics: freeObject.optional(),
    }),
    bodyRequired: false,
    output: z.object({
      agent,
      cancelled: z.array(z.string()).describe("Tasks of its that are not wanted any more: stop working on them."),
    }),
    async handle(ctx, input) {
      const at = address("agent", requireId("agent", input.agent_id));
      await requireOwnAgent(ctx, at.key);
      const { status, tasks, metrics, current_tasks: currentTasks } = input;
      const command = {
        type: "agent.heartbeat",
        ...(status !== undefined && { status }),
        ...(currentTasks !== undefined && { currentTasks }),
        ...(tasks !== undefined && { tasks }),
        ...(metrics !== undefined && { metrics: metrics as JsonObject }),
      };
      const asked = ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
      const answer = await asked.catch(named("agent", at.key));
      const { cancelled = [] } = (answer.reply ?? {}) as { cancelled?: string[] };
      return { agent: toAgent(at.key, answer.view as unknown as AgentView), cancelled };
    },
  }),
  defineOperation({
    ...common,
    name: "agents.deregister",
    summary: "Take an agent out; its tasks go to others",
    method: "DELETE",
    path: "/v1/agents/{agent_id}",
    errors: ["not_found", "forbidden"],
    input: z.strictObject({ agent_id: agentId }),
    output: agent,
    async handle(ctx, input) {
      const at = address("agent", requireId("agent", input.agent_id));
      await requireOwnAgent(ctx, at.key);
      const asked = ctx.runtime.ask(at, { type: "agent.deregister" }, { timeoutMs: ctx.limits.askTimeoutMs });
      const answer = await asked.catch(named("agent", at.key));
      return toAgent(at.key, answer.view as unknown as AgentView);
    },
  }),
  defineOperation({
    ...common,
    name: "agents.next",
    summary: "The next task of an agent",
    description:
      "Waits up to `wait` seconds. The task counts as handed out; when it has not been begun after 30 s it may come again, after five minutes others get it.",
    method: "GET",
    path: "/v1/agents/{agent_id}/tasks/next",
    errors: ["not_found", "forbidden", "agent_unavailable"],
    input: z.strictObject({ agent_id: agentId, wait: z.number().min(0).max(60).default(0).describe("Seconds.") }),
    output: z.object({ task: task.nullable() }),
    async handle(ctx, input) {
      const id = requireId("agent", input.agent_id);
      await requireOwnAgent(ctx, id);
      const found = await nextTask(ctx, id, input.wait * 1000, ctx.signal).catch(named("agent", id));
      return { task: found === null ? null : await shownTask(ctx, found.taskId, found.view) };
    },
  }),
];
