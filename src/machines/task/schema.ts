/**
 * A task's commands, its limits, and what its snapshot holds. The chart is in machine.ts.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../effects.ts";
import {
  type ArtifactEntry,
  addressSchema,
  agentTypeSchema,
  artifactEntrySchema,
  type Cost,
  capabilitiesSchema,
  costSchema,
  durationMsSchema,
  type Failure,
  failureSchema,
  instantMsSchema,
  jsonObjectSchema,
  jsonSchema,
  keySchema,
  metadataSchema,
  prioritySchema,
  type Retry,
  retrySchema,
} from "../schema.ts";

/** Attempts lost with a dead node that a task survives. */
export const lostMax = 100;
/** Attempts that the history keeps; older ones leave. */
export const attemptsKeptMax = 32;
/** Bounded by what one step may send. */
export const watchersMax = 200;
export const dependenciesMax = 200;
export const priorityDefault = 5;

const attemptSchema = z.int().min(1);

export const taskCreateSchema = z.strictObject({
  type: z.literal("task.create"),
  /** Which type of agent; `any` where capabilities alone decide. */
  taskType: agentTypeSchema,
  capabilities: capabilitiesSchema.optional(),
  input: jsonSchema,
  priority: prioritySchema.optional(),
  /** Who hears of the end by `run.finish_task`. */
  parent: addressSchema.optional(),
  stage: z.string().max(64).optional(),
  index: z.int().min(0).optional(),
  /** Keys of tasks that have to complete first. */
  dependencies: z.array(keySchema).max(dependenciesMax).optional(),
  /** Per attempt, from its start. */
  timeoutMs: durationMsSchema.optional(),
  /** Ends the task whatever its state. */
  deadlineAt: instantMsSchema.optional(),
  retry: retrySchema.optional(),
  title: z.string().max(512).optional(),
  description: z.string().max(16_384).optional(),
  metadata: metadataSchema.optional(),
  outputBytesMax: z.int().min(0).optional(),
  /** Equal hash: a second create is a success without change. */
  requestHash: z.string().max(128).optional(),
});

export const outcomeSchema = z.discriminatedUnion("ok", [
  z.strictObject({
    ok: z.literal(true),
    output: jsonSchema,
    artifacts: z.array(artifactEntrySchema).max(1_000).default([]),
    cost: costSchema.default({ promptTokens: 0, completionTokens: 0, usd: 0 }),
  }),
  z.strictObject({
    ok: z.literal(false),
    error: failureSchema,
    cost: costSchema.default({ promptTokens: 0, completionTokens: 0, usd: 0 }),
  }),
]);
export type Outcome = z.infer<typeof outcomeSchema>;

export const taskAssignSchema = z.strictObject({
  type: z.literal("task.assign"),
  attempt: attemptSchema,
  agent: keySchema,
});
export const taskStartSchema = z.strictObject({
  type: z.literal("task.start"),
  attempt: attemptSchema,
  agent: keySchema,
  node: z.string().max(200).optional(),
});
export const taskProgressSchema = z.strictObject({
  type: z.literal("task.progress"),
  attempt: attemptSchema,
  fraction: z.number().min(0).max(1).optional(),
  message: z.string().max(4_096).optional(),
});
export const taskNoteSchema = z.strictObject({
  type: z.literal("task.note"),
  attempt: attemptSchema,
  /** Becomes the event's name; the task's own names are refused. */
  name: z.string().regex(/^[a-z][a-z_]{0,63}$/, "must match [a-z][a-z_]{0,63}"),
  data: jsonObjectSchema,
});
export const taskReportSchema = z.strictObject({
  type: z.literal("task.report"),
  attempt: attemptSchema,
  outcome: outcomeSchema,
  /** The attempt was over before its start was told: both in one step. */
  start: z.strictObject({ agent: z.string().max(200), node: z.string().max(200).optional() }).optional(),
});
export const taskCancelSchema = z.strictObject({
  type: z.literal("task.cancel"),
  reason: z.string().max(1_024).optional(),
});
/** Asks for a `task.dependency_done` at this task's end (at once when it is over). */
export const taskWatchSchema = z.strictObject({ type: z.literal("task.watch"), watcher: keySchema });
export const taskDependencyDoneSchema = z.strictObject({
  type: z.literal("task.dependency_done"),
  key: keySchema,
  status: z.enum(["completed", "failed", "cancelled", "timed_out", "unknown"]),
});
/** From the runtime: the process that ran the work is dead. `id`: the execute effect's. */
export const workLoseSchema = z.strictObject({
  type: z.literal("work.lose"),
  id: z.string().max(200),
  reason: z.string().max(1_024).optional(),
});
/** From the task's own reminders. */
const taskTimeOutSchema = z.strictObject({ type: z.literal("task.time_out"), attempt: attemptSchema });
const taskMissDeadlineSchema = z.strictObject({ type: z.literal("task.miss_deadline") });

export const taskCommandSchema = z.discriminatedUnion("type", [
  taskCreateSchema,
  taskAssignSchema,
  taskStartSchema,
  taskProgressSchema,
  taskNoteSchema,
  taskReportSchema,
  taskCancelSchema,
  taskWatchSchema,
  taskDependencyDoneSchema,
  workLoseSchema,
  taskTimeOutSchema,
  taskMissDeadlineSchema,
]);
export type TaskCommand = z.infer<typeof taskCommandSchema>;
export type TaskCreate = z.infer<typeof taskCreateSchema>;

export type TaskEnd = "completed" | "failed" | "cancelled" | "timed_out";

/** One attempt in the history. */
export interface AttemptRecord {
  readonly attempt: number;
  readonly agent: string | null;
  readonly node: string | null;
  readonly startedAt: number | null;
  readonly endedAt: number;
  readonly result: "completed" | "failed" | "timed_out" | "lost" | "cancelled";
  readonly error: Failure | null;
}

export interface TaskContext {
  readonly taskType: string;
  readonly capabilities: readonly string[];
  readonly input: Json;
  readonly priority: number;
  readonly parent: { readonly type: string; readonly key: string } | null;
  /** The run that it belongs to. */
  readonly runId: string | null;
  readonly stage: string | null;
  readonly index: number | null;
  readonly dependencies: readonly string[];
  /** Dependencies that have not completed yet. */
  readonly unmet: readonly string[];
  readonly timeoutMs: number | null;
  readonly deadlineAt: number | null;
  readonly retry: Retry;
  readonly title: string | null;
  readonly description: string | null;
  readonly metadata: JsonObject;
  readonly outputBytesMax: number | null;
  readonly requestHash: string | null;
  /** Number of the current attempt; 0 before the first. Lost ones count here, not for the retry policy. */
  readonly attempt: number;
  readonly lost: number;
  readonly agent: string | null;
  readonly node: string | null;
  readonly progress: { readonly fraction: number | null; readonly message: string | null } | null;
  /** Of ended attempts, the last 32. */
  readonly attempts: readonly AttemptRecord[];
  readonly watchers: readonly string[];
  readonly createdAt: number;
  readonly readyAt: number | null;
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly output: Json;
  readonly error: Failure | null;
  readonly artifacts: readonly ArtifactEntry[];
  readonly cost: Cost;
}
