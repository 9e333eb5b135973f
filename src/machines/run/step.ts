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
/** Stages, dependents and items looked at per step. */
export const visitsMax = 1_000;
/** The runtime permits 2,048; the end of a run may add some hundreds. */
export const effectsMax = 1_000;
/** Size of inputs sent per step, as JSON text: a group of steps has to fit in one message. */
export const sendSizeMax = 262_144;

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
  #sendSize = 0;
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
    return (
      this.#sends >= sendsMax ||
      this.#visits >= visitsMax ||
      this.#effects.length >= effectsMax ||
      this.#sendSize >= sendSizeMax
    );
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

  /** `size`: of the command's large part, if it is worth counting. */
  sendTask(stage: string, index: number | undefined, command: Command, size = 0): void {
    this.#sends += 1;
    this.#sendSize += size;
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
