/**
 * The task's chart: one unit of work, from waiting for others over attempts to an end. Owns the
 * transitions; what they write and tell is in steps.ts.
 */
import { assertEvent, assign, raise, setup } from "xstate";
import { address } from "../address.ts";
import type { ActorDefinition, Snapshot } from "../definition.ts";
import {
  type Effect,
  effects,
  emit,
  execute,
  forget,
  type Json,
  refuse,
  remind,
  reply,
  send,
  settle,
} from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { lostMax, type TaskCommand, type TaskContext, watchersMax } from "./schema.ts";
import {
  acceptReport,
  attemptTimedOut,
  briefError,
  createdEffects,
  createTask,
  dependencyDone,
  endAttempt,
  endEffects,
  endedFields,
  eventData,
  nextAttempt,
  retriesLeft,
  retryDelay,
} from "./steps.ts";

type TaskEvent = WithMeta<TaskCommand>;

/** Names that the task's own events have; a note may not take them. */
const ownEvents: ReadonlySet<string> = new Set(
  "created ready assigned started progressed attempt_failed completed failed cancelled timed_out lost".split(" "),
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

/** Who began the attempt: from its start, or from a report that tells the start too. */
function startOf(event: TaskEvent): { agent: string; node: string | null } {
  assertEvent(event, ["task.start", "task.report"]);
  const { agent = "", node } = event.type === "task.start" ? event : (event.start ?? {});
  return { agent, node: node ?? null };
}

const taskSetup = setup({
  types: { context: {} as TaskContext, events: {} as TaskEvent },
  guards: {
    hasUnmet: ({ context }) => context.unmet.length > 0,
    isSameRequest: ({ context, event }) =>
      event.type === "task.create" && context.requestHash !== null && event.requestHash === context.requestHash,
    dependsOnItself: ({ event }) =>
      event.type === "task.create" && (event.dependencies ?? []).includes(event.meta.self.key),
    isOldAttempt: ({ context, event }) => attemptOf(event) !== context.attempt,
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
    isReservedNote: ({ event }) => event.type === "task.note" && ownEvents.has(event.name),
    hasTooManyWatchers: ({ context }) => context.watchers.length >= watchersMax,
  },
  delays: { backoff: ({ context, event }) => retryDelay(context, event.meta) },
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
    refuseReserved: on("task.note", (_, event) => [
      refuse("invalid_input", `the event name ${event.name} belongs to the task itself`),
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
    withdraw: effects<TaskContext, TaskEvent>(({ context }) => [
      settle(workId(context)),
      ...(context.timeoutMs !== null && context.startedAt !== null ? [forget("time_out")] : []),
    ]),
    assign: assign(({ event }) => {
      assertEvent(event, "task.assign");
      return { agent: event.agent };
    }),
    tellAssigned: on("task.assign", (context, event) => [emit("assigned", eventData(context, { agent: event.agent }))]),
    start: assign(({ event }) => ({ ...startOf(event), startedAt: event.meta.now })),
    tellStarted: effects<TaskContext, TaskEvent>(({ context, event }) => [
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
      return {
        progress: {
          fraction: event.fraction ?? context.progress?.fraction ?? null,
          message: event.message ?? context.progress?.message ?? null,
        },
      };
    }),
    tellProgress: on("task.progress", (context, event) => [
      emit("progressed", eventData(context, { fraction: event.fraction, message: event.message })),
    ]),
    tellNote: on("task.note", (context, event) => [emit(event.name, { ...event.data, ...eventData(context) })]),
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

export const taskMachine = taskSetup.createMachine({
  id: "task",
  context: {} as TaskContext,
  initial: "absent",
  on: {
    "task.create": [{ guard: "isSameRequest", actions: "replyExisting" }, { actions: "refuseExisting" }],
  },
  states: {
    absent: {
      on: {
        "task.create": [
          { guard: "dependsOnItself", actions: "refuseSelfDependency" },
          { target: "open", actions: ["create", "tellCreated"] },
        ],
        "task.watch": { actions: "answerWatcher" },
      },
    },
    open: {
      initial: "pending",
      on: {
        "task.cancel": { target: "cancelled", actions: ["failByCancel", "cutAttempt"] },
        "task.miss_deadline": { target: "timed_out", actions: ["failByDeadline", "cutAttempt"] },
        "task.watch": [{ guard: "hasTooManyWatchers", actions: "refuseWatcher" }, { actions: "addWatcher" }],
      },
      states: {
        pending: { always: [{ guard: "hasUnmet", target: "waiting" }, { target: "trying" }] },
        waiting: {
          on: {
            "task.dependency_done": [
              { guard: "isForeignDependency", actions: "acknowledge" },
              { guard: "dependencyFailed", target: "#task.failed", actions: "failByDependency" },
              { target: "pending", actions: "meetDependency" },
            ],
          },
        },
        trying: {
          initial: "ready",
          entry: ["beginAttempt", "offer"],
          exit: "withdraw",
          on: {
            "task.report": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "tellsStart", target: ".running", actions: ["start", "tellStarted", "reportOnce"] },
              { guard: "succeeded", target: "#task.completed", actions: "accept" },
              { guard: "mayRetry", target: "retrying", actions: ["accept", "tellAttemptFailed"] },
              { target: "#task.failed", actions: "accept" },
            ],
            "work.lose": [
              { guard: "isOldWork", actions: "refuseWork" },
              { guard: "isLostTooOften", target: "#task.failed", actions: ["acceptLoss", "tellLost", "failByLosses"] },
              { target: "trying", reenter: true, actions: ["acceptLoss", "tellLost"] },
            ],
            "task.note": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "isReservedNote", actions: "refuseReserved" },
              { actions: "tellNote" },
            ],
          },
          states: {
            ready: {
              on: {
                "task.assign": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { target: "assigned", actions: ["assign", "tellAssigned"] },
                ],
                "task.start": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { target: "running", actions: ["start", "tellStarted"] },
                ],
              },
            },
            assigned: {
              on: {
                "task.start": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { target: "running", actions: ["start", "tellStarted"] },
                ],
              },
            },
            running: {
              on: {
                "task.progress": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { actions: ["progress", "tellProgress"] },
                ],
                "task.time_out": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  {
                    guard: "hasRetries",
                    target: "#task.open.retrying",
                    actions: ["acceptTimeOut", "tellAttemptFailed"],
                  },
                  { target: "#task.timed_out", actions: "acceptTimeOut" },
                ],
              },
            },
          },
        },
        retrying: { after: { backoff: "trying" } },
      },
    },
    completed: { entry: ["finish", "tellCompleted"], on: { "task.watch": { actions: "watchCompleted" } } },
    failed: { entry: ["finish", "tellFailed"], on: { "task.watch": { actions: "watchFailed" } } },
    cancelled: {
      entry: ["finish", "tellCancelled"],
      on: { "task.watch": { actions: "watchCancelled" }, "task.cancel": { actions: "acknowledge" } },
    },
    timed_out: { entry: ["finish", "tellTimedOut"], on: { "task.watch": { actions: "watchTimedOut" } } },
  },
});

/** The innermost state's name: `waiting`, `ready`, `running`, `completed`… */
export function taskStatus(value: Json): string {
  let inner: unknown = value;
  while (typeof inner === "object" && inner !== null) inner = Object.values(inner)[0];
  return String(inner);
}

const ends: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "timed_out"]);

export const taskDefinition: ActorDefinition<TaskContext> = {
  type: "task",
  version: 1,
  machine: taskMachine,
  kind: (context) => context.taskType,
  /** A task that was only watched, never created, is in no list. */
  index: ({ value, context }: Snapshot<TaskContext>) =>
    value === "absent"
      ? null
      : {
          status: taskStatus(value),
          taskType: context.taskType,
          priority: context.priority,
          created: context.createdAt,
          ...(context.runId === null ? {} : { runId: context.runId }),
          ...(context.agent === null ? {} : { agent: context.agent }),
          ...endedFields(context),
        },
  view: ({ value, context }) => {
    const { watchers: _watchers, requestHash: _requestHash, ...shown } = context;
    return { status: taskStatus(value), ...shown } as unknown as Json;
  },
  ended: ({ value }) => ends.has(taskStatus(value)),
};
