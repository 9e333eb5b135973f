/**
 * From a definition to its plan: names become indexes, dependents and what each stage's
 * expressions name are computed once. Trusts the definition; check.ts refuses bad ones.
 */
import type { Json } from "../effects.ts";
import { checkExpression } from "../expression.ts";
import { eachTemplateString, splitTemplate } from "../template.ts";
import type { Stage, WorkflowDefinition } from "./schema.ts";

/** What an expression or template names: variables of the scope, and stages. */
export interface Uses {
  readonly variables: readonly string[];
  /** Indexes behind `stages.`. */
  readonly stages: readonly number[];
}

export interface PlannedStage {
  readonly name: string;
  /** Whose outputs the default input takes. */
  readonly dependencies: readonly number[];
  /** Who waits for this stage: dependents, and with `parallel: false` the next in order. */
  readonly dependents: readonly number[];
  /** How many stages this one waits for. */
  readonly unmet: number;
  readonly uses: Uses;
  /** Nobody takes its output. */
  readonly terminal: boolean;
  /** Runs only as a compensation. */
  readonly undo: boolean;
  /** The stage that undoes this one. */
  readonly compensate: number | null;
}

export interface Plan {
  readonly stages: readonly PlannedStage[];
  readonly index: Readonly<Record<string, number>>;
  /** Stages that wait for nobody. */
  readonly roots: readonly number[];
  /** Stages whose output nobody takes. */
  readonly terminals: readonly number[];
  /** How many stages a run has to bring to an end (all but undo stages). */
  readonly open: number;
  readonly output: Uses;
}

/** Pure memo by definition hash: the same workflow is run many times. Bounded, the oldest leaves first. */
const plans = new Map<string, Plan>();
const plansMax = 256;

/** The plan of a definition whose hash is known. */
export function planOf(definition: WorkflowDefinition, hash: string): Plan {
  const known = plans.get(hash);
  if (known !== undefined) return known;
  const plan = compilePlan(definition);
  if (plans.size >= plansMax) {
    const oldest = plans.keys().next();
    if (!oldest.done) plans.delete(oldest.value);
  }
  plans.set(hash, plan);
  return plan;
}

export function compilePlan(definition: WorkflowDefinition): Plan {
  const { stages } = definition;
  const index = indexOf(stages);
  const dependencies = stages.map((stage) =>
    [...new Set(stage.dependencies ?? [])].map((name) => indexed(index, name)),
  );
  const waitsFor = dependencies.map((list) => new Set(list));
  if (definition.parallel === false) chain(stages, dependencies, waitsFor);
  const dependents: number[][] = stages.map(() => []);
  waitsFor.forEach((list, i) => {
    for (const dependency of list) dependents[dependency]?.push(i);
  });
  const undoes = undoOwners(stages, index);
  const taken = new Set(dependencies.flat());
  const planned = stages.map((stage, i): PlannedStage => {
    const undo = isUndo(stage);
    const inputs = undo ? [undoes.get(i) ?? []].flat() : (dependencies[i] ?? []);
    return {
      name: stage.name,
      dependencies: inputs,
      dependents: dependents[i] ?? [],
      unmet: waitsFor[i]?.size ?? 0,
      uses: stageUses(stage, inputs, index),
      terminal: !undo && !taken.has(i),
      undo,
      compensate: compensation(stage, index),
    };
  });
  const own = planned.flatMap((stage, i) => (stage.undo ? [] : [i]));
  const terminals = own.filter((i) => planned[i]?.terminal);
  return {
    stages: planned,
    index,
    roots: own.filter((i) => planned[i]?.unmet === 0),
    terminals,
    open: own.length,
    output:
      definition.output === undefined ? { variables: [], stages: terminals } : templateUses(definition.output, index),
  };
}

export function isUndo(stage: Stage): boolean {
  return stage.kind !== "checkpoint" && stage.undo === true;
}

function indexOf(stages: readonly Stage[]): Record<string, number> {
  return Object.fromEntries(stages.map((stage, i) => [stage.name, i]));
}

function indexed(index: Readonly<Record<string, number>>, name: string): number {
  const i = Object.hasOwn(index, name) ? index[name] : undefined;
  if (i === undefined) throw new Error(`unknown stage ${name}`);
  return i;
}

function compensation(stage: Stage, index: Readonly<Record<string, number>>): number | null {
  return stage.kind === "checkpoint" || stage.compensate === undefined ? null : indexed(index, stage.compensate);
}

/** Undo stage → the stage that it undoes. */
function undoOwners(stages: readonly Stage[], index: Readonly<Record<string, number>>): Map<number, number> {
  const owners = new Map<number, number>();
  stages.forEach((stage, i) => {
    const undo = compensation(stage, index);
    if (undo !== null) owners.set(undo, i);
  });
  return owners;
}

/** Each stage also waits for the one before it in a topological order that follows the definition. */
function chain(stages: readonly Stage[], dependencies: readonly number[][], waitsFor: readonly Set<number>[]): void {
  let previous: number | undefined;
  for (const i of topologicalOrder(dependencies).order) {
    const stage = stages[i];
    if (stage === undefined || isUndo(stage)) continue;
    if (previous !== undefined) waitsFor[i]?.add(previous);
    previous = i;
  }
}

/** Depth first, dependencies before dependents, else in the given order; or a cycle. Iterative: chains may be long. */
export function topologicalOrder(dependencies: readonly (readonly number[])[]): { order: number[]; cycle?: number[] } {
  const order: number[] = [];
  const state = new Uint8Array(dependencies.length); // 0 new, 1 on the path, 2 done
  for (let root = 0; root < dependencies.length; root++) {
    if (state[root] !== 0) continue;
    const path: { at: number; next: number }[] = [{ at: root, next: 0 }];
    state[root] = 1;
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const dependency = dependencies[top.at]?.[top.next];
      top.next += 1;
      if (dependency === undefined) {
        state[top.at] = 2;
        order.push(top.at);
        path.pop();
      } else if (state[dependency] === 1) {
        const from = path.findIndex((p) => p.at === dependency);
        return { order, cycle: path.slice(from).map((p) => p.at) };
      } else if (state[dependency] === 0) {
        state[dependency] = 1;
        path.push({ at: dependency, next: 0 });
      }
    }
  }
  return { order };
}

function stageUses(stage: Stage, inputs: readonly number[], index: Readonly<Record<string, number>>): Uses {
  const sources: Json[] = [];
  if (stage.when !== undefined) sources.push(`\${${stage.when}}`);
  if (stage.kind === "checkpoint") {
    if (stage.instructions !== undefined) sources.push(stage.instructions);
    return templateUses(sources, index);
  }
  if (stage.for_each !== undefined) sources.push(`\${${stage.for_each}}`);
  if (stage.input !== undefined) sources.push(stage.input);
  const uses = templateUses(sources, index);
  if (stage.input !== undefined || stage.for_each !== undefined) return uses;
  return inputs.length === 0
    ? { ...uses, variables: [...new Set([...uses.variables, "input"])] }
    : { ...uses, stages: [...new Set([...uses.stages, ...inputs])] };
}

function templateUses(template: Json, index: Readonly<Record<string, number>>): Uses {
  const variables = new Set<string>();
  const stages = new Set<number>();
  eachTemplateString(template, (source) => {
    const segments = splitTemplate(source);
    if ("error" in segments) return;
    for (const segment of segments) {
      if (!("expression" in segment)) continue;
      const checked = checkExpression(segment.expression);
      if (!checked.ok) continue;
      for (const name of checked.variables) if (name !== "stages") variables.add(name);
      for (const name of checked.stages) stages.add(indexed(index, name));
    }
  });
  return { variables: [...variables], stages: [...stages] };
}
