/**
 * The session's chart: open for runs until it is ended or expires. Owns the transitions; what they do is in
 * runs.ts, calls.ts, state.ts and life.ts.
 */
import { setup } from "xstate";
import type { ActorDefinition } from "../definition.ts";
import { effects, type Json, refuse, reply } from "../effects.ts";
import { pagedItems } from "../paged.ts";
import { planned, type WithMeta } from "../planned.ts";
import { finishCall } from "./calls.ts";
import { createByRun, createSession, endSession, expireSession, resetSession } from "./life.ts";
import { beginRun, cancelRun, finishRun, noteEnd, runWaits } from "./runs.ts";
import type { SessionCommand, SessionContext } from "./schema.ts";
import { registerTools, updateState } from "./state.ts";

type SessionEvent = WithMeta<SessionCommand>;

const sessionSetup = setup({
  types: { context: {} as SessionContext, events: {} as SessionEvent },
  actions: {
    create: planned(createSession),
    createByRun: planned(createByRun),
    beginRun: planned(beginRun),
    runWaits: planned(runWaits),
    finishRun: planned(finishRun),
    noteEnd: planned(noteEnd),
    finishCall: planned(finishCall),
    cancelRun: planned(cancelRun),
    updateState: planned(updateState),
    registerTools: planned(registerTools),
    reset: planned(resetSession),
    end: planned(endSession),
    expire: planned(expireSession),
    refuseExisting: effects(() => [refuse("already_exists", "this session exists already")]),
    refuseOver: effects(() => [refuse("conflict", "this session is over")]),
    acknowledge: effects(() => [reply(null)]),
  },
});

/** What still comes from runs and tasks that were cancelled with the session. */
const after = {
  "session.begin_run": { actions: "refuseOver" },
  "session.update_state": { actions: "refuseOver" },
  "session.register_tools": { actions: "refuseOver" },
  "session.finish_run": { actions: "noteEnd" },
  "session.run_waits": { actions: "acknowledge" },
  "session.cancel_run": { actions: "acknowledge" },
  "run.finish_task": { actions: "acknowledge" },
  "session.end": { actions: "acknowledge" },
  "session.create": { actions: "refuseExisting" },
} as const;

export const sessionMachine = sessionSetup.createMachine({
  id: "session",
  context: {} as SessionContext,
  initial: "absent",
  states: {
    absent: {
      on: {
        "session.create": { target: "open", actions: "create" },
        "session.begin_run": { target: "open", actions: "createByRun" },
      },
    },
    open: {
      on: {
        "session.create": { actions: "refuseExisting" },
        "session.begin_run": { actions: "beginRun" },
        "session.run_waits": { actions: "runWaits" },
        "session.finish_run": { actions: "finishRun" },
        "run.finish_task": { actions: "finishCall" },
        "session.cancel_run": { actions: "cancelRun" },
        "session.update_state": { actions: "updateState" },
        "session.register_tools": { actions: "registerTools" },
        "session.reset": { actions: "reset" },
        "session.end": { target: "ended", actions: "end" },
        "session.expire": { target: "expired", actions: "expire" },
      },
    },
    ended: { on: after },
    expired: { on: after },
  },
});

/** What a read gives: the context without the bodies of waiting runs, the messages as a plain list. */
export interface SessionView extends Omit<SessionContext, "messages" | "queue" | "size" | "calls"> {
  readonly status: "open" | "ended" | "expired";
  readonly messages: readonly Json[];
  readonly queued: number;
}

export const sessionDefinition: ActorDefinition<SessionContext> = {
  type: "session",
  version: 1,
  machine: sessionMachine,
  kind: () => "session",
  index: ({ value, context }) => ({ status: String(value), created: context.createdAt }),
  view: ({ value, context }) => {
    const { queue, messages, size: _, calls: __, ...rest } = context;
    return { status: String(value), ...rest, messages: pagedItems(messages), queued: queue.length } as unknown as Json;
  },
  ended: ({ value }) => value === "ended" || value === "expired",
};
