/**
 * Starts a stage: asks for what its expressions give, then creates its task, its fan-out or its
 * checkpoint. Owns nothing after the start.
 */
import { type Command, execute, type Json, settle } from "../effects.ts";
import { isBlobRef, jsonSize, refAt } from "../json.ts";
import { emptyPaged, pagedExtend } from "../paged.ts";
import type { TaskStage } from "../workflow/schema.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { endStage, failStage } from "./end-stage.ts";
import { type Resolution, resolveInline } from "./resolve.ts";
import type { FanOut, RunResolve } from "./schema.ts";
import { type RunStep, resolveWorkId } from "./step.ts";

/** A stage whose turn it is. */
export function startStage(step: RunStep, i: number): void {
  const { planned } = step.stage(i);
  const resolution = resolveInline(step.c, planned.name);
  if (resolution === undefined) askResolve(step, i);
  else goOn(step, i, resolution);
}

/** Leaves the stage's expressions to the resolve executor. */
export function askResolve(step: RunStep, i: number): void {
  const { planned, state } = step.stage(i);
  const resolves = (state.resolves ?? 0) + 1;
  step.patchStage(i, { status: "resolving", resolves });
  step.effect(execute(resolveWorkId(planned.name, resolves), "resolve", { stage: planned.name }));
}

/** What the executor found; the stage is `resolving`. */
export function acceptResolve(step: RunStep, i: number, command: RunResolve): void {
  const { planned, state } = step.stage(i);
  step.effect(settle(resolveWorkId(planned.name, state.resolves ?? 1)));
  if (command.ok && command.itemsRef !== undefined && isBlobRef(command.itemsRef)) {
    startFanOut(step, i, { items: null, itemsRef: command.itemsRef, count: command.count ?? 0 });
  } else goOn(step, i, resolutionOf(command));
}

function resolutionOf(command: RunResolve): Resolution {
  if (!command.ok) {
    const { error } = command;
    return {
      ok: false,
      error: (typeof error === "string" ? error : error?.message) ?? "the stage could not be resolved",
    };
  }
  if (command.skip === true) return { ok: true, skip: true };
  if (command.items !== undefined) return { ok: true, items: command.items };
  return { ok: true, input: command.input ?? null };
}

function goOn(step: RunStep, i: number, resolution: Resolution): void {
  const { stage } = step.stage(i);
  if (!resolution.ok) {
    failStage(step, i, { code: "invalid_expression", message: resolution.error, retryable: false });
  } else if ("skip" in resolution) endStage(step, i, { status: "skipped" });
  else if ("items" in resolution) {
    startFanOut(step, i, { items: resolution.items, itemsRef: null, count: resolution.items.length });
  } else if ("input" in resolution) {
    if (stage.kind === "checkpoint") openCheckpoint(step, i, stage, resolution.input);
    else startTask(step, i, stage, resolution.input);
  }
}

function startTask(step: RunStep, i: number, stage: TaskStage, input: Json): void {
  step.patchStage(i, { status: "running", startedAt: step.now });
  step.emit("stage_started", { stage: stage.name });
  step.c.outstanding += 1;
  step.sendTask(stage.name, undefined, taskCreate(step, stage, input), jsonSize(input));
}

function startFanOut(step: RunStep, i: number, start: Pick<FanOut, "items" | "itemsRef" | "count">): void {
  const { planned } = step.stage(i);
  const fan: FanOut = { ...start, next: 0, done: 0, failed: 0, outputs: emptyPaged() };
  step.patchStage(i, { status: "running", startedAt: step.now, size: 2, fan });
  step.emit("stage_started", { stage: planned.name, count: start.count });
  if (start.count === 0) endStage(step, i, { status: "completed" });
  else step.later({ kind: "fan", stage: i });
}

/** Creates tasks of a fan-out as far as the step permits; true when all are created. */
export function createTasks(step: RunStep, i: number): boolean {
  const { stage, state } = step.stage(i);
  const { fan } = state;
  if (fan === undefined || stage.kind === "checkpoint" || state.status !== "running") return true;
  let { next } = fan;
  for (; next < fan.count && !step.full; next++) {
    const input = fan.itemsRef === null ? (fan.items?.[next] ?? null) : refAt(fan.itemsRef, `/${next}`);
    step.sendTask(stage.name, next, { ...taskCreate(step, stage, input), index: next });
    step.c.outstanding += 1;
  }
  const all = next >= fan.count;
  const outputs = pagedExtend(fan.outputs, next, null);
  step.patchStage(i, { fan: { ...fan, next, outputs, items: all ? null : fan.items } });
  return all;
}

function taskCreate(step: RunStep, stage: TaskStage, input: Json): Command {
  return {
    type: "task.create",
    taskType: stage.agent_type ?? "any",
    ...(stage.capabilities === undefined ? {} : { capabilities: stage.capabilities }),
    input,
    ...(stage.priority === undefined ? {} : { priority: stage.priority }),
    parent: step.meta.self,
    parentWorkflow: step.c.workflow.name,
    stage: stage.name,
    ...(stage.timeout_ms === undefined ? {} : { timeoutMs: stage.timeout_ms }),
    ...(stage.retry === undefined ? {} : { retry: stage.retry }),
    ...(stage.description === undefined ? {} : { description: stage.description }),
  };
}
