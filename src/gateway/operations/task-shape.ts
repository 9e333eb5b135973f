/**
 * A task at the edge: schema, and the mapping from the core's view. Pure.
 */
import { z } from "zod";
import type { TaskContext } from "../../machines/task/schema.ts";
import { rfc3339, toRunError } from "../dialects/002/map.ts";
import { artifactRef, runError } from "../dialects/002/schema.ts";
import { freeJson, freeObject } from "../operation.ts";

export const taskStatuses = [
  "pending",
  "waiting",
  "ready",
  "assigned",
  "running",
  "retrying",
  "completed",
  "failed",
  "cancelled",
  "timed_out",
] as const;

const nullableTime = z.string().nullable().meta({ format: "date-time" });

const attempt = z.object({
  attempt: z.int(),
  agent: z.string().nullable(),
  started_at: nullableTime,
  ended_at: nullableTime,
  result: z.string(),
  error: runError.nullable(),
});

export const task = z
  .object({
    task_id: z.string(),
    task_type: z.string(),
    capabilities: z.array(z.string()),
    status: z.enum(taskStatuses),
    priority: z.int(),
    run_id: z.string().nullable(),
    stage: z.string().nullable(),
    index: z.int().nullable(),
    title: z.string().nullable(),
    description: z.string().nullable(),
    dependencies: z.array(z.string()),
    input: freeJson,
    output: freeJson,
    error: runError.nullable(),
    attempt: z.int(),
    attempts: z.array(attempt),
    agent: z.string().nullable(),
    assigned_agent: z.string().nullable().describe("The one agent that is to do it."),
    progress: z
      .object({ fraction: z.number().nullable(), message: z.string().nullable(), details: freeObject.optional() })
      .nullable(),
    estimated_completion: nullableTime,
    resources: freeObject.describe("Amounts per unit that it holds while it runs, in base units."),
    attributes: freeObject,
    form: freeObject.nullable().describe("The request as its client wrote it."),
    parent_workflow: z.string().nullable(),
    created_by: z.string().nullable().describe("The credential that made it."),
    timeout_ms: z.int().nullable(),
    deadline: nullableTime,
    artifacts: z.array(artifactRef),
    cost: z.object({ prompt_tokens: z.int(), completion_tokens: z.int(), total_usd: z.number() }),
    metadata: freeObject,
    created_at: nullableTime,
    started_at: nullableTime,
    finished_at: nullableTime,
  })
  .meta({ id: "Task" });

/** The task's view: its context with its status. */
export type TaskView = Omit<TaskContext, "watchers" | "requestHash"> & {
  readonly status: (typeof taskStatuses)[number];
};

const time = (ms: number | null): string | null => (ms === null ? null : rfc3339(ms));

/** A task's view in the edge's shape. */
export function toTask(id: string, view: TaskView): z.input<typeof task> {
  const { progress } = view;
  return {
    task_id: id,
    task_type: view.taskType,
    capabilities: [...view.capabilities],
    status: view.status,
    priority: view.priority,
    run_id: view.runId,
    stage: view.stage,
    index: view.index,
    title: view.title,
    description: view.description,
    dependencies: [...view.dependencies],
    input: view.input,
    output: view.output,
    error: toRunError(view.error),
    attempt: view.attempt,
    attempts: view.attempts.map((a) => ({
      attempt: a.attempt,
      agent: a.agent,
      started_at: time(a.startedAt),
      ended_at: time(a.endedAt),
      result: a.result,
      error: toRunError(a.error),
    })),
    agent: view.agent,
    assigned_agent: view.assignedAgent ?? null,
    progress:
      progress === null
        ? null
        : {
            fraction: progress.fraction,
            message: progress.message,
            ...(progress.details !== undefined && { details: progress.details as Record<string, unknown> }),
          },
    estimated_completion: time(view.estimatedCompletionAt ?? null),
    resources: { ...view.resources },
    attributes: { ...view.attributes },
    form: (view.form ?? null) as Record<string, unknown> | null,
    parent_workflow: view.parentWorkflow ?? null,
    created_by: view.createdBy ?? null,
    timeout_ms: view.timeoutMs,
    deadline: time(view.deadlineAt),
    artifacts: view.artifacts.map((a) => ({ artifact_id: a.artifactId, type: a.type, name: a.name })),
    cost: {
      prompt_tokens: view.cost.promptTokens,
      completion_tokens: view.cost.completionTokens,
      total_usd: view.cost.usd,
    },
    metadata: view.metadata as Record<string, unknown>,
    created_at: time(view.createdAt),
    started_at: time(view.startedAt),
    finished_at: time(view.finishedAt),
  };
}
