/**
 * One step of a run in the making: a copy of the context's top level that may be changed, the
 * effects so far, and how much the step may still do. Changes below the top level are immutable,
 * so what did not change keeps its identity. Owns no rule of planning.
 */
import { type Command, type Effect, emit, type JsonObject, type StepMeta, send } from "../effects.ts";
import { pagedSet } from "../paged.ts";
import type { Planned } from "../planned.ts";
import { type RunContext, type StageState, type Todo, taskAddress } from "./schema.ts";
import { type StageAt, stageAt } from "./scope.ts";

/** Sends per step: the runtime permits 256; some are left for a task's own. */
export const sendsMax = 200;
/** Stages and dependents looked at per step. */
export const visitsMax = 2_000;

/** Names the work of a resolve executor: `resolve-<stage>-<n>`. */
export function resolveWorkId(stage: string, n: number): string {
  return `resolve-${stage}-${n}`;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class RunStep {
  /** Top level may be assigned; everything below is replaced, never changed. */
  readonly c: Mutable<RunContext>;
  readonly meta: StepMeta;
  readonly #effects: Effect[] = [];
  #sends = 0;
  #visits = 0;

  constructor(context: RunContext, meta: StepMeta) {
    this.c = { ...context };
    this.meta = meta;
  }

  get now(): number {
    return this.meta.now;
  }

  /** True when the step has done its share. */
  get full(): boolean {
    return this.#sends >= sendsMax || this.#visits >= visitsMax;
  }

  visit(): void {
    this.#visits += 1;
  }

  stage(i: number): StageAt {
    return stageAt(this.c, i);
  }

  setStage(i: number, state: StageState): void {
    this.c.stages = pagedSet(this.c.stages, i, state);
  }

  patchStage(i: number, patch: Partial<StageState>): void {
    this.setStage(i, { ...this.stage(i).state, ...patch });
  }

  effect(...effects: readonly Effect[]): void {
    this.#effects.push(...effects);
  }

  emit(name: string, data: JsonObject = {}): void {
    this.#effects.push(emit(name, data));
  }

  sendTask(stage: string, index: number | undefined, command: Command): void {
    this.#sends += 1;
    this.#effects.push(send(taskAddress(this.c.runId, stage, index), command));
  }

  /** For later in this step or in one of the next. */
  later(todo: Todo): void {
    this.c.todo = [...this.c.todo, todo];
  }

  end(): Planned<RunContext> {
    return { context: this.c, effects: this.#effects };
  }
}
