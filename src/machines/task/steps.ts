/**
 * What a task's steps put into its context and what they tell others: pure functions that the
 * chart in machine.ts names. Owns no transition.
 */
import { address, localOf } from "../address.ts";
import type { StepMeta } from "../effects.ts";
import { type Effect, emit, forget, type JsonObject, remind, send } from "../effects.ts";
import { clip } from "../json.ts";
import { addCost, defaultRetry, type Failure, noCost } from "../schema.ts";
import { backoffMs, chargedAttempts } from "./retry.ts";
import {
  type AttemptRecord,
  attemptsKeptMax,
  type Outcome,
  priorityDefault,
  rejectBackoffMaxMs,
  type TaskContext,
  type TaskCreate,
  type TaskEnd,
} from "./schema.ts";

export function createTask(command: TaskCreate, meta: StepMeta): TaskContext {
  const parent = command.parent ?? null;
  const dependencies = [...new Set(command.dependencies ?? [])];
  return {
    taskType: command.taskType,
    capabilities: command.capabilities ?? [],
    input: command.input,
    priority: command.priority ?? priorityDefault,
    parent,
    runId: parent?.type === "run" ? parent.key : null,
    stage: command.stage ?? null,
    index: command.index ?? null,
    dependencies,
    unmet: dependencies,
    timeoutMs: command.timeoutMs ?? null,
    deadlineAt: command.deadlineAt ?? null,
    retry: command.retry ?? defaultRetry,
    title: command.title ?? null,
    description: command.description ?? null,
    metadata: command.metadata ?? {},
    outputBytesMax: command.outputBytesMax ?? null,
    requestHash: command.requestHash ?? null,
    attempt: 0,
    lost: 0,
    agent: null,
    node: null,
    progress: null,
    attempts: [],
    watchers: [],
    createdAt: meta.now,
    readyAt: null,
    startedAt: null,
    finishedAt: null,
    output: null,
    error: null,
    artifacts: [],
    cost: noCost,
    ...extras(command),
  };
}

/** What most tasks do not have is absent, so that their snapshots stay small. */
function extras(command: TaskCreate): Partial<TaskContext> {
  const { assignedAgent, resources, estimatedCompletionAt, attributes, parentWorkflow, form, createdBy } = command;
  return {
    ...(assignedAgent !== undefined && { assignedAgent }),
    ...(resources !== undefined && Object.keys(resources).length > 0 && { resources }),
    ...(estimatedCompletionAt !== undefined && { estimatedCompletionAt }),
    ...(attributes !== undefined && { attributes }),
    ...(parentWorkflow !== undefined && { parentWorkflow }),
    ...(form !== undefined && { form }),
    ...(createdBy !== undefined && { createdBy }),
  };
}

/** `stage` and `index` where there are, and the attempt: in every task event. */
export function eventData(context: TaskContext, data: JsonObject = {}): JsonObject {
  return {
    ...(context.stage === null ? {} : { stage: context.stage }),
    ...(context.index === null ? {} : { index: context.index }),
    ...(context.attempt === 0 ? {} : { attempt: context.attempt }),
    // Only who gives a task attributes filters by them.
    ...(context.attributes === undefined ? {} : { priority: context.priority, attributes: context.attributes }),
    ...(context.parentWorkflow === undefined ? {} : { parentWorkflow: context.parentWorkflow }),
    ...data,
  };
}

export function createdEffects(context: TaskContext, meta: StepMeta): Effect[] {
  const effects: Effect[] = [emit("created", eventData(context, { priority: context.priority }))];
  for (const key of context.dependencies) {
    effects.push(send(address("task", key), { type: "task.watch", watcher: meta.self.key }));
  }
  if (context.deadlineAt !== null) {
    effects.push(remind("deadline", context.deadlineAt, { type: "task.miss_deadline" }));
  }
  return effects;
}

/** A new attempt begins to wait for an agent. */
export function nextAttempt(context: TaskContext, meta: StepMeta): Partial<TaskContext> {
  return {
    attempt: context.attempt + 1,
    readyAt: meta.now,
    startedAt: null,
    agent: null,
    node: null,
    progress: null,
    ...(context.output === null ? {} : { output: null }),
    ...(context.slot === true && { slot: false }),
    ...(context.holds !== undefined && context.holds.length > 0 && { holds: [] }),
  };
}

/** What an attempt held goes back to those who granted it, whatever ended it. */
export function releases(context: TaskContext, meta: StepMeta, withdrawn: boolean): Effect[] {
  const effects: Effect[] = [];
  const { attempt } = context;
  const task = meta.self.key;
  if (context.slot === true && context.agent !== null) {
    const release = { type: "agent.release", task, attempt, ...(withdrawn && { withdrawn }) };
    effects.push(send(address("agent", context.agent), release));
    if (context.startedAt === null) effects.push(forget("unstarted"));
  }
  for (const key of context.holds ?? []) {
    effects.push(send(address("resource", key), { type: "resource.release", task, attempt }));
  }
  return effects;
}

/** The pause after `rejections` in a row: 0.5 s, doubled each time, at most half a minute. */
export function rejectDelay(context: TaskContext): number {
  return Math.min(rejectBackoffMaxMs, 250 * 2 ** Math.min(context.rejections ?? 1, 20));
}

/** The current attempt goes into the history. */
export function endAttempt(
  context: TaskContext,
  meta: StepMeta,
  result: AttemptRecord["result"],
  error: Failure | null,
): Partial<TaskContext> {
  const record: AttemptRecord = {
    attempt: context.attempt,
    agent: context.agent,
    node: context.node,
    startedAt: context.startedAt,
    endedAt: meta.now,
    result,
    error,
  };
  return { attempts: [...context.attempts.slice(1 - attemptsKeptMax), record], progress: null };
}

export function acceptReport(context: TaskContext, meta: StepMeta, outcome: Outcome): Partial<TaskContext> {
  const cost = addCost(context.cost, outcome.cost);
  if (!outcome.ok) return { ...endAttempt(context, meta, "failed", outcome.error), error: outcome.error, cost };
  return {
    ...endAttempt(context, meta, "completed", null),
    output: outcome.output === undefined ? context.output : outcome.output,
    artifacts: outcome.artifacts,
    error: null,
    cost,
    ...(context.saved === undefined ? {} : { saved: null }),
  };
}

/** What a task says of an attempt that took longer than `timeoutMs`. */
export function attemptTimedOut(context: TaskContext): Failure {
  return {
    code: "timed_out",
    message: `attempt ${context.attempt} took longer than ${context.timeoutMs} ms`,
    retryable: true,
  };
}

export function retriesLeft(context: TaskContext): boolean {
  return chargedAttempts(context.attempt, context.lost) < context.retry.max_attempts;
}

export function retryDelay(context: TaskContext, meta: StepMeta): number {
  const charged = chargedAttempts(context.attempt, context.lost);
  return backoffMs(context.retry, charged, `${meta.self.key}#${context.attempt}`);
}

/** The end, told to the parent, to watchers, and to all. */
export function endEffects(context: TaskContext, status: TaskEnd, meta: StepMeta): Effect[] {
  const effects: Effect[] = [];
  if (context.deadlineAt !== null) effects.push(forget("deadline"));
  effects.push(emit(status, endData(context, status)));
  if (context.parent !== null) effects.push(send(context.parent, finishCommand(context, status, meta)));
  for (const key of context.watchers) effects.push(send(address("task", key), dependencyDone(meta, status)));
  return effects;
}

/** Who works, or worked, on it. */
export function byAgent(context: TaskContext): JsonObject {
  return context.agent === null ? {} : { agent: context.agent };
}

function endData(context: TaskContext, status: TaskEnd): JsonObject {
  if (status !== "completed") return eventData(context, { error: briefError(context.error), ...byAgent(context) });
  const from = context.startedAt ?? context.readyAt ?? context.createdAt;
  return eventData(context, { durationMs: Math.max(0, (context.finishedAt ?? from) - from), ...byAgent(context) });
}

function finishCommand(context: TaskContext, status: TaskEnd, meta: StepMeta) {
  return {
    type: "run.finish_task",
    stage: context.stage ?? localOf(meta.self.key),
    ...(context.index === null ? {} : { index: context.index }),
    task: meta.self.key,
    status,
    ...(status === "completed" ? { output: context.output } : { error: context.error }),
    artifacts: context.artifacts,
    cost: context.cost,
    attempts: context.attempt,
  };
}

export function dependencyDone(meta: StepMeta, status: TaskEnd | "unknown") {
  return { type: "task.dependency_done", key: meta.self.key, status };
}

/** For events: they stay small. */
export function briefError(error: Failure | null): JsonObject | null {
  return error === null ? null : { code: error.code, message: clip(error.message, 1_024) };
}

/** Of an ended task's row, for sums. */
export function endedFields({ startedAt, finishedAt }: TaskContext): { endedAt?: number; tookMs?: number } {
  if (finishedAt === null) return {};
  return { endedAt: finishedAt, tookMs: Math.max(0, finishedAt - (startedAt ?? finishedAt)) };
}
