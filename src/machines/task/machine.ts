/**
 * The task's chart: one unit of work, from waiting for others over attempts to an end. Owns the
 * transitions; their guards and actions are in actions.ts, what those write and tell in steps.ts.
 */
import type { ActorDefinition, Snapshot } from "../definition.ts";
import type { Json } from "../effects.ts";
import { taskSetup } from "./actions.ts";
import type { TaskContext } from "./schema.ts";
import { endedFields } from "./steps.ts";

export const taskMachine = taskSetup.createMachine({
  id: "task",
  context: {} as TaskContext,
  initial: "absent",
  on: {
    "task.create": [{ guard: "isSameRequest", actions: "replyExisting" }, { actions: "refuseExisting" }],
    // Grants that come too late, or for nothing, go back at once.
    "task.assign": { actions: "giveBackSlot" },
    "task.hold": { actions: "giveBackHold" },
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
            "task.start": { actions: "refuseUnmet" },
            "task.progress": { actions: "refuseUnmet" },
            "task.report": { actions: "refuseUnmet" },
          },
        },
        trying: {
          initial: "ready",
          entry: ["beginAttempt", "offer"],
          exit: "withdraw",
          on: {
            "task.assign": [{ guard: "isSameSlot", actions: "acknowledge" }, { actions: "giveBackSlot" }],
            "task.hold": [
              { guard: "isOldAttempt", actions: "giveBackHold" },
              { guard: "isHeld", actions: "acknowledge" },
              { actions: ["hold", "tellHeld"] },
            ],
            "task.start": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "isByOther", actions: "refuseOther" },
              { target: ".running", actions: ["start", "tellStarted"] },
            ],
            "task.progress": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "isByOther", actions: "refuseOther" },
              { actions: "refuseUnbegun" },
            ],
            "task.reject": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "isByOther", actions: "refuseOther" },
              { guard: "isLostTooOften", target: "#task.failed", actions: ["acceptReject", "failByLosses"] },
              { target: "retrying", actions: ["acceptReject", "tellRejected"] },
            ],
            "task.report": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "isByOther", actions: "refuseOther" },
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
            "task.save": [
              { guard: "isOldAttempt", actions: "refuseAttempt" },
              { guard: "isReservedNote", actions: "refuseReserved" },
              { actions: ["save", "tellSaved"] },
            ],
          },
          states: {
            ready: {
              on: {
                "task.assign": [
                  { guard: "isOldAttempt", actions: "giveBackSlot" },
                  { target: "assigned", actions: ["assign", "tellAssigned"] },
                ],
              },
            },
            assigned: {
              on: {
                "task.take_back": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { guard: "isLostTooOften", target: "#task.failed", actions: ["acceptTakeBack", "failByLosses"] },
                  { target: "#task.open.trying", reenter: true, actions: ["acceptTakeBack", "tellLost"] },
                ],
              },
            },
            running: {
              on: {
                "task.start": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { guard: "isByOther", actions: "refuseOther" },
                  { guard: "isAgain", actions: "acknowledge" },
                  { actions: "refuseRunning" },
                ],
                "task.progress": [
                  { guard: "isOldAttempt", actions: "refuseAttempt" },
                  { guard: "isByOther", actions: "refuseOther" },
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
          ...(context.parentWorkflow === undefined ? {} : { parentWorkflow: context.parentWorkflow }),
        },
  view: ({ value, context }) => {
    const { watchers: _watchers, requestHash: _requestHash, saved: _saved, ...shown } = context;
    return { status: taskStatus(value), ...shown } as unknown as Json;
  },
  ended: ({ value }) => ends.has(taskStatus(value)),
};
