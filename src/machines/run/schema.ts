/**
 * A run's commands, and what its snapshot holds. The chart is in machine.ts, the planning in
 * plan.ts and its neighbours.
 */
import { z } from "zod";
import type { Address } from "../address.ts";
import type { Json, JsonObject } from "../effects.ts";
import type { BlobRef } from "../json.ts";
import type { Paged } from "../paged.ts";
import {
  type ArtifactEntry,
  addressSchema,
  artifactEntrySchema,
  blobRefSchema,
  type Cost,
  costSchema,
  type Failure,
  failureSchema,
  jsonSchema,
  keySchema,
  labelsSchema,
  metadataSchema,
} from "../schema.ts";
import { workLoseSchema } from "../task/schema.ts";
import type { Plan } from "../workflow/compile.ts";
import { semverSchema, type WorkflowDefinition, workflowNameSchema } from "../workflow/schema.ts";

/** Tasks of one fan-out. */
export const fanOutMax = 100_000;
/** Work that a resolve executor lost, per stage. */
export const resolvesMax = 100;
/** The stage name that stands for the run's output template. */
export const outputStage = "$output";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be a sha256 in hex");

export const requestHashSchema = z.strictObject({
  workflow: sha256,
  input: sha256,
  context: sha256,
  metadata: sha256,
  labels: sha256,
});
export type RequestHash = z.infer<typeof requestHashSchema>;

export const runCreateSchema = z.strictObject({
  type: z.literal("run.create"),
  workflow: z.strictObject({
    name: workflowNameSchema,
    version: semverSchema,
    hash: sha256,
    /** As `parseWorkflow` gave it. */
    definition: jsonSchema as unknown as z.ZodType<WorkflowDefinition>,
  }),
  input: jsonSchema,
  context: jsonSchema.optional(),
  metadata: metadataSchema.optional(),
  labels: labelsSchema.optional(),
  traceId: z.string().max(64),
  requestHash: requestHashSchema,
  createdBy: z.string().max(256),
  /** A session that hears of waiting and of the end. */
  parent: addressSchema.optional(),
});
export const runCancelSchema = z.strictObject({
  type: z.literal("run.cancel"),
  reason: z.string().max(1_024).optional(),
});
/** From a task at its end. */
export const runFinishTaskSchema = z.strictObject({
  type: z.literal("run.finish_task"),
  stage: z.string().max(64),
  index: z.int().min(0).optional(),
  task: keySchema,
  status: z.enum(["completed", "failed", "cancelled", "timed_out"]),
  output: jsonSchema.optional(),
  error: failureSchema.nullish(),
  artifacts: z.array(artifactEntrySchema),
  cost: costSchema,
  attempts: z.int().min(0),
});
/** From the resolve executor: what the stage's expressions gave. `items` are the tasks' inputs. */
export const runResolveSchema = z.strictObject({
  type: z.literal("run.resolve"),
  stage: z.string().max(64),
  ok: z.boolean(),
  skip: z.boolean().optional(),
  input: jsonSchema.optional(),
  items: z.array(jsonSchema).max(fanOutMax).optional(),
  /** A stored list of `count` inputs; input i is at the pointer `/i` in it. */
  itemsRef: blobRefSchema.optional(),
  count: z.int().min(0).max(fanOutMax).optional(),
  output: jsonSchema.optional(),
  error: z.union([z.string(), failureSchema]).optional(),
});
export const runDecideSchema = z.strictObject({
  type: z.literal("run.decide"),
  checkpointId: z.string().max(128),
  decision: z.enum(["approve", "reject", "provide_input"]),
  note: z.string().max(16_384).optional(),
  /** For `provide_input`; the gateway has checked it against the checkpoint's schema. */
  input: jsonSchema.optional(),
  by: z.string().max(256).optional(),
  /** The asker's own mark; kept with the decision. */
  ref: z.string().max(64).optional(),
});
const runTimeOutSchema = z.strictObject({ type: z.literal("run.time_out") });
const runExpireSchema = z.strictObject({ type: z.literal("run.expire_checkpoint"), checkpointId: z.string().max(128) });
/** From the run to itself: goes on with what one step could not hold. */
const runContinueSchema = z.strictObject({ type: z.literal("run.continue") });

export const runCommandSchema = z.discriminatedUnion("type", [
  runCreateSchema,
  runCancelSchema,
  runFinishTaskSchema,
  runResolveSchema,
  runDecideSchema,
  runTimeOutSchema,
  runExpireSchema,
  runContinueSchema,
  workLoseSchema,
]);
export type RunCommand = z.infer<typeof runCommandSchema>;
export type RunCreate = z.infer<typeof runCreateSchema>;
export type RunFinishTask = z.infer<typeof runFinishTaskSchema>;
export type RunResolve = z.infer<typeof runResolveSchema>;
export type RunDecide = z.infer<typeof runDecideSchema>;

export type RunStatus = "queued" | "running" | "waiting_human" | "succeeded" | "failed" | "canceled" | "timed_out";
export type StageStatus =
  | "pending"
  | "resolving"
  | "waiting"
  | "running"
  | "completed"
  | "failed"
  | "skipped"
  | "cancelled";

/** One ended task of a fan-out. */
export interface ItemState {
  readonly status: "completed" | "failed" | "cancelled" | "timed_out";
  readonly output: Json;
}

/** A fan-out: one task per item. */
export interface FanOut {
  readonly count: number;
  /** The tasks' inputs until all are created; null when they are in `itemsRef` or no longer needed. */
  readonly items: readonly Json[] | null;
  readonly itemsRef: BlobRef | null;
  /** Tasks created so far. */
  readonly next: number;
  readonly done: number;
  readonly failed: number;
  /** By index; null until the task has ended. */
  readonly outputs: Paged<ItemState | null>;
}

export interface StageState {
  readonly status: StageStatus;
  /** Stages that it still waits for. */
  readonly unmet: number;
  /** A single task's or a checkpoint's output. A fan-out's are in `fan`. */
  readonly output?: Json;
  /** Size of the output as JSON text. */
  readonly size?: number;
  readonly fan?: FanOut;
  readonly error?: Failure;
  /** How often the resolve executor was asked. */
  readonly resolves?: number;
  readonly startedAt?: number;
  readonly finishedAt?: number;
}

export interface Checkpoint {
  /** The stage's name: a stage waits once in a run. */
  readonly checkpointId: string;
  readonly stage: string;
  readonly status: "required" | "approved" | "rejected" | "input_provided" | "resolved";
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly title: string;
  readonly instructions: string | null;
  readonly requiredSchema: JsonObject | null;
  readonly providedInput: Json;
  readonly decision: {
    readonly approved: boolean;
    readonly note: string | null;
    readonly decidedAt: number;
    readonly by: string | null;
    readonly ref?: string;
  } | null;
}

/** What a step could not hold and `run.continue` goes on with. */
export type Todo =
  /** Start the stages that wait for nobody, from the `next`th. */
  | { readonly kind: "roots"; readonly next: number }
  /** Tell the dependents of an ended stage, from the `next`th. */
  | { readonly kind: "release"; readonly stage: number; readonly next: number }
  /** Create the tasks of a fan-out. */
  | { readonly kind: "fan"; readonly stage: number }
  /** Cancel what still runs, from this stage and item on. */
  | { readonly kind: "sweep"; readonly stage: number; readonly item: number }
  /** Undo the next completed stage. */
  | { readonly kind: "undo" };

/** `finishing`: the output is being resolved. `halting`: what still runs is cancelled, before stages are undone. */
export type Phase = "running" | "finishing" | "halting" | "undoing" | "ended";

export interface RunContext {
  readonly runId: string;
  readonly workflow: { readonly name: string; readonly version: string; readonly hash: string };
  readonly definition: WorkflowDefinition;
  readonly plan: Plan;
  readonly status: RunStatus;
  readonly phase: Phase;
  readonly input: Json;
  readonly runContext: Json;
  readonly metadata: JsonObject;
  readonly labels: Readonly<Record<string, string>>;
  readonly traceId: string;
  readonly createdBy: string;
  readonly requestHash: RequestHash;
  /** Sizes as JSON text of what every scope may hold. */
  readonly sizes: { readonly input: number; readonly context: number; readonly run: number };
  readonly timing: { readonly createdAt: number; readonly startedAt: number; readonly finishedAt: number | null };
  /** By the stage's index in the definition. */
  readonly stages: Paged<StageState>;
  /** Stages that have not ended. */
  readonly open: number;
  readonly terminalsFailed: number;
  /** Tasks that were created and have not ended. */
  readonly outstanding: number;
  /** Open checkpoints. */
  readonly waiting: number;
  readonly todo: readonly Todo[];
  /** A `run.continue` is on its way. */
  readonly continuing: boolean;
  /** Completed stages that can be undone, in order of completion. */
  readonly undoable: Paged<number>;
  /** Position in `undoable` of what is undone next or now; -1: none. */
  readonly undoAt: number;
  /** Names of undo stages that failed, the first 100. */
  readonly undoFailed: readonly string[];
  /** How the run ends once its stages are undone. */
  readonly verdict: { readonly status: "failed" | "timed_out"; readonly error: Failure } | null;
  readonly outputResolves: number;
  readonly checkpoints: readonly Checkpoint[];
  readonly artifacts: Paged<ArtifactEntry>;
  readonly output: Json;
  readonly error: Failure | null;
  readonly cost: Cost;
  /** The session that hears of waiting and of the end. */
  readonly parent?: Address;
}

export const taskAddress = (runId: string, stage: string, index?: number): Address => ({
  type: "task",
  key: index === undefined ? `${runId}~${stage}` : `${runId}~${stage}.${index}`,
});
