/**
 * A task's commands, its limits, and what its snapshot holds. The chart is in machine.ts.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../effects.ts";
import {
  type Amounts,
  type ArtifactEntry,
  type Attributes,
  addressSchema,
  agentTypeSchema,
  amountsSchema,
  artifactEntrySchema,
  attributesSchema,
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

/** The longest pause before a task that was handed back is offered again. */
export const rejectBackoffMaxMs = 30_000;
/** A granted attempt that has not begun for this long is taken back. */
export const unstartedMsMax = 300_000;
/** Reservations of one attempt. */
export const holdsMax = 32;

const attemptSchema = z.int().min(1);
/** Who acts: an agent's id. Absent: the runtime itself, or an operator, who may act for any. */
const bySchema = keySchema.optional();

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
  /** The one agent that is to do it, by id: then type and capabilities do not matter. */
  assignedAgent: keySchema.optional(),
  /** What an attempt holds while it runs, per unit, in base units. */
  resources: amountsSchema.optional(),
  estimatedCompletionAt: instantMsSchema.optional(),
  /** For filters of subscribers and lists (`project_id`…). */
  attributes: attributesSchema.optional(),
  parentWorkflow: z.string().max(200).optional(),
  /** What the client sent in its own words, so that it gets them back. Troupe does not read it. */
  form: jsonObjectSchema.optional(),
  /** Name of the credential. */
  createdBy: z.string().max(200).optional(),
  outputBytesMax: z.int().min(0).optional(),
  /** Equal hash: a second create is a success without change. */
  requestHash: z.string().max(128).optional(),
});

export const outcomeSchema = z.discriminatedUnion("ok", [
  z.strictObject({
    ok: z.literal(true),
    /** Absent: what the attempt's progress has told last. */
    output: jsonSchema.optional(),
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

/** From an agent's actor that has granted a slot; of an attempt that is over, the slot goes back by mail. */
export const taskAssignSchema = z.strictObject({
  type: z.literal("task.assign"),
  attempt: attemptSchema,
  agent: keySchema,
});
/** From a resource that has granted amounts to the attempt; it gets them back as a slot is. */
export const taskHoldSchema = z.strictObject({
  type: z.literal("task.hold"),
  attempt: attemptSchema,
  resource: keySchema,
});
/** Without an attempt: the current one (where `by`, or whoever may act for all, says so). */
export const taskStartSchema = z.strictObject({
  type: z.literal("task.start"),
  attempt: attemptSchema.optional(),
  agent: keySchema,
  node: z.string().max(200).optional(),
  by: bySchema,
  /** From outside: the search for an agent ends with it. */
  taken: z.boolean().optional(),
});
export const taskProgressSchema = z.strictObject({
  type: z.literal("task.progress"),
  attempt: attemptSchema.optional(),
  by: bySchema,
  fraction: z.number().min(0).max(1).optional(),
  message: z.string().max(4_096).optional(),
  /** What there is so far. */
  output: jsonSchema.optional(),
  estimatedCompletionAt: instantMsSchema.optional(),
  details: jsonObjectSchema.optional(),
});
/** The attempt is handed back, uncharged: its agent will not do it, or it gives way to another task. */
export const taskRejectSchema = z.strictObject({
  type: z.literal("task.reject"),
  attempt: attemptSchema.optional(),
  by: bySchema,
  reason: z.string().max(1_024).optional(),
});
export const taskNoteSchema = z.strictObject({
  type: z.literal("task.note"),
  attempt: attemptSchema,
  /** Becomes the event's name; the task's own names are refused. */
  name: z.string().regex(/^[a-z][a-z_]{0,63}$/, "must match [a-z][a-z_]{0,63}"),
  data: jsonObjectSchema,
});
/** Keeps a value for the next attempt, with an event in the same commit if `name` is given. */
export const taskSaveSchema = z.strictObject({
  type: z.literal("task.save"),
  attempt: attemptSchema,
  value: jsonSchema,
  name: z
    .string()
    .regex(/^[a-z][a-z_]{0,63}$/, "must match [a-z][a-z_]{0,63}")
    .optional(),
  data: jsonObjectSchema.optional(),
});
export const taskReportSchema = z.strictObject({
  type: z.literal("task.report"),
  attempt: attemptSchema.optional(),
  by: bySchema,
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
const taskTakeBackSchema = z.strictObject({ type: z.literal("task.take_back"), attempt: attemptSchema });
const taskTimeOutSchema = z.strictObject({ type: z.literal("task.time_out"), attempt: attemptSchema });
const taskMissDeadlineSchema = z.strictObject({ type: z.literal("task.miss_deadline") });

export const taskCommandSchema = z.discriminatedUnion("type", [
  taskCreateSchema,
  taskAssignSchema,
  taskHoldSchema,
  taskStartSchema,
  taskProgressSchema,
  taskRejectSchema,
  taskNoteSchema,
  taskSaveSchema,
  taskReportSchema,
  taskCancelSchema,
  taskWatchSchema,
  taskDependencyDoneSchema,
  workLoseSchema,
  taskTakeBackSchema,
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
  readonly result: "completed" | "failed" | "timed_out" | "lost" | "rejected" | "cancelled";
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
  readonly progress: {
    readonly fraction: number | null;
    readonly message: string | null;
    readonly details?: JsonObject | undefined;
  } | null;
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
  /** What an attempt saved for the next one; gone when the task is over. */
  readonly saved?: Json;
  // What follows is absent, not null, where there is none: most tasks never have it.
  readonly assignedAgent?: string;
  /** Per unit, in base units. */
  readonly resources?: Amounts;
  readonly estimatedCompletionAt?: number;
  readonly attributes?: Attributes;
  readonly parentWorkflow?: string;
  readonly form?: JsonObject;
  readonly createdBy?: string;
  /** The current attempt has a slot of its agent's actor, which gets it back when the attempt ends. */
  readonly slot?: boolean;
  /** Resources that the current attempt holds. */
  readonly holds?: readonly string[];
  /** Times in a row that it was handed back. */
  readonly rejections?: number;
}
