/**
 * The named guards and actions of a task's chart (machine.ts): which condition means what, and which step of
 * steps.ts each action is. Owns no transition.
 */
import { assertEvent, assign, raise, setup } from "xstate";
import { address } from "../address.ts";
import { type Effect, effects, emit, execute, forget, refuse, remind, reply, send, settle } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { lostMax, type TaskCommand, type TaskContext, unstartedMsMax, watchersMax } from "./schema.ts";
import {
  acceptReport,
  attemptTimedOut,
  briefError,
  byAgent,
  createdEffects,
  createTask,
  dependencyDone,
  endAttempt,
  endEffects,
  eventData,
  nextAttempt,
  rejectDelay,
  releases,
  retriesLeft,
  retryDelay,
} from "./steps.ts";

type TaskEvent = WithMeta<TaskCommand>;

/** Names that the task's own events have; a note may not take them. */
const ownEvents: ReadonlySet<string> = new Set(
  "created ready assigned started progressed attempt_failed completed failed cancelled timed_out lost rejected".split(
    " ",
  ),
);

const workId = (context: TaskContext) => `attempt-${context.attempt}`;

/** Effects of the context and of one kind of command. */
function on<T extends TaskEvent["type"]>(
  type: T,
  fn: (context: TaskContext, event: Extract<TaskEvent, { type: T }>) => readonly Effect[],
) {
  return effects<TaskContext, TaskEvent>(({ context, event }) => {
    if (event.type !== type) throw new Error(`${type} expected, not ${event.type}`);
    return fn(context, event as Extract<TaskEvent, { type: T }>);
  });
}

function attemptOf(event: TaskEvent): number | undefined {
  return "attempt" in event ? event.attempt : undefined;
}

function byOther(context: TaskContext, event: TaskEvent): boolean {
  return "by" in event && event.by !== undefined && event.by !== context.agent;
}

/** Who began the attempt: from its start, or from a report that tells the start too. */
function startOf(event: TaskEvent): { agent: string; node: string | null } {
  assertEvent(event, ["task.start", "task.report"]);
  const { agent = "", node } = event.type === "task.start" ? event : (event.start ?? {});
  return { agent, node: node ?? null };
}

export const taskSetup = setup({
  types: { context: {} as TaskContext, events: {} as TaskEvent },
  guards: {
    hasUnmet: ({ context }) => context.unmet.length > 0,
    isSameRequest: ({ context, event }) =>
      event.type === "task.create" && context.requestHash !== null && event.requestHash === context.requestHash,
    dependsOnItself: ({ event }) =>
      event.type === "task.create" && (event.dependencies ?? []).includes(event.meta.self.key),
    isOldAttempt: ({ context, event }) => (attemptOf(event) ?? context.attempt) !== context.attempt,
    isByOther: ({ context, event }) => byOther(context, event),
    isSameSlot: ({ context, event }) =>
      event.type === "task.assign" &&
      event.attempt === context.attempt &&
      event.agent === context.agent &&
      context.slot === true,
    isAgain: ({ context, event }) => event.type === "task.start" && event.agent === context.agent,
    isHeld: ({ context, event }) => event.type === "task.hold" && (context.holds ?? []).includes(event.resource),
    isOldWork: ({ context, event }) => event.type === "work.lose" && event.id !== workId(context),
    isLostTooOften: ({ context }) => context.lost >= lostMax,
    tellsStart: ({ context, event }) =>
      event.type === "task.report" && event.start !== undefined && context.startedAt === null,
    succeeded: ({ event }) => event.type === "task.report" && event.outcome.ok,
    mayRetry: ({ context, event }) =>
      event.type === "task.report" &&
      !event.outcome.ok &&
      event.outcome.error.retryable === true &&
      retriesLeft(context),
    hasRetries: ({ context }) => retriesLeft(context),
    isForeignDependency: ({ context, event }) =>
      event.type === "task.dependency_done" && !context.unmet.includes(event.key),
    dependencyFailed: ({ event }) => event.type === "task.dependency_done" && event.status !== "completed",
    isReservedNote: ({ event }) =>
      (event.type === "task.note" || event.type === "task.save") &&
      event.name !== undefined &&
      ownEvents.has(event.name),
    hasTooManyWatchers: ({ context }) => context.watchers.length >= watchersMax,
  },
  delays: {
    backoff: ({ context, event }) =>
      event.type === "task.reject" ? rejectDelay(context) : retryDelay(context, event.meta),
  },
  actions: {
    create: assign(({ event }) => {
      assertEvent(event, "task.create");
      return createTask(event, event.meta);
    }),
    tellCreated: on("task.create", (context, event) => [
      ...createdEffects(context, event.meta),
      ...(event.parent === undefined ? [reply({ created: true })] : []),
    ]),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseExisting: effects<TaskContext, TaskEvent>(({ context }) => [
      context.requestHash === null
        ? refuse("already_exists", "a task with this id exists already")
        : refuse("idempotency_conflict", "the task exists with another request"),
    ]),
    refuseSelfDependency: effects(() => [refuse("invalid_input", "a task cannot depend on itself")]),
    refuseAttempt: effects<TaskContext, TaskEvent>(({ context, event }) => [
      refuse("conflict", `attempt ${attemptOf(event)} is not the current one, which is ${context.attempt}`, {
        attempt: context.attempt,
      }),
    ]),
    refuseOther: effects<TaskContext, TaskEvent>(({ context, event }) => [
      refuse("forbidden", "the task is assigned to another agent, or to none", {
        agent: context.agent,
        by: "by" in event ? event.by : undefined,
        attempt: context.attempt,
      }),
    ]),
    refuseUnmet: effects<TaskContext, TaskEvent>(({ context }) => [
      refuse("precondition_failed", "the task waits for its dependencies", { unmet: context.unmet.slice(0, 20) }),
    ]),
    refuseUnbegun: effects<TaskContext, TaskEvent>(({ context }) => [
      refuse("conflict", "the attempt has not begun", { attempt: context.attempt }),
    ]),
    refuseRunning: effects<TaskContext, TaskEvent>(({ context }) => [
      refuse("conflict", "the attempt runs with another agent", { agent: context.agent }),
    ]),
    refuseReserved: effects<TaskContext, TaskEvent>(({ event }) => [
      refuse("invalid_input", `the event name ${"name" in event ? event.name : ""} belongs to the task itself`),
    ]),
    refuseWatcher: effects(() => [refuse("overloaded", `a task has at most ${watchersMax} watchers`)]),
    refuseWork: on("work.lose", (context, event) => [
      refuse("conflict", `${event.id} is not the current work, which is ${workId(context)}`),
    ]),
    beginAttempt: assign(({ context, event }) => nextAttempt(context, event.meta)),
    offer: effects<TaskContext, TaskEvent>(({ context }) => [
      execute(workId(context), "agent", { attempt: context.attempt }),
      emit("ready", eventData(context)),
    ]),
    withdraw: effects<TaskContext, TaskEvent>(({ context, event }) => [
      ...(context.slot === true ? [] : [settle(workId(context))]),
      ...releases(context, event.meta, event.type !== "task.report" && event.type !== "task.reject"),
      ...(context.timeoutMs !== null && context.startedAt !== null ? [forget("time_out")] : []),
    ]),
    assign: assign(({ event }) => {
      assertEvent(event, "task.assign");
      return { agent: event.agent, slot: true };
    }),
    /** From here on the agent's actor answers for the attempt, not the process that looked for an agent. */
    tellAssigned: on("task.assign", (context, event) => [
      settle(workId(context)),
      remind("unstarted", event.meta.now + unstartedMsMax, { type: "task.take_back", attempt: context.attempt }),
      emit("assigned", eventData(context, { agent: event.agent })),
    ]),
    giveBackSlot: on("task.assign", (_, event) => [
      send(address("agent", event.agent), {
        type: "agent.release",
        task: event.meta.self.key,
        attempt: event.attempt,
        withdrawn: true,
      }),
    ]),
    hold: assign(({ context, event }) => {
      assertEvent(event, "task.hold");
      return { holds: [...(context.holds ?? []), event.resource] };
    }),
    tellHeld: effects(() => [reply(null)]),
    giveBackHold: on("task.hold", (_, event) => [
      send(address("resource", event.resource), {
        type: "resource.release",
        task: event.meta.self.key,
        attempt: event.attempt,
      }),
    ]),
    start: assign(({ context, event }) => ({
      ...startOf(event),
      startedAt: event.meta.now,
      ...((context.rejections ?? 0) > 0 && { rejections: 0 }),
    })),
    tellStarted: effects<TaskContext, TaskEvent>(({ context, event }) => [
      ...(context.slot === true ? [forget("unstarted")] : []),
      ...(event.type === "task.start" && event.taken === true && context.slot !== true
        ? [settle(workId(context))]
        : []),
      ...(context.timeoutMs === null
        ? []
        : [
            remind("time_out", event.meta.now + context.timeoutMs, { type: "task.time_out", attempt: context.attempt }),
          ]),
      emit("started", eventData(context, { agent: startOf(event).agent })),
    ]),
    reportOnce: raise(({ event }) => {
      assertEvent(event, "task.report");
      const { start: _, ...report } = event;
      return report;
    }),
    progress: assign(({ context, event }) => {
      assertEvent(event, "task.progress");
      const details = event.details ?? context.progress?.details;
      return {
        progress: {
          fraction: event.fraction ?? context.progress?.fraction ?? null,
          message: event.message ?? context.progress?.message ?? null,
          ...(details !== undefined && { details }),
        },
        ...(event.output !== undefined && { output: event.output }),
        ...(event.estimatedCompletionAt !== undefined && { estimatedCompletionAt: event.estimatedCompletionAt }),
      };
    }),
    tellProgress: on("task.progress", (context, event) => {
      const { fraction, message, details } = event;
      const told = { fraction, message, ...byAgent(context), ...(details !== undefined && { details }) };
      return [emit("progressed", eventData(context, told))];
    }),
    tellNote: on("task.note", (context, event) => [emit(event.name, { ...event.data, ...eventData(context) })]),
    save: assign(({ event }) => {
      assertEvent(event, "task.save");
      return { saved: event.value };
    }),
    tellSaved: on("task.save", (context, event) => [
      reply(null),
      ...(event.name === undefined ? [] : [emit(event.name, { ...event.data, ...eventData(context) })]),
    ]),
    accept: assign(({ context, event }) => {
      assertEvent(event, "task.report");
      return acceptReport(context, event.meta, event.outcome);
    }),
    acceptTimeOut: assign(({ context, event }) => {
      const error = attemptTimedOut(context);
      return { ...endAttempt(context, event.meta, "timed_out", error), error };
    }),
    tellAttemptFailed: effects<TaskContext, TaskEvent>(({ context, event }) => [
      emit(
        "attempt_failed",
        eventData(context, {
          error: briefError(context.error),
          retryInMs: retryDelay(context, event.meta),
        }),
      ),
    ]),
    acceptLoss: assign(({ context, event }) => {
      assertEvent(event, "work.lose");
      const error = {
        code: "attempts_lost",
        message: event.reason ?? "the process that ran it is gone",
        retryable: true,
      };
      return { ...endAttempt(context, event.meta, "lost", error), lost: context.lost + 1 };
    }),
    tellLost: effects<TaskContext, TaskEvent>(({ context }) => [emit("lost", eventData(context))]),
    acceptTakeBack: assign(({ context, event }) => {
      const error = { code: "attempts_lost", message: "its agent did not begin it in time", retryable: true };
      return { ...endAttempt(context, event.meta, "lost", error), lost: context.lost + 1 };
    }),
    acceptReject: assign(({ context, event }) => {
      assertEvent(event, "task.reject");
      const error = { code: "rejected", message: event.reason ?? "its agent handed it back", retryable: true };
      return {
        ...endAttempt(context, event.meta, "rejected", error),
        lost: context.lost + 1,
        rejections: (context.rejections ?? 0) + 1,
      };
    }),
    tellRejected: on("task.reject", (context, event) => [
      emit("rejected", eventData(context, { agent: context.agent, reason: event.reason ?? null })),
      reply(null),
    ]),
    failByLosses: assign({
      error: { code: "attempts_lost", message: `more than ${lostMax} attempts were lost`, retryable: false },
    }),
    meetDependency: assign(({ context, event }) => {
      assertEvent(event, "task.dependency_done");
      return { unmet: context.unmet.filter((key) => key !== event.key) };
    }),
    failByDependency: assign(({ event }) => {
      assertEvent(event, "task.dependency_done");
      const what = event.status === "unknown" ? "does not exist" : `ended as ${event.status}`;
      return {
        error: {
          code: "dependency_failed",
          message: `the dependency ${event.key} ${what}`,
          retryable: false,
          details: { dependency: event.key, status: event.status },
        },
      };
    }),
    failByDeadline: assign(({ context }) => ({
      error: { code: "timed_out", message: `not done by its deadline ${context.deadlineAt}`, retryable: false },
    })),
    failByCancel: assign(({ event }) => {
      assertEvent(event, "task.cancel");
      return { error: { code: "cancelled", message: event.reason ?? "cancelled", retryable: false } };
    }),
    /** An attempt in flight when the task ends from outside also goes into the history. */
    cutAttempt: assign(({ context, event }) =>
      context.startedAt === null || context.attempts.at(-1)?.attempt === context.attempt
        ? {}
        : endAttempt(
            context,
            event.meta,
            event.type === "task.miss_deadline" ? "timed_out" : "cancelled",
            context.error,
          ),
    ),
    addWatcher: assign(({ context, event }) => {
      assertEvent(event, "task.watch");
      return { watchers: [...context.watchers.filter((key) => key !== event.watcher), event.watcher] };
    }),
    answerWatcher: on("task.watch", (_, event) => [
      send(address("task", event.watcher), dependencyDone(event.meta, "unknown")),
    ]),
    finish: assign(({ event }) => ({ finishedAt: event.meta.now, unmet: [] })),
    tellCompleted: effects<TaskContext, TaskEvent>(({ context, event }) =>
      endEffects(context, "completed", event.meta),
    ),
    tellFailed: effects<TaskContext, TaskEvent>(({ context, event }) => endEffects(context, "failed", event.meta)),
    tellCancelled: effects<TaskContext, TaskEvent>(({ context, event }) =>
      endEffects(context, "cancelled", event.meta),
    ),
    tellTimedOut: effects<TaskContext, TaskEvent>(({ context, event }) => endEffects(context, "timed_out", event.meta)),
    watchCompleted: on("task.watch", (_, e) => [send(address("task", e.watcher), dependencyDone(e.meta, "completed"))]),
    watchFailed: on("task.watch", (_, e) => [send(address("task", e.watcher), dependencyDone(e.meta, "failed"))]),
    watchCancelled: on("task.watch", (_, e) => [send(address("task", e.watcher), dependencyDone(e.meta, "cancelled"))]),
    watchTimedOut: on("task.watch", (_, e) => [send(address("task", e.watcher), dependencyDone(e.meta, "timed_out"))]),
    acknowledge: effects(() => [reply(null)]),
  },
});
