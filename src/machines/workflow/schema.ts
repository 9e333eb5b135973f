/**
 * A workflow's definition as JSON (names in snake case, as it is on the wire), and the commands
 * of the workflow actors. What no schema can say is checked in compile.ts.
 */
import { z } from "zod";
import type { Json } from "../effects.ts";
import { expressionCharsMax } from "../expression.ts";
import {
  agentTypeSchema,
  capabilitiesSchema,
  durationMsSchema,
  jsonSchema,
  jsonSchemaSchema,
  metadataSchema,
  prioritySchema,
  retrySchema,
} from "../schema.ts";

export const stagesMax = 10_000;
export const checkpointsMax = 256;
/** Of all stages together. */
export const dependenciesMax = 100_000;
export const versionsMax = 1_000;

/** No `~`, `/` or `.` at the start: a name is a key's root and a token of event subjects. */
export const workflowNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, "must match [A-Za-z0-9][A-Za-z0-9_.-]{0,63}");

export const semverSchema = z
  .string()
  .max(64)
  .regex(/^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/, "must be a semantic version, such as 1.0.0");

const stageNameSchema = z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/, "must match [A-Za-z][A-Za-z0-9_]{0,63}");
const expressionSchema = z.string().min(1).max(expressionCharsMax);

export const failureStrategySchema = z.enum(["stop_on_error", "continue", "compensate"]);
export type FailureStrategy = z.infer<typeof failureStrategySchema>;

const common = {
  name: stageNameSchema,
  description: z.string().max(4_096).optional(),
  dependencies: z.array(stageNameSchema).max(stagesMax).optional(),
  /** CEL to bool; false skips the stage. */
  when: expressionSchema.optional(),
  failure_strategy: failureStrategySchema.optional(),
};

export const taskStageSchema = z.strictObject({
  ...common,
  kind: z.literal("task").optional(),
  agent_type: agentTypeSchema.optional(),
  capabilities: capabilitiesSchema.min(1).optional(),
  /** CEL to a list; one task for each of its items. */
  for_each: expressionSchema.optional(),
  input: jsonSchema.optional(),
  timeout_ms: durationMsSchema.optional(),
  retry: retrySchema.optional(),
  priority: prioritySchema.optional(),
  /** Name of the stage that undoes this one under the strategy `compensate`. */
  compensate: stageNameSchema.optional(),
  /** True: runs only as another stage's compensation. */
  undo: z.boolean().optional(),
});
export type TaskStage = z.infer<typeof taskStageSchema>;

export const checkpointStageSchema = z.strictObject({
  ...common,
  kind: z.literal("checkpoint"),
  title: z.string().min(1).max(512),
  /** A template; may be Markdown. */
  instructions: z.string().max(65_536).optional(),
  /** JSON Schema for `provide_input`. */
  schema: jsonSchemaSchema.optional(),
  expires_in_ms: durationMsSchema.optional(),
  on_expiry: z.enum(["fail", "approve", "reject", "cancel"]).optional(),
  on_reject: z.enum(["fail", "continue"]).optional(),
});
export type CheckpointStage = z.infer<typeof checkpointStageSchema>;

export type Stage = TaskStage | CheckpointStage;

/** A stage's `kind` says which fields it may have, so that each unknown field is named. */
const stageSchema = z.discriminatedUnion("kind", [taskStageSchema, checkpointStageSchema]);

export const workflowSchema = z.strictObject({
  name: workflowNameSchema,
  version: semverSchema,
  /** For people; `name` is the id. */
  title: z.string().min(1).max(512).optional(),
  description: z.string().max(4_096).optional(),
  /** Whatever its author wants to find there again. Troupe does not read it. */
  metadata: metadataSchema.optional(),
  tags: z.array(z.string().min(1).max(64)).max(32).optional(),
  input_schema: jsonSchemaSchema.optional(),
  output_schema: jsonSchemaSchema.optional(),
  /** The whole run's time-out. */
  default_timeout_ms: durationMsSchema.optional(),
  /** False: one stage at a time, in the order of the definition as far as dependencies permit. Default true. */
  parallel: z.boolean().optional(),
  /** Default `stop_on_error`. */
  failure_strategy: failureStrategySchema.optional(),
  stages: z.array(stageSchema).min(1).max(stagesMax),
  /** A template. Default: the terminal stage's output, or of several an object by name. */
  output: jsonSchema.optional(),
});
export type WorkflowDefinition = z.infer<typeof workflowSchema>;

const hashSchema = z.string().regex(/^[0-9a-f]{64}$/, "must be a sha256 in hex");

/** To `workflow/<name>`. `hash`: sha256 hex of the definition's canonical JSON, made by the caller. */
export const workflowRegisterSchema = z.strictObject({
  type: z.literal("workflow.register"),
  definition: jsonSchema as unknown as z.ZodType<Json>,
  hash: hashSchema,
});
export type WorkflowRegister = z.infer<typeof workflowRegisterSchema>;

/** To `workflow_version/<name>~<version>`, from its workflow. */
export const versionRegisterSchema = workflowRegisterSchema.extend({ type: z.literal("workflow_version.register") });
export type VersionRegister = z.infer<typeof versionRegisterSchema>;
