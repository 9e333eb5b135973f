/**
 * Updates of a task by the agent that it is assigned to (or by an operator on its behalf): begin, progress,
 * completion, failure, giving it back.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { claim } from "../agents/claim.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { noteContest } from "../contest.ts";
import { defineOperation, freeJson, freeObject, type OperationContext } from "../operation.ts";
import { type TaskView, task } from "./task-shape.ts";
import { shownTask } from "./tasks.ts";
import { named } from "./values.ts";

const updateInput = z.strictObject({
  task_id: z.string().min(1).max(200),
  status: z.enum(["running", "completed", "failed", "rejected"]).default("running"),
  agent_id: z
    .string()
    .min(1)
    .max(200)
    .optional()
    .describe("On whose behalf; default: the agent that it is assigned to."),
  attempt: z.int().min(1).optional().describe("Refused when another attempt is the current one."),
  progress: z.number().min(0).max(1).optional(),
  message: z.string().max(4_096).optional(),
  details: freeObject.optional(),
  output: freeJson.optional().describe("What there is so far, or with `completed` the result."),
  estimated_completion: z.iso.datetime({ offset: true }).optional(),
  error: z
    .strictObject({
      code: z.string().min(1).max(128).default("agent_failed"),
      message: z.string().max(16_384).default("the agent reported a failure"),
      retryable: z.boolean().default(true).describe("False: the retry policy is not asked."),
      details: freeJson.optional(),
    })
    .optional(),
  reason: z.string().max(1_024).optional().describe("Why it is given back."),
});
type UpdateInput = z.output<typeof updateInput>;

async function update(ctx: OperationContext, input: UpdateInput) {
  const id = input.task_id;
  const at = address("task", id);
  const { view } = await ctx.runtime.read(at).catch(named("task", id));
  const current = view as unknown as TaskView;
  const acting = await actingAgent(ctx, input, current);
  if (input.status === "running" || input.status === "completed" || input.status === "failed") {
    await claim(ctx, id, current, acting.agent);
  }
  const common = {
    ...(acting.by !== undefined && { by: acting.by }),
    ...(input.attempt !== undefined && { attempt: input.attempt }),
  };
  let last: Json = null;
  const ask = async (command: { type: string; [field: string]: unknown }): Promise<void> => {
    const asked = ctx.runtime.ask(at, { ...command, ...common }, { timeoutMs: ctx.limits.askTimeoutMs });
    last = (await asked.catch(named("task", id))).view;
  };
  const output =
    input.output === undefined ? undefined : await ctx.runtime.values.offload(rootOfTask(id), input.output as Json);
  for (const command of commandsOf(input, output, acting.agent ?? `operator:${ctx.credential.name}`))
    await ask(command);
  return shownTask(ctx, id, last);
}

/** `by`: whom the task must be assigned to; an operator without a name acts for whoever that is. */
async function actingAgent(ctx: OperationContext, input: UpdateInput, current: TaskView) {
  const assigned = current.agent ?? current.assignedAgent;
  const by = input.agent_id ?? ctx.credential.agentId;
  if (by !== undefined) {
    await requireOwnAgent(ctx, by);
    return { by, agent: by };
  }
  await requireOwnAgent(ctx, assigned ?? "");
  return { by: undefined, agent: assigned };
}

/** A task of a run lives, and its values are kept, with the run. */
function rootOfTask(id: string): string {
  return id.split("~", 1)[0] as string;
}

function commandsOf(input: UpdateInput, output: Json | undefined, agent: string) {
  const { status, progress, message, details, error, reason, estimated_completion: estimated } = input;
  const start = { agent };
  switch (status) {
    case "completed":
      return [
        { type: "task.report", start, outcome: { ok: true, ...(output !== undefined && { output }), ...nothing } },
      ];
    case "failed": {
      const failure = error ?? {
        code: "agent_failed",
        message: message ?? "the agent reported a failure",
        retryable: true,
      };
      return [{ type: "task.report", start, outcome: { ok: false, error: failure as JsonObject, cost: noCost } }];
    }
    case "rejected":
      return [{ type: "task.reject", ...(reason !== undefined && { reason }) }];
    default: {
      const told = {
        ...(progress !== undefined && { fraction: progress }),
        ...(message !== undefined && { message }),
        ...(details !== undefined && { details: details as JsonObject }),
        ...(output !== undefined && { output }),
        ...(estimated !== undefined && { estimatedCompletionAt: Date.parse(estimated) }),
      };
      const begin = { type: "task.start", agent, taken: true };
      return Object.keys(told).length === 0 ? [begin] : [begin, { type: "task.progress", ...told }];
    }
  }
}

const noCost = { promptTokens: 0, completionTokens: 0, usd: 0 };
const nothing = { artifacts: [], cost: noCost };

export const taskUpdateOperations = [
  defineOperation({
    tags: ["tasks"],
    scope: "tasks:write",
    name: "tasks.update",
    summary: "Tell of a task that an agent works on",
    description:
      "`running` accepts it (and tells progress), `completed` and `failed` end the attempt, `rejected` gives it back without counting the attempt. Only the agent that it is assigned to may, or an operator (`agents:operate`) on its behalf.",
    method: "PATCH",
    path: "/v1/tasks/{task_id}",
    errors: ["not_found", "forbidden", "conflict", "precondition_failed", "too_large"],
    example: { status: "running", progress: 0.45, output: { files_generated: 12 } },
    input: updateInput,
    output: task,
    handle: (ctx, input) => update(ctx, input).catch((error) => noteContest(ctx, input.task_id, error)),
  }),
];
