/**
 * From the core's views to contract 002's shapes: pure functions. Large values must have been
 * loaded (or marked as left out) by the caller.
 */
import type { Json } from "../../../machines/effects.ts";
import { pagedItems } from "../../../machines/paged.ts";
import type { Artifact, Checkpoint, Run } from "./schema.ts";
import type { ArtifactView, CheckpointView, List, RunView } from "./views.ts";

export function rfc3339(ms: number): string {
  return new Date(ms).toISOString();
}

const maybeTime = (ms: number | null | undefined): string | null =>
  ms === null || ms === undefined ? null : rfc3339(ms);

export function listOf<T>(list: List<T> | undefined): readonly T[] {
  if (list === undefined) return [];
  return "pages" in list ? pagedItems(list) : list;
}

/** A run's view as the contract's Run. */
export function toRun(runId: string, view: RunView): Run {
  const { timing, cost } = view;
  const { startedAt: started, finishedAt: finished } = timing;
  return {
    run_id: runId,
    workflow: { name: view.workflow.name, version: view.workflow.version },
    status: view.status,
    trace_id: view.traceId,
    tenant_id: null,
    timing: {
      created_at: rfc3339(timing.createdAt),
      started_at: rfc3339(started),
      finished_at: maybeTime(finished),
      wall_ms: finished === null ? null : finished - started,
    },
    input: view.input,
    context: view.runContext,
    output: view.output,
    error: toRunError(view.error),
    cost: {
      total_tokens: cost.promptTokens + cost.completionTokens,
      prompt_tokens: cost.promptTokens,
      completion_tokens: cost.completionTokens,
      total_usd: cost.usd,
    },
    artifacts: listOf(view.artifacts).map((a) => ({ artifact_id: a.artifactId, type: a.type, name: a.name })),
    checkpoints: view.checkpoints.map((c) => toCheckpoint(runId, c)),
    metadata: view.metadata as Record<string, unknown>,
    labels: { ...view.labels },
    stages: pagedItems(view.stages).map((stage) => ({
      name: stage.name,
      status: stage.status,
      count: stage.fan?.count ?? null,
      done: stage.fan?.done ?? null,
      failed: stage.fan?.failed ?? null,
    })),
  };
}

export function toRunError(error: RunView["error"]): Run["error"] {
  if (error === null) return null;
  const { code, message, retryable, details } = error;
  return { code, message, ...(retryable !== undefined && { retryable }), ...(details !== undefined && { details }) };
}

export function toCheckpoint(runId: string, view: CheckpointView): Checkpoint {
  const { decision } = view;
  return {
    checkpoint_id: view.checkpointId,
    run_id: runId,
    status: view.status,
    created_at: rfc3339(view.createdAt),
    expires_at: maybeTime(view.expiresAt),
    title: view.title,
    instructions: view.instructions,
    required_schema: view.requiredSchema,
    provided_input: view.providedInput,
    decision:
      decision === null
        ? null
        : { approved: decision.approved, note: decision.note, decided_at: rfc3339(decision.decidedAt) },
  };
}

/** An artifact; `download` is there for files. */
export function toArtifact(
  view: ArtifactView,
  data: Json,
  download: { url: string; expiresAt: number } | null,
): Artifact {
  const common = {
    artifact_id: view.artifactId,
    type: view.type,
    name: view.name,
    created_at: rfc3339(view.createdAt),
    mime_type: view.mimeType,
  };
  if (download === null) return { ...common, data };
  return {
    ...common,
    file: {
      download_url: download.url,
      expires_at: rfc3339(download.expiresAt),
      size_bytes: view.bytes ?? 0,
      sha256: view.sha256 ?? "",
    },
  };
}
