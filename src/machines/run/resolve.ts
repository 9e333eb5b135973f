/**
 * What a stage's expressions give: skip it, its input, its tasks' inputs, a checkpoint's
 * instructions, or the run's output. The same functions serve the machine and the resolve
 * executor, which has loaded what is kept outside.
 */
import type { Json, JsonObject } from "../effects.ts";
import { type Evaluation, evaluate } from "../expression.ts";
import { clip, inlineBytesMax, isBlobRef, isLarger } from "../json.ts";
import { renderTemplate } from "../template.ts";
import type { CheckpointStage, TaskStage } from "../workflow/schema.ts";
import { fanOutMax, outputStage, type RunContext } from "./schema.ts";
import { scopeOf, scopeSize, stageAt, stageNamed, usesOf } from "./scope.ts";

export type Resolution =
  | { readonly ok: true; readonly skip: true }
  | { readonly ok: true; readonly input: Json }
  | { readonly ok: true; readonly items: readonly Json[] }
  | { readonly ok: true; readonly output: Json }
  /** One line; begins with the field it is about, such as `when: …`. */
  | { readonly ok: false; readonly error: string };

type Attempt = Resolution | { readonly needsValues: true };

/** What one stage's expressions may give, as JSON text. */
export const resolvedSizeMax = 268_435_456;

/** Longer instructions are cut: they are shown to people. */
export const instructionsCharsMax = 32_768;

/**
 * For the resolve executor. `scope`: what `scopeOf(context, stageName)` gave, with all
 * references loaded; without it the context itself has to hold the loaded values.
 * `stageName` `$output` is the run's output. Never throws for a stage that exists.
 */
export function resolveStage(
  context: RunContext,
  stageName: string,
  scope: JsonObject = scopeOf(context, stageName),
): Resolution {
  const resolution = attempt(context, stageName, scope);
  if ("needsValues" in resolution) {
    return { ok: false, error: "an expression looks into a value that could not be loaded" };
  }
  if (!isLarger(resultOf(resolution), resolvedSizeMax)) return resolution;
  return { ok: false, error: `the result is larger than ${resolvedSizeMax} characters` };
}

/** For the machine: undefined when it has to be left to the executor (large, or looks into what is kept outside). */
export function resolveInline(context: RunContext, stageName: string): Resolution | undefined {
  if (scopeSize(context, usesOf(context, stageName)) > inlineBytesMax) return undefined;
  const resolution = attempt(context, stageName, scopeOf(context, stageName));
  if ("needsValues" in resolution) return undefined;
  return isLarger(resultOf(resolution), inlineBytesMax) ? undefined : resolution;
}

function resultOf(resolution: Resolution): Json | undefined {
  if (!resolution.ok || "skip" in resolution) return undefined;
  if ("input" in resolution) return resolution.input;
  return "items" in resolution ? resolution.items : resolution.output;
}

function attempt(context: RunContext, stageName: string, scope: JsonObject): Attempt {
  if (stageName === outputStage) return resolveOutput(context, scope);
  const at = stageNamed(context, stageName);
  if (at === undefined) return { ok: false, error: `there is no stage ${stageName}` };
  const { stage, planned } = at;
  if (stage.when !== undefined) {
    const when = evaluate(stage.when, scope);
    if (!("value" in when)) return failed("when", when);
    if (when.value === false) return { ok: true, skip: true };
    if (when.value !== true) return { ok: false, error: `when: gives ${kindOf(when.value)}, not a bool` };
  }
  if (stage.kind === "checkpoint") return resolveInstructions(stage, scope);
  const template = stage.input ?? null;
  const inputs = planned.dependencies.map((i) => stageAt(context, i).planned.name);
  if (stage.for_each !== undefined) return resolveItems(stage, stage.for_each, scope);
  if (stage.input === undefined) return { ok: true, input: defaultInput(inputs, scope) };
  const input = renderTemplate(template, scope);
  return "value" in input ? { ok: true, input: input.value } : failed("input", input);
}

/** No dependency: the run's input. One: its output. Several: an object by name. */
function defaultInput(dependencies: readonly string[], scope: JsonObject): Json {
  const [only] = dependencies;
  if (only === undefined) return scope.input ?? null;
  if (dependencies.length === 1) return stageOutput(scope, only);
  return Object.fromEntries(dependencies.map((name) => [name, stageOutput(scope, name)]));
}

function stageOutput(scope: JsonObject, name: string): Json {
  const stages = scope.stages as Readonly<Record<string, { readonly output?: Json }>>;
  return stages[name]?.output ?? null;
}

function resolveItems(stage: TaskStage, forEach: string, scope: JsonObject): Attempt {
  const list = evaluate(forEach, scope);
  if (!("value" in list)) return failed("for_each", list);
  if (isBlobRef(list.value)) return { needsValues: true };
  if (!Array.isArray(list.value)) return { ok: false, error: `for_each: gives ${kindOf(list.value)}, not a list` };
  const items: readonly Json[] = list.value;
  if (items.length > fanOutMax) {
    return { ok: false, error: `for_each: gives ${items.length} items; at most ${fanOutMax} are permitted` };
  }
  if (stage.input === undefined) return { ok: true, items };
  const inputs: Json[] = [];
  for (const [index, item] of items.entries()) {
    const input = renderTemplate(stage.input, { ...scope, item, index });
    if (!("value" in input)) return failed(`input of item ${index}`, input);
    inputs.push(input.value);
  }
  return { ok: true, items: inputs };
}

function resolveInstructions(stage: CheckpointStage, scope: JsonObject): Attempt {
  if (stage.instructions === undefined) return { ok: true, input: null };
  const text = renderTemplate(stage.instructions, scope);
  if (!("value" in text)) return failed("instructions", text);
  if (isBlobRef(text.value)) return { needsValues: true };
  const instructions = typeof text.value === "string" ? text.value : JSON.stringify(text.value);
  return { ok: true, input: clip(instructions, instructionsCharsMax) };
}

function resolveOutput(context: RunContext, scope: JsonObject): Attempt {
  if (context.definition.output !== undefined) {
    const output = renderTemplate(context.definition.output, scope);
    return "value" in output ? { ok: true, output: output.value } : failed("output", output);
  }
  const terminals = context.plan.terminals.map((i) => stageAt(context, i).planned.name);
  return { ok: true, output: defaultInput(terminals, scope) };
}

function failed(field: string, evaluation: Exclude<Evaluation, { value: Json }>): Attempt {
  return "needsValues" in evaluation ? evaluation : { ok: false, error: `${field}: ${evaluation.error}` };
}

function kindOf(value: Json): string {
  if (value === null) return "null";
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "a map" : `a ${typeof value}`;
}
