/**
 * The run's chart: a workflow's execution, from its creation to one of four ends. Owns the
 * transitions; plan.ts says what each command does.
 */
import { setup } from "xstate";
import { effects, refuse, reply } from "../effects.ts";
import { planned, type WithMeta } from "../planned.ts";
import { decideAgain } from "./decide.ts";
import {
  cancelRun,
  continueRun,
  createRun,
  decideCheckpoint,
  differences,
  expireCheckpoint,
  finishTask,
  loseWork,
  resolve,
  timeOutRun,
} from "./plan.ts";
import type { RunCommand, RunContext } from "./schema.ts";

type RunEvent = WithMeta<RunCommand>;

const differing = (context: RunContext, event: RunEvent) =>
  event.type === "run.create" ? differences(context.requestHash, event.requestHash) : [];

const runSetup = setup({
  types: { context: {} as RunContext, events: {} as RunEvent },
  guards: {
    isSameRequest: ({ context, event }) => differing(context, event).length === 0,
    isUndoing: ({ context }) => context.phase === "halting" || context.phase === "undoing",
    hasSucceeded: ({ context }) => context.status === "succeeded",
    hasFailed: ({ context }) => context.status === "failed",
    wasCanceled: ({ context }) => context.status === "canceled",
    hasTimedOut: ({ context }) => context.status === "timed_out",
    isContinuing: ({ context }) => context.continuing,
  },
  actions: {
    create: planned(createRun),
    finishTask: planned(finishTask),
    resolve: planned(resolve),
    decide: planned(decideCheckpoint),
    expire: planned(expireCheckpoint),
    cancel: planned(cancelRun),
    timeOut: planned(timeOutRun),
    loseWork: planned(loseWork),
    goOn: planned(continueRun),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseDifferent: effects<RunContext, RunEvent>(({ context, event }) => {
      const differs = differing(context, event);
      return [refuse("idempotency_conflict", `the run exists with another ${differs.join(", ")}`, { differs })];
    }),
    refuseEnded: effects<RunContext, RunEvent>(({ context }) => [
      refuse("conflict", `the run is ${context.status} already`, { status: context.status }),
    ]),
    /** A decision whose answer was lost may come again after it has ended the run. */
    decideAfterEnd: effects<RunContext, RunEvent>(({ context, event }) => {
      const decided =
        event.type === "run.decide" && context.checkpoints.find((c) => c.checkpointId === event.checkpointId);
      if (decided && decided.status !== "required") return [decideAgain(decided, event)];
      return [refuse("conflict", `the run is ${context.status} already`, { status: context.status })];
    }),
    acknowledge: effects(() => [reply(null)]),
  },
});

/** Tasks that were cancelled still tell of their end; the sweep may still go on. */
const afterEnd = {
  "run.finish_task": { actions: "acknowledge" },
  "run.continue": { guard: "isContinuing", actions: "goOn" },
  "run.decide": { actions: "decideAfterEnd" },
} as const;

export const runMachine = runSetup.createMachine({
  id: "run",
  context: {} as RunContext,
  initial: "absent",
  on: {
    "run.create": [{ guard: "isSameRequest", actions: "replyExisting" }, { actions: "refuseDifferent" }],
  },
  states: {
    absent: { on: { "run.create": { target: "working", actions: "create" } } },
    working: {
      initial: "running",
      always: [
        { guard: "hasSucceeded", target: "succeeded" },
        { guard: "hasFailed", target: "failed" },
        { guard: "wasCanceled", target: "canceled" },
        { guard: "hasTimedOut", target: "timed_out" },
      ],
      on: {
        "run.finish_task": { actions: "finishTask" },
        "run.resolve": { actions: "resolve" },
        "run.cancel": { actions: "cancel" },
        "run.continue": { guard: "isContinuing", actions: "goOn" },
        "work.lose": { actions: "loseWork" },
      },
      states: {
        running: {
          always: { guard: "isUndoing", target: "undoing" },
          on: {
            "run.decide": { actions: "decide" },
            "run.expire_checkpoint": { actions: "expire" },
            "run.time_out": { actions: "timeOut" },
          },
        },
        undoing: { on: { "run.decide": { actions: "decideAfterEnd" } } },
      },
    },
    succeeded: { on: { ...afterEnd, "run.cancel": { actions: "refuseEnded" } } },
    failed: { on: { ...afterEnd, "run.cancel": { actions: "refuseEnded" } } },
    timed_out: { on: { ...afterEnd, "run.cancel": { actions: "refuseEnded" } } },
    canceled: { on: { ...afterEnd, "run.cancel": { actions: "acknowledge" } } },
  },
});
