/**
 * The end of a run, and the halt before stages are undone: what runs is cancelled, what waits is
 * closed. The undoing itself is undo.ts's.
 */
import { forget, type Json, send, settle } from "../effects.ts";
import { clip, inlineBytesMax, jsonSize } from "../json.ts";
import { emptyPaged, pagedGet } from "../paged.ts";
import type { Failure } from "../schema.ts";
import { closeCheckpoints } from "./checkpoint.ts";
import { outputStage, type RunContext } from "./schema.ts";
import { type RunStep, resolveWorkId } from "./step.ts";

export type RunEnd =
  | { readonly status: "succeeded"; readonly output: Json }
  | { readonly status: "failed" | "timed_out"; readonly error: Failure }
  | { readonly status: "canceled"; readonly reason: string | null };

/** Ends the run now; what still runs is cancelled in this step and those after it. */
export function endRun(step: RunStep, end: RunEnd): void {
  const { c } = step;
  if (c.phase === "finishing") step.effect(settle(resolveWorkId(outputStage, c.outputResolves)));
  leaveRunning(step);
  c.phase = "ended";
  c.status = end.status;
  c.timing = { ...c.timing, finishedAt: step.now };
  c.undoable = emptyPaged();
  if (end.status === "succeeded") {
    c.output = end.output;
    step.emit("completed", jsonSize(end.output) <= inlineBytesMax / 8 ? { output: end.output } : {});
  } else if (end.status === "canceled") {
    c.error = { code: "canceled", message: end.reason ?? "canceled", retryable: false };
    step.emit("canceled", { reason: end.reason });
  } else {
    c.error = end.error;
    step.emit("failed", { error: { code: end.error.code, message: clip(end.error.message, 1_024) } });
  }
  c.todo = end.status === "succeeded" ? [] : [{ kind: "sweep", stage: 0, item: 0 }];
  tellParent(step, end.status);
}

/** The session that it belongs to hears of the end, and of what came out. */
function tellParent(step: RunStep, status: RunEnd["status"]): void {
  const { parent, runId, output, error, cost } = step.c;
  if (parent === undefined) return;
  step.effect(send(parent, { type: "session.finish_run", run: runId, status, output, error, cost }));
}

/** Stops what runs, so that completed stages can be undone; the verdict stands from here on. */
export function halt(step: RunStep, verdict: NonNullable<RunContext["verdict"]>): void {
  leaveRunning(step);
  step.c.phase = "halting";
  step.c.verdict = verdict;
  step.c.todo = [{ kind: "sweep", stage: 0, item: 0 }];
}

function leaveRunning(step: RunStep): void {
  const { c } = step;
  if (c.phase === "running" || c.phase === "finishing") {
    if (c.definition.default_timeout_ms !== undefined) step.effect(forget("time_out"));
  }
  closeCheckpoints(step);
}

/**
 * Goes through the stages and cancels what runs; true when through. Tasks tell of their end by
 * `run.finish_task`; a run that has ended does not wait for that.
 */
export function sweep(
  step: RunStep,
  from: { stage: number; item: number },
): { stage: number; item: number } | undefined {
  for (let i = from.stage; i < step.c.stages.length; i++) {
    step.visit();
    if (step.full) return { stage: i, item: i === from.stage ? from.item : 0 };
    const { planned, state } = step.stage(i);
    if (state.status === "resolving") {
      step.effect(settle(resolveWorkId(planned.name, state.resolves ?? 1)));
      step.patchStage(i, { status: "cancelled", finishedAt: step.now });
    } else if (state.status === "waiting") {
      step.patchStage(i, { status: "cancelled", finishedAt: step.now });
    } else if (state.status === "running" || (state.fan !== undefined && state.fan.done < state.fan.next)) {
      const item = cancelTasks(step, i, i === from.stage ? from.item : 0);
      if (item !== undefined) return { stage: i, item };
      if (step.c.phase === "ended" && state.status === "running") {
        step.patchStage(i, { status: "cancelled", finishedAt: step.now });
      }
    }
  }
  return undefined;
}

/** Cancels the stage's tasks from an item on; the item to go on with, or undefined when through. */
function cancelTasks(step: RunStep, i: number, from: number): number | undefined {
  const { planned, state } = step.stage(i);
  const command = {
    type: "task.cancel",
    reason: `the run ${step.c.phase === "ended" ? `is ${step.c.status}` : "is being undone"}`,
  };
  if (state.fan === undefined) {
    step.sendTask(planned.name, undefined, command);
    return undefined;
  }
  for (let item = from; item < state.fan.next; item++) {
    if (step.full) return item;
    step.visit();
    if (pagedGet(state.fan.outputs, item) === null) step.sendTask(planned.name, item, command);
  }
  return undefined;
}
