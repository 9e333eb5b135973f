/**
 * Compensation: once nothing runs any more, completed stages are undone one after the other, the
 * last to complete first; then the run ends by its verdict.
 */
import { pagedGet } from "../paged.ts";
import { endRun } from "./end-run.ts";
import { startStage } from "./start.ts";
import type { RunStep } from "./step.ts";

/** Nothing runs any more: begin to undo. */
export function beginUndo(step: RunStep): void {
  step.c.phase = "undoing";
  step.c.undoAt = step.c.undoable.length;
  step.later({ kind: "undo" });
}

/** Undoes the next completed stage, the last first; or ends the run by its verdict. */
export function undoNext(step: RunStep): void {
  const { c } = step;
  c.undoAt -= 1;
  const completed = pagedGet(c.undoable, c.undoAt);
  const undo = completed === undefined ? null : step.stage(completed).planned.compensate;
  if (undo !== null) {
    startStage(step, undo);
    return;
  }
  if (c.verdict === null) throw new Error("a run is undone without a verdict");
  const { status, error } = c.verdict;
  const details = { ...(error.details as object | undefined), undo_failed: c.undoFailed };
  endRun(step, { status, error: c.undoFailed.length === 0 ? error : { ...error, details } });
}
