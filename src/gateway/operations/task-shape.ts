/**
 * A task at the edge: schema, and the mapping from the core's view. Pure.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { rfc3339 } from "../dialects/002/map.ts";
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
    progress: z.object({ fraction: z.number().nullable(), message: z.string().nullable() }).nullable(),
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

interface FailureView {
  readonly code: string;
  readonly message: string;
  readonly retryable?: boolean | undefined;
  readonly details?: Json;
}

export interface TaskView {
  readonly status: string;
  readonly taskType: string;
  readonly capabilities?: readonly string[];
  readonly input: Json;
  readonly output?: Json;
  readonly priority: number;
  readonly runId?: string | null;
  readonly stage?: string | null;
  readonly index?: number | null;
  readonly title?: string | null;
  readonly description?: string | null;
  readonly dependencies?: readonly string[];
  readonly error?: FailureView | null;
  readonly attempt: number;
  readonly attempts?: readonly {
    readonly attempt: number;
    readonly agent?: string | null;
    readonly startedAt?: number | null;
    readonly endedAt?: number | null;
    readonly result: string;
    readonly error?: FailureView | null;
  }[];
  readonly agent?: string | null;
  readonly progress?: { readonly fraction?: number | null; readonly message?: string | null } | null;
  readonly timeoutMs?: number | null;
  readonly deadlineAt?: number | null;
  readonly artifacts?: readonly {
    readonly artifactId: string;
    readonly type: "file" | "record" | "message";
    readonly name: string;
  }[];
  readonly cost?: { readonly promptTokens: number; readonly completionTokens: number; readonly usd: number };
  readonly metadata?: JsonObject;
  readonly createdAt?: number | null;
  readonly startedAt?: number | null;
  readonly finishedAt?: number | null;
}

const time = (ms: number | null | undefined): string | null => (ms === null || ms === undefined ? null : rfc3339(ms));

/** A task's view in the edge's shape. */
export function toTask(id: string, view: TaskView): z.input<typeof task> {
  const { progress } = view;
  return {
    task_id: id,
    task_type: view.taskType,
    capabilities: [...(view.capabilities ?? [])],
    status: view.status as z.input<typeof task>["status"],
    priority: view.priority,
    run_id: view.runId ?? null,
    stage: view.stage ?? null,
    index: view.index ?? null,
    title: view.title ?? null,
    description: view.description ?? null,
    dependencies: [...(view.dependencies ?? [])],
    input: view.input,
    output: view.output ?? null,
    error: view.error ?? null,
    attempt: view.attempt,
    attempts: (view.attempts ?? []).map((a) => ({
      attempt: a.attempt,
      agent: a.agent ?? null,
      started_at: time(a.startedAt),
      ended_at: time(a.endedAt),
      result: a.result,
      error: a.error ?? null,
    })),
    agent: view.agent ?? null,
    progress: progress ? { fraction: progress.fraction ?? null, message: progress.message ?? null } : null,
    timeout_ms: view.timeoutMs ?? null,
    deadline: time(view.deadlineAt),
    artifacts: (view.artifacts ?? []).map((a) => ({ artifact_id: a.artifactId, type: a.type, name: a.name })),
    cost: {
      prompt_tokens: view.cost?.promptTokens ?? 0,
      completion_tokens: view.cost?.completionTokens ?? 0,
      total_usd: view.cost?.usd ?? 0,
    },
    metadata: (view.metadata ?? {}) as Record<string, unknown>,
    created_at: time(view.createdAt),
    started_at: time(view.startedAt),
    finished_at: time(view.finishedAt),
  };
}
