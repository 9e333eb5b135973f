/**
 * A session's beginning and end: made, reset, ended, expired. Pure functions that the chart in machine.ts names.
 */
import { address } from "../address.ts";
import { type Effect, emit, forget, remind, reply, type StepMeta, send } from "../effects.ts";
import { emptyPaged } from "../paged.ts";
import type { Planned, WithMeta } from "../planned.ts";
import { beginRun, cancelRun } from "./runs.ts";
import type { SessionCommand, SessionContext } from "./schema.ts";

type Of<T extends SessionCommand["type"]> = WithMeta<Extract<SessionCommand, { type: T }>>;
type Step = Planned<SessionContext>;

export function createSession(_: SessionContext, command: Of<"session.create">): Step {
  const context = newSession(command.threadId, command.createdBy, command.meta);
  const options = command.options ?? {};
  const { expiresAt } = options;
  const next: SessionContext = {
    ...context,
    options,
    state: command.state ?? null,
    tools: command.tools ?? [],
    context: command.context ?? [],
  };
  const effects: Effect[] = [reply({ created: true }), emit("created", { threadId: command.threadId })];
  if (expiresAt !== undefined) effects.push(remind("expiry", expiresAt, { type: "session.expire" }));
  return { context: next, effects };
}

function newSession(threadId: string, createdBy: string, meta: StepMeta): SessionContext {
  return {
    threadId,
    createdBy,
    createdAt: meta.now,
    activeAt: meta.now,
    options: {},
    messages: emptyPaged(),
    size: 0,
    state: null,
    stateVersion: 0,
    stateAt: meta.now,
    tools: [],
    context: [],
    runs: [],
    queue: [],
    pending: [],
    calls: 0,
    usage: { runs: 0, promptTokens: 0, completionTokens: 0, usd: 0 },
  };
}

/** The first run makes its session. */
export function createByRun(_: SessionContext, command: Of<"session.begin_run">): Step {
  const made = newSession(command.threadId, command.createdBy, command.meta);
  const begun = beginRun(made, command);
  return { context: begun.context, effects: [emit("created", { threadId: command.threadId }), ...begun.effects] };
}

export function resetSession(context: SessionContext, command: Of<"session.reset">): Step {
  const canceled = cancelRun(context, {
    type: "session.cancel_run",
    reason: "the session was reset",
    meta: command.meta,
  });
  const next: SessionContext = {
    ...canceled.context,
    messages: emptyPaged(),
    size: 0,
    state: null,
    stateVersion: context.stateVersion + 1,
    stateAt: command.meta.now,
    pending: [],
  };
  return { context: next, effects: [...canceled.effects, emit("reset")] };
}

export function endSession(context: SessionContext, command: Of<"session.end">): Step {
  return leave(context, command.meta, command.saveState === false, [reply({ ended: true }), emit("ended")]);
}

export function expireSession(context: SessionContext, command: Of<"session.expire">): Step {
  return leave(context, command.meta, context.options.autoSaveState === false, [emit("expired")]);
}

function leave(context: SessionContext, meta: StepMeta, dropState: boolean, effects: readonly Effect[]): Step {
  const canceled = cancelRun(context, { type: "session.cancel_run", reason: "the session is over", meta });
  const calls = context.pending.map(({ task }) =>
    send(address("task", task), { type: "task.cancel", reason: "the session is over" }),
  );
  return {
    context: { ...canceled.context, queue: [], ...(dropState ? { state: null, stateAt: meta.now } : {}) },
    effects: [
      ...effects,
      ...canceled.effects.filter(({ type }) => type !== "reply"),
      ...calls,
      ...(context.options.expiresAt === undefined ? [] : [forget("expiry")]),
    ],
  };
}
