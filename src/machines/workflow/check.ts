/**
 * Reads a workflow definition: the schema, and what no schema can say (names, cycles,
 * expressions, compensation). Every refusal has its place, such as `stages[2].when`.
 */
import type { Json } from "../effects.ts";
import { checkExpression } from "../expression.ts";
import { type Issue, issuesOf } from "../schema.ts";
import { eachTemplateString, splitTemplate } from "../template.ts";
import { compilePlan, isUndo, type Plan, topologicalOrder } from "./compile.ts";
import { checkpointsMax, dependenciesMax, type Stage, type WorkflowDefinition, workflowSchema } from "./schema.ts";

export type ParsedWorkflow =
  | { readonly ok: true; readonly definition: WorkflowDefinition; readonly plan: Plan }
  | { readonly ok: false; readonly issues: readonly Issue[] };

const issuesMax = 100;

/** The definition with its plan, or all that is wrong with it (at most 100 issues). */
export function parseWorkflow(json: unknown): ParsedWorkflow {
  const parsed = workflowSchema.safeParse(json);
  if (!parsed.success) return { ok: false, issues: issuesOf(parsed.error).slice(0, issuesMax) };
  const definition = parsed.data;
  const issues = new Checker(definition).issues();
  if (issues.length > 0) return { ok: false, issues: issues.slice(0, issuesMax) };
  return { ok: true, definition, plan: compilePlan(definition) };
}

/** Issues as one sentence. */
export function describeIssues(issues: readonly Issue[]): string {
  const shown = issues
    .slice(0, 5)
    .map((issue) => (issue.place === "" ? issue.message : `${issue.place}: ${issue.message}`));
  return issues.length > 5 ? `${shown.join("; ")}; and ${issues.length - 5} more` : shown.join("; ");
}

/** What an expression at this place may name. */
interface Names {
  /** `item` and `index` exist. */
  readonly items: boolean;
  /** True when the stage may be named here. */
  permits(stage: number): boolean;
}

class Checker {
  readonly #definition: WorkflowDefinition;
  readonly #stages: readonly Stage[];
  readonly #index = new Map<string, number>();
  readonly #found: Issue[] = [];
  #dependencies: number[][] = [];
  readonly #ownerOf = new Map<number, number>();

  constructor(definition: WorkflowDefinition) {
    this.#definition = definition;
    this.#stages = definition.stages;
  }

  issues(): readonly Issue[] {
    this.#names();
    if (this.#found.length > 0) return this.#found;
    this.#edges();
    if (this.#found.length > 0) return this.#found;
    this.#stages.forEach((stage, i) => {
      this.#stage(stage, i);
    });
    if (this.#definition.output !== undefined) {
      const own = { items: false, permits: (i: number) => !isUndo(this.#stages[i] as Stage) };
      this.#template(this.#definition.output, "output", own);
    }
    return this.#found;
  }

  #add(place: string, message: string): void {
    this.#found.push({ place, message });
  }

  #names(): void {
    let checkpoints = 0;
    this.#stages.forEach((stage, i) => {
      if (this.#index.has(stage.name))
        this.#add(`stages[${i}].name`, `the name ${stage.name} is taken by stages[${this.#index.get(stage.name)}]`);
      else this.#index.set(stage.name, i);
      if (stage.kind === "checkpoint") checkpoints += 1;
      else if (stage.agent_type === undefined && stage.capabilities === undefined) {
        this.#add(`stages[${i}]`, "needs agent_type or capabilities");
      }
    });
    if (checkpoints > checkpointsMax)
      this.#add("stages", `holds ${checkpoints} checkpoints; at most ${checkpointsMax} are permitted`);
    if (this.#stages.every(isUndo)) this.#add("stages", "needs a stage that is not an undo stage");
  }

  #edges(): void {
    this.#dependencies = this.#stages.map((stage, i) =>
      (stage.dependencies ?? []).flatMap((name, k) => {
        const at = this.#index.get(name);
        const dependency = at === undefined ? undefined : this.#stages[at];
        const place = `stages[${i}].dependencies[${k}]`;
        if (at === undefined || dependency === undefined) this.#add(place, `there is no stage ${name}`);
        else if (isUndo(dependency)) this.#add(place, `${name} is an undo stage, which runs only as a compensation`);
        else return [at];
        return [];
      }),
    );
    this.#stages.forEach((stage, i) => {
      this.#compensation(stage, i);
    });
    const edges = this.#dependencies.reduce((sum, list) => sum + list.length, 0);
    if (edges > dependenciesMax) {
      this.#add("stages", `hold ${edges} dependencies; at most ${dependenciesMax} are permitted`);
      return;
    }
    const { cycle } = topologicalOrder(this.#dependencies);
    if (cycle !== undefined) {
      const names = [...cycle, cycle[0] ?? 0].map((i) => this.#stages[i]?.name).join(" → ");
      this.#add(`stages[${cycle[0]}].dependencies`, `the dependencies form a cycle: ${names}`);
    }
  }

  #compensation(stage: Stage, i: number): void {
    if (isUndo(stage)) {
      if ((stage.dependencies ?? []).length > 0) this.#add(`stages[${i}].dependencies`, "an undo stage has none");
      if (stage.kind !== "checkpoint" && stage.compensate !== undefined)
        this.#add(`stages[${i}].compensate`, "an undo stage has none");
      return;
    }
    if (stage.kind === "checkpoint" || stage.compensate === undefined) return;
    const place = `stages[${i}].compensate`;
    const at = this.#index.get(stage.compensate);
    const undo = at === undefined ? undefined : this.#stages[at];
    if (at === undefined || undo === undefined) this.#add(place, `there is no stage ${stage.compensate}`);
    else if (!isUndo(undo)) this.#add(place, `${stage.compensate} is not marked with undo: true`);
    else if (this.#ownerOf.has(at)) this.#add(place, `${stage.compensate} already undoes another stage`);
    else this.#ownerOf.set(at, i);
  }

  #stage(stage: Stage, i: number): void {
    const place = `stages[${i}]`;
    const permits = this.#ancestry(i);
    if (isUndo(stage) && !this.#ownerOf.has(i)) this.#add(place, "no stage names this undo stage in its compensate");
    const plain: Names = { items: false, permits };
    if (stage.when !== undefined) this.#expression(stage.when, `${place}.when`, plain, "bool");
    if (stage.kind === "checkpoint") {
      if (stage.instructions !== undefined) this.#template(stage.instructions, `${place}.instructions`, plain);
      if (stage.on_expiry !== undefined && stage.expires_in_ms === undefined) {
        this.#add(`${place}.on_expiry`, "needs expires_in_ms");
      }
      return;
    }
    if (stage.for_each !== undefined) this.#expression(stage.for_each, `${place}.for_each`, plain, "list");
    if (stage.input !== undefined)
      this.#template(stage.input, `${place}.input`, { items: stage.for_each !== undefined, permits });
  }

  /** A stage may name those it waits for, directly or through others; an undo stage also the one it undoes. */
  #ancestry(stage: number): (other: number) => boolean {
    const owner = this.#ownerOf.get(stage);
    const direct = owner === undefined ? (this.#dependencies[stage] ?? []) : [owner];
    let all: Set<number> | undefined;
    return (other) => {
      if (direct.includes(other)) return true;
      all ??= this.#reach(direct);
      return all.has(other);
    };
  }

  #reach(from: readonly number[]): Set<number> {
    const seen = new Set(from);
    for (const i of seen) for (const dependency of this.#dependencies[i] ?? []) seen.add(dependency);
    return seen;
  }

  #template(template: Json, place: string, names: Names): void {
    eachTemplateString(template, (source, within) => {
      const segments = splitTemplate(source);
      if ("error" in segments) this.#add(place + within, segments.error);
      else {
        for (const segment of segments) {
          if ("expression" in segment) this.#expression(segment.expression, place + within, names);
        }
      }
    });
  }

  #expression(expression: string, place: string, names: Names, wanted?: "bool" | "list"): void {
    const checked = checkExpression(expression);
    if (!checked.ok) {
      this.#add(place, checked.error);
      return;
    }
    if (wanted !== undefined && checked.type !== "dyn" && !checked.type.startsWith(wanted)) {
      this.#add(place, `gives ${checked.type}, not ${wanted}`);
    }
    for (const name of checked.variables) {
      if ((name === "item" || name === "index") && !names.items)
        this.#add(place, `${name} exists only in the input of a stage with for_each`);
    }
    for (const name of checked.stages) {
      const at = this.#index.get(name);
      if (at === undefined) this.#add(place, `there is no stage ${name}`);
      else if (!names.permits(at)) this.#add(place, `stage ${name} is not among the stages that this one waits for`);
    }
  }
}
