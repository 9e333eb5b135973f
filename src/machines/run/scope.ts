/**
 * The scope of a stage's expressions, cut from a run's context: only what they name. Owns no
 * evaluation.
 */
import type { Json, JsonObject } from "../effects.ts";
import { pagedGet, pagedItems } from "../paged.ts";
import type { PlannedStage, Uses } from "../workflow/compile.ts";
import type { Stage } from "../workflow/schema.ts";
import { outputStage, type RunContext, type StageState } from "./schema.ts";

export interface StageAt {
  readonly i: number;
  readonly stage: Stage;
  readonly planned: PlannedStage;
  readonly state: StageState;
}

/** The stage of that name, or undefined. */
export function stageNamed(context: RunContext, name: string): StageAt | undefined {
  const i = Object.hasOwn(context.plan.index, name) ? context.plan.index[name] : undefined;
  return i === undefined ? undefined : stageAt(context, i);
}

export function stageAt(context: RunContext, i: number): StageAt {
  const stage = context.definition.stages[i];
  const planned = context.plan.stages[i];
  const state = pagedGet(context.stages, i);
  if (stage === undefined || planned === undefined || state === undefined) throw new Error(`no stage ${i}`);
  return { i, stage, planned, state };
}

/** A stage's output as dependents see it: of a fan-out the list in order, null where a task failed. */
export function outputOf(state: StageState): Json {
  if (state.fan !== undefined) return pagedItems(state.fan.outputs).map((item) => item?.output ?? null);
  return state.output ?? null;
}

/** `$output` or a stage's name: what its expressions may name and do name. */
export function scopeOf(context: RunContext, stageName: string): JsonObject {
  return cutScope(context, usesOf(context, stageName));
}

export function usesOf(context: RunContext, stageName: string): Uses {
  if (stageName === outputStage) return context.plan.output;
  const at = stageNamed(context, stageName);
  if (at === undefined) throw new Error(`no stage ${stageName}`);
  return at.planned.uses;
}

function cutScope(context: RunContext, uses: Uses): JsonObject {
  const scope: Record<string, Json> = {};
  if (uses.variables.includes("input")) scope.input = context.input;
  if (uses.variables.includes("context")) scope.context = context.runContext;
  if (uses.variables.includes("run")) {
    const { name, version } = context.workflow;
    const { runId: id, labels, metadata } = context;
    scope.run = { id, labels, metadata, workflow: { name, version } };
  }
  const stages = uses.stages.map((i): [string, Json] => {
    const { planned, state } = stageAt(context, i);
    return [planned.name, { status: state.status, output: outputOf(state) }];
  });
  scope.stages = Object.fromEntries(stages);
  return scope;
}

/** About how large that scope is, as JSON text, without building it. */
export function scopeSize(context: RunContext, uses: Uses): number {
  let size = 0;
  if (uses.variables.includes("input")) size += context.sizes.input;
  if (uses.variables.includes("context")) size += context.sizes.context;
  if (uses.variables.includes("run")) size += context.sizes.run;
  for (const i of uses.stages) {
    const state = pagedGet(context.stages, i);
    size += (state?.size ?? 4) + 5 * (state?.fan?.count ?? 0);
  }
  return size;
}
