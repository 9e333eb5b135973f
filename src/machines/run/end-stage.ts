/**
 * The end of a stage: what it leaves, whom it releases, and what a failure means by the failure
 * strategy. Owns the rules of `stop_on_error`, `continue` and `compensate`.
 */
import type { Json } from "../effects.ts";
import { clip, jsonSize } from "../json.ts";
import { pagedPush } from "../paged.ts";
import type { Failure } from "../schema.ts";
import type { FailureStrategy } from "../workflow/schema.ts";
import { endRun, halt } from "./end-run.ts";
import type { RunStep } from "./step.ts";

export interface StageEnd {
  readonly status: "completed" | "skipped" | "failed" | "cancelled";
  /** Of a single task or checkpoint. */
  readonly output?: Json;
  readonly error?: Failure;
}

/** The stage is over; dependents hear of it whatever the status is. */
export function endStage(step: RunStep, i: number, end: StageEnd): void {
  const { planned } = step.stage(i);
  step.patchStage(i, {
    ...end,
    ...(end.output === undefined ? {} : { size: jsonSize(end.output) }),
    finishedAt: step.now,
  });
  tellEnd(step, planned.name, end);
  if (planned.undo) {
    if (end.status === "failed" && step.c.undoFailed.length < 100)
      step.c.undoFailed = [...step.c.undoFailed, planned.name];
    if (step.c.phase === "undoing") step.later({ kind: "undo" });
    return;
  }
  step.c.open -= 1;
  if (end.status === "failed" && planned.terminal) step.c.terminalsFailed += 1;
  if (end.status === "completed" && planned.compensate !== null) step.c.undoable = pagedPush(step.c.undoable, i);
  if (step.c.phase === "running" && planned.dependents.length > 0) step.later({ kind: "release", stage: i, next: 0 });
}

function tellEnd(step: RunStep, stage: string, end: StageEnd): void {
  const error =
    end.error === undefined ? {} : { error: { code: end.error.code, message: clip(end.error.message, 1_024) } };
  if (end.status !== "cancelled") step.emit(`stage_${end.status}`, { stage, ...error });
}

export function strategyOf(step: RunStep, i: number): FailureStrategy {
  const { stage } = step.stage(i);
  return stage.failure_strategy ?? step.c.definition.failure_strategy ?? "stop_on_error";
}

/**
 * The stage has failed. `continue`: the run goes on, dependents see `failed` and a null output.
 * `compensate`: what runs is cancelled, what has completed is undone, then the run fails.
 * `stop_on_error`: the run fails at once. An undo stage that fails stops nothing: the others
 * still run, and the run's error names it.
 */
export function failStage(step: RunStep, i: number, error: Failure): void {
  const { planned } = step.stage(i);
  endStage(step, i, { status: "failed", error });
  if (planned.undo || step.c.phase !== "running") return;
  const strategy = strategyOf(step, i);
  if (strategy === "continue") return;
  const verdict: Failure = {
    code: error.code,
    message: `stage ${planned.name}: ${error.message}`,
    retryable: false,
    details: { stage: planned.name, ...(error.details === undefined ? {} : { cause: error.details }) },
  };
  if (strategy === "compensate") halt(step, { status: "failed", error: verdict });
  else endRun(step, { status: "failed", error: verdict });
}
