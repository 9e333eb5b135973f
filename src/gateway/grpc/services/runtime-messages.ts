/** Contract 002's shapes as its protobuf messages, and back. Pure; absent texts are empty, as proto3 has it. */
import type { Json } from "../../../machines/effects.ts";
import type { Artifact, Checkpoint, Run, RunEvent } from "../../dialects/002/schema.ts";
import { type JsonValue, toJsonValue } from "../json-value.ts";

const text = (value: string | null | undefined): string => value ?? "";
const json = (value: unknown): JsonValue => toJsonValue(value as Json);
const constant = (prefix: string, word: string): string => `${prefix}_${word.toUpperCase().replace(/\./g, "_")}`;

export function runMessage(run: Run) {
  const { timing, error } = run;
  return {
    run_id: run.run_id,
    workflow: run.workflow,
    status: constant("RUN_STATUS", run.status),
    trace_id: run.trace_id,
    tenant_id: text(run.tenant_id),
    timing: {
      created_at: timing.created_at,
      started_at: text(timing.started_at),
      finished_at: text(timing.finished_at),
      wall_ms: timing.wall_ms ?? 0,
    },
    input: json(run.input),
    context: json(run.context),
    output: json(run.output),
    error:
      error === null
        ? null
        : {
            code: error.code,
            message: error.message,
            retryable: error.retryable ?? false,
            details: error.details === undefined ? null : json(error.details),
          },
    cost: run.cost,
    artifacts: run.artifacts.map((a) => ({ ...a, type: constant("ARTIFACT_TYPE", a.type) })),
    checkpoints: run.checkpoints.map(checkpointMessage),
    metadata: Object.fromEntries(Object.entries(run.metadata).map(([key, value]) => [key, json(value)])),
  };
}

export function checkpointMessage(checkpoint: Checkpoint) {
  const { decision } = checkpoint;
  return {
    checkpoint_id: checkpoint.checkpoint_id,
    run_id: checkpoint.run_id,
    status: constant("HUMAN_CHECKPOINT_STATUS", checkpoint.status),
    created_at: checkpoint.created_at,
    expires_at: text(checkpoint.expires_at),
    title: checkpoint.title,
    instructions: text(checkpoint.instructions),
    required_schema: checkpoint.required_schema === null ? null : json(checkpoint.required_schema),
    provided_input: checkpoint.provided_input === null ? null : json(checkpoint.provided_input),
    decision: decision === null ? null : { ...decision, note: text(decision.note) },
  };
}

export function eventMessage(event: RunEvent) {
  return {
    event_id: event.event_id,
    ts: event.ts,
    type: constant("EVENT_TYPE", event.type),
    run_id: event.run_id,
    step_id: text(event.step_id),
    tool_name: text(event.tool_name),
    payload: json(event.payload),
    trace: { ...event.trace, parent_span_id: text(event.trace.parent_span_id) },
  };
}

export function artifactMessage(artifact: Artifact) {
  const { data, file, ...rest } = artifact;
  return {
    ...rest,
    type: constant("ARTIFACT_TYPE", artifact.type),
    data: data === undefined ? null : json(data),
    file: file ?? null,
  };
}

export interface WorkflowShape {
  readonly name: string;
  readonly version: string;
  readonly description: string | null;
  readonly tags: readonly string[];
  readonly default_timeout_ms: number | null;
  readonly input_schema_ref: string | null;
  readonly output_schema_ref: string | null;
  readonly definition: unknown;
}

export function workflowMessage(workflow: WorkflowShape) {
  return {
    name: workflow.name,
    version: workflow.version,
    description: text(workflow.description),
    tags: workflow.tags,
    default_timeout_ms: workflow.default_timeout_ms ?? 0,
    input_schema_ref: text(workflow.input_schema_ref),
    output_schema_ref: text(workflow.output_schema_ref),
    definition: json(workflow.definition),
  };
}
