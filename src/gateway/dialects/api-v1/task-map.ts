/**
 * Tasks of contracts 001 and 004: what a client sends as the core's input, and a task in both vocabularies. Pure.
 */
import { z } from "zod";
import { freeJson, freeObject } from "../../operation.ts";
import { metadata, ownId, retryPolicy, seconds, toRetry, typeName } from "./schema.ts";
import { detailsOf, priority, priorityNumber, secondsToMs, taskWord } from "./words.ts";

/** A time with or without its zone; without one it is UTC. */
export const instant = z.string().transform((text, issue) => {
  const zoned = /^\d{4}-\d\d-\d\dT[\d:.]+$/.test(text) ? `${text}Z` : text;
  if (z.iso.datetime({ offset: true }).safeParse(zoned).success && !Number.isNaN(Date.parse(zoned))) return zoned;
  issue.addIssue("must be an RFC 3339 time");
  return z.NEVER;
});

export const taskBody = z.object({
  id: ownId.nullish(),
  type: z.string().min(1).max(256).nullish(),
  title: z.string().min(1).max(512).nullish(),
  description: z.string().max(16_384).nullish(),
  priority: priority.nullish(),
  assigned_agent: z.string().min(1).max(200).nullish(),
  parent_workflow_id: z.string().min(1).max(200).nullish(),
  project_id: z.string().max(1_024).nullish(),
  input_data: freeJson.optional(),
  dependencies: z.array(z.string().min(1).max(200)).max(200).nullish(),
  required_capabilities: z.array(z.string().min(1).max(128)).max(64).nullish(),
  resources: freeObject.nullish(),
  timeout: seconds.nullish(),
  deadline: instant.nullish(),
  estimated_completion: instant.nullish(),
  retry_policy: retryPolicy,
  metadata,
});
export type TaskBody = z.output<typeof taskBody>;

/** What the client reads back in its own words. */
interface Form {
  readonly priority?: z.output<typeof priority>;
  readonly type?: string;
  readonly retry_policy?: unknown;
  readonly deadline?: string;
  readonly resources?: unknown;
}

/** The core's input of `tasks.create`. A deadline that is over already is told back, and ends nothing. */
export function toCreate(body: TaskBody, now: number): Record<string, unknown> {
  const capabilities = body.required_capabilities ?? [];
  const type = typeof body.type === "string" ? typeName(body.type) : "any";
  const retry = toRetry(body.retry_policy);
  const form: Form = {
    ...(body.priority !== null && body.priority !== undefined && { priority: body.priority }),
    ...(typeof body.type === "string" && { type: body.type }),
    ...(body.retry_policy !== null && body.retry_policy !== undefined && { retry_policy: body.retry_policy }),
    ...(typeof body.deadline === "string" && { deadline: body.deadline }),
    ...(body.resources !== null && body.resources !== undefined && { resources: body.resources }),
  };
  const given = {
    task_id: body.id,
    title: body.title,
    description: body.description,
    assigned_agent: body.assigned_agent,
    parent_workflow: body.parent_workflow_id,
    dependencies: body.dependencies,
    resources: body.resources,
    deadline: typeof body.deadline === "string" && Date.parse(body.deadline) > now ? body.deadline : null,
    estimated_completion: body.estimated_completion,
    metadata: body.metadata,
    priority: form.priority === undefined ? null : priorityNumber(form.priority),
    timeout_ms: typeof body.timeout === "number" ? secondsToMs(body.timeout) : null,
    retry: retry ?? null,
    attributes: typeof body.project_id === "string" ? { project_id: body.project_id } : null,
  };
  return {
    task_type: type,
    ...(capabilities.length > 0 && { capabilities }),
    input: body.input_data ?? {},
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined)),
    form,
  };
}

/** What the core's operations tell of a task. */
export interface CoreTask {
  readonly task_id: string;
  readonly task_type: string;
  readonly capabilities: readonly string[];
  readonly status: string;
  readonly priority: number;
  readonly run_id: string | null;
  readonly title: string | null;
  readonly description: string | null;
  readonly dependencies: readonly string[];
  readonly input: unknown;
  readonly output: unknown;
  readonly error: unknown;
  readonly attempt: number;
  readonly agent: string | null;
  readonly progress: {
    readonly fraction: number | null;
    readonly message: string | null;
    readonly details?: unknown;
  } | null;
  readonly timeout_ms: number | null;
  readonly deadline: string | null;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly created_at: string | null;
  readonly started_at: string | null;
  readonly finished_at: string | null;
  readonly assigned_agent?: string | null;
  readonly resources?: Readonly<Record<string, unknown>> | null;
  readonly estimated_completion?: string | null;
  readonly parent_workflow?: string | null;
  readonly attributes?: Readonly<Record<string, unknown>> | null;
  readonly form?: Form | null;
}

/** Both vocabularies in one object. */
export function toTask(one: CoreTask) {
  const form = one.form ?? {};
  const fraction = one.progress?.fraction ?? null;
  return {
    id: one.task_id,
    task_id: one.task_id,
    type: form.type ?? one.task_type,
    title: one.title,
    description: one.description,
    status: taskWord(one.status),
    priority: form.priority ?? one.priority,
    progress: fraction === null ? (one.status === "completed" ? 100 : 0) : Math.round(fraction * 1e6) / 1e4,
    progress_message: one.progress?.message ?? null,
    details: one.progress?.details ?? null,
    assigned_agent: one.agent ?? one.assigned_agent ?? null,
    parent_workflow_id: one.parent_workflow ?? one.run_id,
    project_id: one.attributes?.project_id ?? null,
    required_capabilities: one.capabilities,
    resources: form.resources ?? one.resources ?? {},
    dependencies: one.dependencies,
    input_data: one.input,
    output_data: one.output,
    error: one.error,
    timeout: one.timeout_ms === null ? null : one.timeout_ms / 1000,
    retry_policy: form.retry_policy ?? null,
    attempt: one.attempt,
    deadline: form.deadline ?? one.deadline,
    // As the client wrote it: whole seconds without a fraction.
    estimated_completion: one.estimated_completion?.replace(/\.000Z$/, "Z") ?? null,
    metadata: one.metadata,
    created_at: one.created_at,
    started_at: one.started_at,
    completed_at: one.finished_at,
  };
}

const updateWords = {
  in_progress: "running",
  running: "running",
  active: "running",
  completed: "completed",
  failed: "failed",
  rejected: "rejected",
  pending: "rejected",
  cancelled: "cancelled",
} as const;

export const taskUpdate = z.object({
  status: z.enum(Object.keys(updateWords) as [keyof typeof updateWords, ...(keyof typeof updateWords)[]]).nullish(),
  agent_id: z.string().min(1).max(200).nullish().describe("On whose behalf an operator acts."),
  progress: z.number().min(0).max(100).nullish(),
  output_data: freeJson.optional(),
  error: z
    .union([
      z.string().max(16_384),
      z.looseObject({
        code: z.string().min(1).max(128).optional(),
        message: z.string().max(16_384).optional(),
        retryable: z.boolean().optional(),
      }),
    ])
    .nullish(),
  message: z.string().max(4_096).nullish(),
  details: freeObject.nullish(),
  estimated_completion: instant.nullish(),
});
export type TaskUpdate = z.output<typeof taskUpdate>;

/** The core's status of an update; `running` when none is named. */
export function updateStatus(update: TaskUpdate) {
  return updateWords[update.status ?? "in_progress"];
}

/** The core's input of `tasks.update`. */
export function toUpdate(taskId: string, update: TaskUpdate): Record<string, unknown> {
  const { error, output_data: output } = update;
  const failure = typeof error === "string" ? { message: error } : error;
  const { code, message, retryable } = failure ?? {};
  const given = {
    agent_id: update.agent_id,
    progress: typeof update.progress === "number" ? update.progress / 100 : null,
    message: update.message,
    details: update.details ?? (updateStatus(update) === "running" ? detailsOf(output) : null),
    estimated_completion: update.estimated_completion,
    ...(updateStatus(update) === "failed" &&
      failure !== null &&
      failure !== undefined && {
        error: {
          ...(code !== undefined && { code }),
          ...(message !== undefined && { message }),
          ...(retryable !== undefined && { retryable }),
        },
      }),
  };
  return {
    task_id: taskId,
    status: updateStatus(update),
    ...(output !== undefined && { output }),
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null && value !== undefined)),
  };
}
