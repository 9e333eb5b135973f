/**
 * The planning of a run: what each command does to it. A step does a bounded share; what is over
 * waits in `todo` for a `run.continue`. Owns the order of planning, not the rules of starts and
 * ends (start.ts, end-stage.ts, end-run.ts).
 */
import { execute, refuse, remind, reply, send, settle } from "../effects.ts";
import { jsonSize } from "../json.ts";
import { emptyPaged, pagedGet, pagedOf, pagedPush, pagedSet } from "../paged.ts";
import type { Planned, WithMeta } from "../planned.ts";
import { addCost, type Failure, noCost } from "../schema.ts";
import { planOf } from "../workflow/compile.ts";
import { decide, expire } from "./decide.ts";
import { endRun, halt, sweep } from "./end-run.ts";
import { endStage, failStage, strategyOf } from "./end-stage.ts";
import { resolveInline } from "./resolve.ts";
import {
  outputStage,
  type RequestHash,
  type RunCommand,
  type RunContext,
  type RunCreate,
  type RunFinishTask,
  type RunResolve,
  resolvesMax,
  type Todo,
} from "./schema.ts";
import { stageNamed } from "./scope.ts";
import { acceptResolve, askResolve, createTasks, startStage } from "./start.ts";
import { RunStep, resolveWorkId } from "./step.ts";
import { beginUndo, undoNext } from "./undo.ts";

type Of<T extends RunCommand["type"]> = WithMeta<Extract<RunCommand, { type: T }>>;

export function createRun(_: RunContext, command: Of<"run.create">): Planned<RunContext> {
  const step = new RunStep(newRun(command, command.meta), command.meta);
  const { default_timeout_ms: timeoutMs } = step.c.definition;
  step.effect(reply({ created: true }));
  step.emit("started", { workflow: step.c.workflow, traceId: step.c.traceId });
  if (timeoutMs !== undefined) step.effect(remind("time_out", step.now + timeoutMs, { type: "run.time_out" }));
  step.later({ kind: "roots", next: 0 });
  return close(step);
}

function newRun(command: RunCreate, meta: { self: { key: string }; now: number }): RunContext {
  const { definition, ...workflow } = command.workflow;
  const plan = planOf(definition, workflow.hash);
  const runContext = command.context ?? null;
  const metadata = command.metadata ?? {};
  const labels = command.labels ?? {};
  return {
    runId: meta.self.key,
    workflow,
    definition,
    plan,
    status: "running",
    phase: "running",
    input: command.input,
    runContext,
    metadata,
    labels,
    traceId: command.traceId,
    createdBy: command.createdBy,
    requestHash: command.requestHash,
    sizes: {
      input: jsonSize(command.input),
      context: jsonSize(runContext),
      run: jsonSize(metadata) + jsonSize(labels) + 200,
    },
    timing: { createdAt: meta.now, startedAt: meta.now, finishedAt: null },
    stages: pagedOf(plan.stages.map(({ unmet }) => ({ status: "pending", unmet }))),
    open: plan.open,
    terminalsFailed: 0,
    outstanding: 0,
    waiting: 0,
    todo: [],
    continuing: false,
    undoable: emptyPaged(),
    undoAt: -1,
    undoFailed: [],
    verdict: null,
    outputResolves: 0,
    checkpoints: [],
    artifacts: emptyPaged(),
    output: null,
    error: null,
    cost: noCost,
    ...(command.parent === undefined ? {} : { parent: command.parent }),
  };
}

/** Names of the request's parts that differ from those of the run. */
export function differences(have: RequestHash, asked: RequestHash): string[] {
  return (Object.keys(have) as (keyof RequestHash)[]).filter((field) => have[field] !== asked[field]);
}

export function finishTask(context: RunContext, command: Of<"run.finish_task">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  const at = stageNamed(context, command.stage);
  if (at === undefined) return refused(context, `there is no stage ${command.stage}`);
  const { fan } = at.state;
  const known = fan === undefined ? at.state.status !== "running" : pagedGet(fan.outputs, command.index ?? -1) !== null;
  if (known) return refused(context, `the task ${command.task} has no place in this run, or has been reported before`);
  step.c.outstanding -= 1;
  step.c.cost = addCost(context.cost, command.cost);
  for (const artifact of command.artifacts) {
    step.c.artifacts = pagedPush(step.c.artifacts, artifact);
    const { artifactId, type, name } = artifact;
    step.emit("artifact_created", { artifactId, type, name, stage: command.stage });
  }
  if (fan === undefined) finishSingle(step, at.i, command);
  else finishItem(step, at.i, command);
  return close(step);
}

function finishSingle(step: RunStep, i: number, command: RunFinishTask): void {
  if (command.status === "completed") endStage(step, i, { status: "completed", output: command.output ?? null });
  else if (step.c.phase === "halting" && command.status === "cancelled") endStage(step, i, { status: "cancelled" });
  else failStage(step, i, failureOf(command));
}

function failureOf(command: RunFinishTask): Failure {
  return command.error ?? { code: command.status, message: `the task ended as ${command.status}` };
}

function finishItem(step: RunStep, i: number, command: RunFinishTask): void {
  const { state, planned } = step.stage(i);
  if (state.fan === undefined) return;
  const completed = command.status === "completed";
  const output = completed ? (command.output ?? null) : null;
  const fan = {
    ...state.fan,
    done: state.fan.done + 1,
    failed: state.fan.failed + (completed ? 0 : 1),
    outputs: pagedSet(state.fan.outputs, command.index ?? -1, { status: command.status, output }),
  };
  const error = completed || state.error !== undefined ? {} : { error: failureOf(command) };
  step.patchStage(i, { fan, size: (state.size ?? 2) + jsonSize(output), ...error });
  if (state.status !== "running") return;
  const all = fan.done === (step.c.phase === "halting" ? fan.next : fan.count);
  if (step.c.phase === "halting") {
    if (all) endStage(step, i, { status: fan.failed === 0 && fan.done === fan.count ? "completed" : "cancelled" });
  } else if (!completed && !planned.undo && strategyOf(step, i) !== "continue") failStage(step, i, failureOf(command));
  else if (all && fan.failed === fan.count) failStage(step, i, failureOf(command));
  else if (all) endStage(step, i, { status: "completed" });
}

export function resolve(context: RunContext, command: Of<"run.resolve">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  if (command.stage === outputStage && context.phase === "finishing") acceptOutput(step, command);
  else {
    const at = stageNamed(context, command.stage);
    if (at?.state.status !== "resolving") return refused(context, `the stage ${command.stage} does not wait for this`);
    acceptResolve(step, at.i, command);
  }
  return close(step);
}

function acceptOutput(step: RunStep, command: RunResolve): void {
  const { error } = command;
  if (command.ok) endRun(step, { status: "succeeded", output: command.output ?? null });
  else if (typeof error === "object") endRun(step, { status: "failed", error: { ...error, retryable: false } });
  else endRun(step, badOutput(error ?? "output: could not be resolved"));
}

function badOutput(message: string) {
  return { status: "failed", error: { code: "invalid_expression", message, retryable: false } } as const;
}

export function decideCheckpoint(context: RunContext, command: Of<"run.decide">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  decide(step, command);
  return close(step);
}

export function expireCheckpoint(context: RunContext, command: Of<"run.expire_checkpoint">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  expire(step, command.checkpointId);
  return close(step);
}

export function cancelRun(context: RunContext, command: Of<"run.cancel">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  step.effect(reply(null));
  endRun(step, { status: "canceled", reason: command.reason ?? null });
  return close(step);
}

/** The whole run took too long. Under the strategy `compensate`, completed stages are undone first. */
export function timeOutRun(context: RunContext, command: Of<"run.time_out">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  const { default_timeout_ms: ms, failure_strategy: strategy } = context.definition;
  const error = { code: "timed_out", message: `not done within ${ms} ms`, retryable: false };
  if (strategy === "compensate") halt(step, { status: "timed_out", error });
  else endRun(step, { status: "timed_out", error });
  return close(step);
}

/** The process that resolved a stage's expressions died: ask another. */
export function loseWork(context: RunContext, command: Of<"work.lose">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  const { phase, outputResolves } = context;
  if (phase === "finishing" && command.id === resolveWorkId(outputStage, outputResolves)) {
    step.effect(settle(command.id));
    if (outputResolves >= resolvesMax) endRun(step, badOutput("output: resolving it was lost too often"));
    else askOutput(step);
    return close(step);
  }
  const name = /^resolve-(.+)-\d+$/.exec(command.id)?.[1] ?? "";
  const at = stageNamed(context, name);
  const resolves = at?.state.resolves ?? 0;
  if (at?.state.status !== "resolving" || command.id !== resolveWorkId(name, resolves)) {
    return refused(context, `${command.id} is not awaited`);
  }
  step.effect(settle(command.id));
  if (resolves >= resolvesMax) {
    failStage(step, at.i, { code: "attempts_lost", message: "resolving its expressions was lost too often" });
  } else askResolve(step, at.i);
  return close(step);
}

export function continueRun(context: RunContext, command: Of<"run.continue">): Planned<RunContext> {
  const step = new RunStep(context, command.meta);
  step.c.continuing = false;
  return close(step);
}

function refused(context: RunContext, message: string): Planned<RunContext> {
  return { context, effects: [refuse("conflict", message)] };
}

/** Does what waits, as far as one step may; brings the run to its end when nothing is left. */
function close(step: RunStep): Planned<RunContext> {
  const { c } = step;
  while (!c.continuing) {
    const [todo, ...rest] = c.todo;
    if (todo === undefined) {
      if (!settleDown(step)) break;
    } else if (step.full) {
      c.continuing = true;
      step.effect(send(step.meta.self, { type: "run.continue" }));
    } else {
      c.todo = rest;
      const left = work(step, todo);
      if (left !== undefined) c.todo = [left, ...c.todo];
    }
  }
  const waited = c.status === "waiting_human";
  if (c.phase !== "ended") {
    c.status = c.waiting > 0 ? "waiting_human" : "running";
    if (c.parent !== undefined && waited !== c.waiting > 0) {
      step.effect(send(c.parent, { type: "session.run_waits", run: c.runId, waiting: !waited }));
    }
  }
  return step.end();
}

/** One piece of work; what is left of it. */
function work(step: RunStep, todo: Todo): Todo | undefined {
  switch (todo.kind) {
    case "roots":
      return overEach(step, step.c.plan.roots, todo, startStage);
    case "release":
      return overEach(step, step.stage(todo.stage).planned.dependents, todo, release);
    case "fan":
      return createTasks(step, todo.stage) ? undefined : todo;
    case "sweep": {
      const left = sweep(step, todo);
      return left === undefined ? undefined : { kind: "sweep", ...left };
    }
    case "undo":
      undoNext(step);
      return undefined;
  }
}

function overEach<T extends Todo & { readonly next: number }>(
  step: RunStep,
  stages: readonly number[],
  todo: T,
  act: (step: RunStep, i: number) => void,
): T | undefined {
  const phase = step.c.phase;
  for (let next = todo.next; next < stages.length; next++) {
    if (step.c.phase !== phase) return undefined;
    if (step.full) return { ...todo, next };
    step.visit();
    act(step, stages[next] ?? -1);
  }
  return undefined;
}

/** One of the stages that this one waits for has ended. */
function release(step: RunStep, i: number): void {
  const { state } = step.stage(i);
  const unmet = state.unmet - 1;
  step.setStage(i, { ...state, unmet });
  if (unmet === 0) startStage(step, i);
}

/** Nothing is left to do in this step: does that bring the run on? */
function settleDown(step: RunStep): boolean {
  const { c } = step;
  if (c.phase === "halting" && c.outstanding === 0) beginUndo(step);
  else if (c.phase === "running" && c.open === 0) finishRun(step);
  else return false;
  return true;
}

/** All stages have ended. Only when every terminal stage failed, the run has failed. */
function finishRun(step: RunStep): void {
  const { c } = step;
  if (c.terminalsFailed === c.plan.terminals.length) {
    const message = "every stage at the end of the workflow has failed";
    endRun(step, { status: "failed", error: { code: "stages_failed", message, retryable: false } });
    return;
  }
  // Only the executor can check the output against a schema.
  const resolution = c.definition.output_schema === undefined ? resolveInline(c, outputStage) : undefined;
  if (resolution === undefined) askOutput(step);
  else if (!resolution.ok) endRun(step, badOutput(resolution.error));
  else endRun(step, { status: "succeeded", output: "output" in resolution ? resolution.output : null });
}

function askOutput(step: RunStep): void {
  step.c.phase = "finishing";
  step.c.outputResolves += 1;
  step.effect(execute(resolveWorkId(outputStage, step.c.outputResolves), "resolve", { stage: outputStage }));
}
