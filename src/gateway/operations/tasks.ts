/**
 * Operations on tasks: create one of its own (outside of runs), list, read, cancel. Troupe's
 * own shapes, snake case at the edge.
 */
import { z } from "zod";
import { address, isKey } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import {
  agentTypeSchema,
  attributesSchema,
  capabilitiesSchema,
  durationMsSchema,
  prioritySchema,
  retrySchema,
} from "../../machines/schema.ts";
import { requireAgent } from "../auth/credential.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { idFromKey } from "../idempotency.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeJson, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { amountsOf } from "./amounts.ts";
import { type TaskView, task, taskStatuses, toTask } from "./task-shape.ts";
import { checkTemplateOf } from "./templates.ts";
import { absent, brief, named, requireId, whole } from "./values.ts";

const createInput = z.strictObject({
  task_id: z.string().min(1).max(200).optional().describe("Chosen by the client, or made."),
  task_type: agentTypeSchema.describe("The type of agent that it needs."),
  capabilities: capabilitiesSchema.optional(),
  input: freeJson,
  priority: prioritySchema.optional().describe("1–10, default 5; higher goes first."),
  dependencies: z
    .array(z.string().min(1).max(200))
    .max(200)
    .optional()
    .describe("Ids of tasks that must complete first."),
  timeout_ms: durationMsSchema.optional().describe("For each attempt."),
  deadline: z.iso.datetime({ offset: true }).optional(),
  retry: retrySchema.optional(),
  title: z.string().max(512).optional(),
  description: z.string().max(16_384).optional(),
  metadata: freeObject.optional(),
  assigned_agent: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("The id of the one agent that is to do it; then type and capabilities do not matter."),
  resources: freeObject
    .optional()
    .describe("Amounts per unit that it holds while it runs: `{gpus: 1, memory: '512Mi'}`."),
  estimated_completion: z.iso.datetime({ offset: true }).optional(),
  attributes: attributesSchema.optional().describe("For filters of subscribers: `{project_id: 'p1'}`."),
  parent_workflow: z.string().min(1).max(200).optional(),
  form: freeObject.optional().describe("The request as its client wrote it; kept and given back, never read."),
});
type CreateInput = z.output<typeof createInput>;

export const taskId = z.string().min(1).max(200);

/** Tasks of runs are `<run>~<local>`, others their own root; neither is checked further here. */
export function keyOf(id: string): string {
  if (!isKey(id)) throw absent("task", id);
  return id;
}

export async function shownTask(ctx: OperationContext, id: string, view: Json) {
  const v = view as unknown as TaskView;
  const [input, output] = await Promise.all([whole(ctx.runtime, v.input), whole(ctx.runtime, v.output)]);
  return toTask(id, { ...v, input, output });
}

async function create(ctx: OperationContext, input: CreateInput) {
  const key = ctx.idempotencyKey;
  const made = () => (key === undefined ? ctx.runtime.newId() : idFromKey(ctx.credential.id, "tasks.create", key));
  const id = input.task_id === undefined ? `task_${made()}` : requireId("task", input.task_id);
  await checkTemplateOf(ctx, input.input);
  const { values } = ctx.runtime;
  const [large, metadata] = await Promise.all([
    values.offload(id, (input.input ?? null) as Json),
    values.offload(id, (input.metadata ?? {}) as Json),
  ]);
  const command = {
    type: "task.create",
    ...createFields(input),
    createdBy: ctx.credential.id,
    input: large,
    metadata,
    requestHash: hashJson(input as Json),
  };
  const answer = await ctx.runtime.ask(address("task", id), command, { timeoutMs: ctx.limits.askTimeoutMs });
  return { task: await shownTask(ctx, id, answer.view) };
}

/** An agent's own credential cancels only what it made, or does. Throws `forbidden`. */
async function requireOwnTask(ctx: OperationContext, id: string): Promise<void> {
  const { agentId } = ctx.credential;
  if (agentId === undefined) return;
  const view = (await ctx.runtime.read(address("task", keyOf(id))).catch(named("task", id)))
    .view as unknown as TaskView;
  if (view.createdBy !== ctx.credential.id) requireAgent(ctx, view.agent ?? "");
}

/** Under the core's names; what is not given stays absent. */
function createFields(input: CreateInput) {
  const { priority, capabilities, dependencies, retry, title, description, attributes, deadline } = input;
  const amounts = input.resources === undefined ? {} : amountsOf(input.resources, "resources");
  return {
    taskType: input.task_type,
    ...(capabilities !== undefined && { capabilities }),
    ...(priority !== undefined && { priority }),
    ...(dependencies !== undefined && { dependencies }),
    ...(retry !== undefined && { retry }),
    ...(title !== undefined && { title }),
    ...(description !== undefined && { description }),
    ...(attributes !== undefined && { attributes }),
    ...(input.timeout_ms !== undefined && { timeoutMs: input.timeout_ms }),
    ...(deadline !== undefined && { deadlineAt: Date.parse(deadline) }),
    ...(input.estimated_completion !== undefined && {
      estimatedCompletionAt: Date.parse(input.estimated_completion),
    }),
    ...(input.assigned_agent !== undefined && { assignedAgent: input.assigned_agent }),
    ...(Object.keys(amounts).length > 0 && { resources: amounts }),
    ...(input.parent_workflow !== undefined && { parentWorkflow: input.parent_workflow }),
    ...(input.form !== undefined && { form: input.form as JsonObject }),
  };
}

const common = { tags: ["tasks"], scope: "tasks:read" } as const;

export const taskOperations = [
  defineOperation({
    ...common,
    name: "tasks.create",
    summary: "Create a task for an agent",
    method: "POST",
    path: "/v1/tasks",
    status: 201,
    madeByKey: { unless: "task_id" },
    scope: "tasks:write",
    errors: ["invalid_input", "invalid_template", "idempotency_conflict", "already_exists", "too_large"],
    example: { task_type: "echo", input: { hello: "world" } },
    input: createInput,
    output: z.object({ task }),
    handle: create,
  }),
  defineOperation({
    ...common,
    name: "tasks.list",
    summary: "List tasks, newest first",
    method: "GET",
    path: "/v1/tasks",
    errors: ["invalid_input"],
    input: z.strictObject({
      ...pageFields,
      status: z.enum(taskStatuses).optional(),
      task_type: z.string().min(1).max(64).optional(),
      run_id: z.string().min(1).max(200).optional(),
      agent: z.string().min(1).max(200).optional(),
    }),
    output: pageOf(task),
    async handle(ctx, input) {
      const where: Record<string, string> = {};
      if (input.status !== undefined) where.status = input.status;
      if (input.task_type !== undefined) where.taskType = input.task_type;
      if (input.run_id !== undefined) where.runId = input.run_id;
      if (input.agent !== undefined) where.agent = input.agent;
      const page = await ctx.runtime.list({
        type: "task",
        where,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("tasks", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => {
        const v = view as unknown as TaskView;
        return toTask(at.key, { ...v, input: brief(v.input), output: brief(v.output) });
      });
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("tasks", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "tasks.get",
    summary: "Read a task",
    method: "GET",
    path: "/v1/tasks/{task_id}",
    errors: ["not_found"],
    input: z.strictObject({ task_id: taskId }),
    output: task,
    async handle(ctx, input) {
      const answer = await ctx.runtime.read(address("task", keyOf(input.task_id))).catch(named("task", input.task_id));
      return shownTask(ctx, input.task_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "tasks.cancel",
    summary: "Cancel a task",
    method: "DELETE",
    path: "/v1/tasks/{task_id}",
    status: 202,
    scope: "tasks:write",
    errors: ["not_found", "conflict"],
    input: z.strictObject({ task_id: taskId, reason: z.string().max(1000).optional() }),
    output: task,
    async handle(ctx, input) {
      await requireOwnTask(ctx, input.task_id);
      const command = { type: "task.cancel", ...(input.reason !== undefined && { reason: input.reason }) };
      const asked = ctx.runtime.ask(address("task", keyOf(input.task_id)), command, {
        timeoutMs: ctx.limits.askTimeoutMs,
      });
      const answer = await asked.catch(named("task", input.task_id));
      return shownTask(ctx, input.task_id, answer.view);
    },
  }),
];
