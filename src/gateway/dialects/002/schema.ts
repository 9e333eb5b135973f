/**
 * Contract 002 as schemas: the wire shapes of runs, events, checkpoints, workflows, artifacts.
 * Source of validation, types and OpenAPI; mapping from the core is in `map.ts` and `events.ts`.
 */
import { z } from "zod";
import { freeJson, freeObject } from "../../operation.ts";

const time = z.string().meta({ format: "date-time", description: "RFC 3339, UTC, milliseconds." });
const nullableTime = time.nullable();

export const runStatuses = [
  "queued",
  "running",
  "waiting_human",
  "succeeded",
  "failed",
  "canceled",
  "timed_out",
] as const;
export const runStatus = z.enum(runStatuses).meta({ id: "RunStatus" });

export const workflowRef = z.object({ name: z.string(), version: z.string() }).meta({ id: "WorkflowRef" });

export const checkpoint = z
  .object({
    checkpoint_id: z.string(),
    run_id: z.string(),
    status: z.enum(["required", "approved", "rejected", "input_provided", "resolved"]),
    created_at: time,
    expires_at: nullableTime,
    title: z.string(),
    instructions: z.string().nullable(),
    required_schema: freeJson.describe("JSON Schema that provide_input's input must match; null: anything."),
    provided_input: freeJson,
    decision: z.object({ approved: z.boolean(), note: z.string().nullable(), decided_at: nullableTime }).nullable(),
  })
  .meta({ id: "HumanCheckpoint" });

export const artifactRef = z
  .object({ artifact_id: z.string(), type: z.enum(["message", "record", "file"]), name: z.string() })
  .meta({ id: "ArtifactRef" });

export const runError = z
  .object({ code: z.string(), message: z.string(), retryable: z.boolean().optional(), details: freeJson.optional() })
  .meta({ id: "RunError" });

export const run = z
  .object({
    run_id: z.string(),
    workflow: workflowRef,
    status: runStatus,
    trace_id: z.string(),
    tenant_id: z.string().nullable(),
    timing: z.object({
      created_at: time,
      started_at: nullableTime,
      finished_at: nullableTime,
      wall_ms: z.int().nullable(),
    }),
    input: freeJson,
    context: freeJson,
    output: freeJson,
    error: runError.nullable(),
    cost: z.object({
      total_tokens: z.int(),
      prompt_tokens: z.int(),
      completion_tokens: z.int(),
      total_usd: z.number(),
    }),
    artifacts: z.array(artifactRef),
    checkpoints: z.array(checkpoint),
    metadata: freeObject,
    labels: z.record(z.string(), z.string()),
    stages: z.array(
      z.object({
        name: z.string(),
        status: z.string(),
        count: z.int().nullable(),
        done: z.int().nullable(),
        failed: z.int().nullable(),
      }),
    ),
  })
  .meta({ id: "Run" });

/** Troupe's own: what changes while a run goes on. */
export const runProgress = run
  .omit({ input: true, context: true, output: true, metadata: true, labels: true })
  .meta({ id: "RunProgress" });

export const eventTypes = [
  "run.started",
  "run.completed",
  "run.failed",
  "run.canceled",
  "step.started",
  "step.completed",
  "step.failed",
  "tool.called",
  "tool.result",
  "llm.request",
  "llm.response",
  "hitl.required",
  "hitl.resolved",
  "artifact.created",
] as const;

export const event = z
  .object({
    event_id: z.string(),
    ts: time,
    type: z.enum(eventTypes),
    run_id: z.string(),
    step_id: z.string().optional(),
    tool_name: z.string().optional(),
    payload: freeJson,
    trace: z.object({ trace_id: z.string(), span_id: z.string(), parent_span_id: z.string().nullable() }),
  })
  .meta({ id: "Event" });

export const workflowSummary = z
  .object({ name: z.string(), version: z.string(), description: z.string().nullable(), tags: z.array(z.string()) })
  .meta({ id: "WorkflowSummary" });

export const workflow = workflowSummary
  .extend({
    default_timeout_ms: z.int().nullable(),
    input_schema_ref: z.string().nullable(),
    output_schema_ref: z.string().nullable(),
    definition: freeObject,
    versions: z.array(z.string()).describe("Every registered version, newest registration last."),
  })
  .meta({ id: "Workflow" });

export const schemaBundle = z
  .object({ workflow: workflowRef, schema_hash: z.string(), schemas: z.record(z.string(), freeJson) })
  .meta({ id: "SchemaBundle" });

export const artifact = z
  .object({
    artifact_id: z.string(),
    type: z.enum(["message", "record", "file"]),
    name: z.string(),
    created_at: time,
    mime_type: z.string(),
    data: freeJson.optional(),
    file: z.object({ download_url: z.string(), expires_at: time, size_bytes: z.int(), sha256: z.string() }).optional(),
  })
  .meta({ id: "Artifact" });

/** `{data, next_cursor}` of some entry. */
export const pageOf = <T extends z.ZodType>(entry: T) =>
  z.object({ data: z.array(entry), next_cursor: z.string().nullable() });

export type Run = z.input<typeof run>;
export type Checkpoint = z.input<typeof checkpoint>;
export type RunEvent = z.input<typeof event>;
export type EventType = (typeof eventTypes)[number];
export type Artifact = z.input<typeof artifact>;
