/**
 * What a decision, or its absence, means: the checkpoint closes, and its stage completes or
 * fails, or the run ends.
 */
import { type Effect, type Json, refuse, reply } from "../effects.ts";
import { sameJson } from "../json.ts";
import { closeCheckpoint, type Decision, decidedStatus } from "./checkpoint.ts";
import { endRun } from "./end-run.ts";
import { endStage, failStage } from "./end-stage.ts";
import type { Checkpoint, RunDecide } from "./schema.ts";
import { stageNamed } from "./scope.ts";
import type { RunStep } from "./step.ts";

function goOn(step: RunStep, closed: Checkpoint, rejection: { code: string; message: string }): void {
  const at = stageNamed(step.c, closed.stage);
  if (at === undefined || at.stage.kind !== "checkpoint") throw new Error(`no checkpoint ${closed.stage}`);
  const approved = closed.decision?.approved === true;
  if (!approved && (at.stage.on_reject ?? "fail") === "fail") {
    failStage(step, at.i, { ...rejection, retryable: false });
    return;
  }
  const note = closed.decision?.note ?? null;
  endStage(step, at.i, {
    status: "completed",
    output: { status: closed.status, approved, note, input: closed.providedInput },
  });
}

/** A human's decision. The same again is a success without change; another one is refused. */
export function decide(step: RunStep, command: RunDecide): void {
  const at = step.c.checkpoints.findIndex((c) => c.checkpointId === command.checkpointId);
  const checkpoint = step.c.checkpoints[at];
  if (checkpoint === undefined) {
    step.effect(refuse("not_found", `this run has no checkpoint ${command.checkpointId}`));
    return;
  }
  if (checkpoint.status !== "required") {
    step.effect(decideAgain(checkpoint, command));
    return;
  }
  const { decision: kind, note, input, by, ref } = command;
  const decision: Decision = {
    kind,
    ...(note === undefined ? {} : { note }),
    ...(kind === "provide_input" ? { input: input ?? null } : {}),
    ...(by === undefined ? {} : { by }),
    ...(ref === undefined ? {} : { ref }),
  };
  const closed = closeCheckpoint(step, at, checkpoint, decision, kind !== "reject");
  step.effect(reply(closed as unknown as Json));
  goOn(step, closed, { code: "rejected", message: note === undefined ? "rejected" : `rejected: ${note}` });
}

/** The answer to a decision on a closed checkpoint: the same again is a success without change. */
export function decideAgain(checkpoint: Checkpoint, command: RunDecide): Effect {
  const { checkpointId, status, decision, providedInput } = checkpoint;
  const same =
    status === decidedStatus[command.decision] &&
    decision?.note === (command.note ?? null) &&
    (command.decision !== "provide_input" || sameJson(providedInput, command.input ?? null));
  if (same) return reply(checkpoint as unknown as Json);
  return refuse("conflict", `the checkpoint ${checkpointId} is ${status} already`, { status });
}

/** Nobody decided in time: `on_expiry` does. */
export function expire(step: RunStep, checkpointId: string): void {
  const at = step.c.checkpoints.findIndex((c) => c.checkpointId === checkpointId);
  const checkpoint = step.c.checkpoints[at];
  if (checkpoint === undefined || checkpoint.status !== "required") return;
  const stage = stageNamed(step.c, checkpoint.stage);
  const onExpiry = (stage?.stage.kind === "checkpoint" ? stage.stage.on_expiry : undefined) ?? "fail";
  const decision: Decision = { kind: "expire", note: `expired: ${onExpiry}` };
  const closed = closeCheckpoint(step, at, checkpoint, decision, onExpiry === "approve");
  const expired = { code: "checkpoint_expired", message: `nobody decided on ${checkpointId} in time` };
  if (onExpiry === "cancel") endRun(step, { status: "canceled", reason: expired.message });
  else if (onExpiry === "fail" && stage !== undefined) failStage(step, stage.i, { ...expired, retryable: false });
  else goOn(step, closed, expired);
}
