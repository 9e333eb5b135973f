/**
 * Where a run waits for a human: the checkpoint's record, its reminder and its events. What a
 * decision means for the stage and the run is decide.ts's.
 */
import { forget, type Json, type JsonObject, remind } from "../effects.ts";
import { clip, jsonSize } from "../json.ts";
import type { CheckpointStage } from "../workflow/schema.ts";
import type { Checkpoint, RunDecide } from "./schema.ts";
import type { RunStep } from "./step.ts";

/** Events stay small: longer instructions and schemas are left to the run's view. */
const eventCharsMax = 8_192;

const reminderOf = (checkpointId: string) => `checkpoint-${checkpointId}`;

export function openCheckpoint(step: RunStep, i: number, stage: CheckpointStage, instructions: Json): void {
  const expiresAt = stage.expires_in_ms === undefined ? null : step.now + stage.expires_in_ms;
  const checkpoint: Checkpoint = {
    checkpointId: stage.name,
    stage: stage.name,
    status: "required",
    createdAt: step.now,
    expiresAt,
    title: stage.title,
    instructions: typeof instructions === "string" ? instructions : null,
    requiredSchema: stage.schema ?? null,
    providedInput: null,
    decision: null,
  };
  step.c.checkpoints = [...step.c.checkpoints, checkpoint];
  step.c.waiting += 1;
  step.patchStage(i, { status: "waiting", startedAt: step.now });
  step.emit("stage_started", { stage: stage.name });
  step.emit("checkpoint_required", { stage: stage.name, checkpoint: eventCheckpoint(checkpoint) });
  if (expiresAt === null) return;
  const { checkpointId } = checkpoint;
  step.effect(remind(reminderOf(checkpointId), expiresAt, { type: "run.expire_checkpoint", checkpointId }));
}

function eventCheckpoint(checkpoint: Checkpoint): JsonObject {
  if (jsonSize(checkpoint as unknown as Json) <= eventCharsMax) return checkpoint as unknown as JsonObject;
  const instructions = checkpoint.instructions === null ? null : clip(checkpoint.instructions, 2_000);
  return { ...checkpoint, instructions, requiredSchema: null, providedInput: null } as unknown as JsonObject;
}

export type Decision = {
  readonly kind: RunDecide["decision"] | "expire";
  readonly note?: string;
  readonly input?: Json;
  readonly by?: string;
  readonly ref?: string;
};

export const decidedStatus = {
  approve: "approved",
  reject: "rejected",
  provide_input: "input_provided",
  expire: "resolved",
} as const;

/** Closes an open checkpoint and hands its outcome to the stage. */
export function closeCheckpoint(
  step: RunStep,
  at: number,
  checkpoint: Checkpoint,
  decision: Decision,
  approved: boolean,
): Checkpoint {
  const closed: Checkpoint = {
    ...checkpoint,
    status: decidedStatus[decision.kind],
    providedInput: decision.input ?? null,
    decision: {
      approved,
      note: decision.note ?? null,
      decidedAt: step.now,
      by: decision.by ?? null,
      ...(decision.ref === undefined ? {} : { ref: decision.ref }),
    },
  };
  step.c.checkpoints = step.c.checkpoints.with(at, closed);
  step.c.waiting -= 1;
  if (checkpoint.expiresAt !== null) step.effect(forget(reminderOf(checkpoint.checkpointId)));
  step.emit("checkpoint_resolved", { stage: checkpoint.stage, checkpoint: eventCheckpoint(closed) });
  return closed;
}

/** The run goes on without them. */
export function closeCheckpoints(step: RunStep): void {
  if (step.c.waiting === 0) return;
  step.c.checkpoints.forEach((checkpoint, at) => {
    if (checkpoint.status !== "required") return;
    const closed: Checkpoint = { ...checkpoint, status: "resolved" };
    step.c.checkpoints = step.c.checkpoints.with(at, closed);
    if (checkpoint.expiresAt !== null) step.effect(forget(reminderOf(checkpoint.checkpointId)));
    step.emit("checkpoint_resolved", { stage: checkpoint.stage, checkpoint: eventCheckpoint(closed) });
  });
  step.c.waiting = 0;
}
