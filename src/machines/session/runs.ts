/**
 * What each command does to a session: the runs it starts, one after the other, and what they leave in it.
 * Pure functions that the chart in machine.ts names.
 */
import { address } from "../address.ts";
import { type Effect, emit, type Json, type JsonObject, refuse, reply, type StepMeta, send } from "../effects.ts";
import { isObject } from "../json.ts";
import { pagedItems } from "../paged.ts";
import type { Planned, WithMeta } from "../planned.ts";
import { answerCalls, listOf, newCalls } from "./calls.ts";
import { addedBy, mergeMessages, oversized } from "./messages.ts";
import {
  messageSizeMax,
  queueMax,
  runsKeptMax,
  type SessionBegin,
  type SessionCommand,
  type SessionContext,
  type SessionRun,
  type SessionRunStatus,
} from "./schema.ts";
import { changedState, mergeTools, stateEvent } from "./state.ts";

type Of<T extends SessionCommand["type"]> = WithMeta<Extract<SessionCommand, { type: T }>>;
type Step = Planned<SessionContext>;

const active: ReadonlySet<SessionRunStatus> = new Set(["queued", "running", "interrupted"]);

export function beginRun(context: SessionContext, command: Of<"session.begin_run">): Step {
  const known = context.runs.find(({ id }) => id === command.id);
  if (known !== undefined) {
    return { context, effects: [reply({ outcome: "existing", run: known.run, status: known.status })] };
  }
  const large = oversized(command.messages);
  if (large !== undefined) {
    return refused(context, "too_large", `message ${large.id} is over ${messageSizeMax} bytes`);
  }
  const interrupted = context.runs.find(({ status }) => status === "interrupted");
  if (interrupted !== undefined) return resumeRun(context, command, interrupted);
  if ((command.resume ?? []).length > 0) {
    return refused(context, "conflict", "nothing in this session waits for a resume");
  }
  const { meta: _, ...begin } = command;
  const busy = context.runs.some(({ status }) => status === "running");
  if (!busy) return startRun({ ...context, activeAt: command.meta.now }, begin, command.meta, []);
  if ((context.options.concurrency ?? command.concurrency) === "refuse") {
    return refused(context, "conflict", "a run of this session is under way already");
  }
  if (context.queue.length >= queueMax) {
    return refused(context, "overloaded", `${queueMax} runs of this session wait already`);
  }
  const entry = entryOf(begin, "queued", command.meta, false);
  return {
    context: {
      ...context,
      activeAt: command.meta.now,
      queue: [...context.queue, begin],
      runs: remembered(context.runs, entry),
    },
    effects: [reply({ outcome: "queued", run: begin.run }), emit("run_queued", runData(entry))],
  };
}

function entryOf(begin: SessionBegin, status: SessionRunStatus, meta: StepMeta, resumed: boolean): SessionRun {
  const { id, runId, run, agent } = begin;
  const chat = begin.kind === "chat";
  return { id, runId, run, agent, chat, status, resumed, startedAt: meta.now, endedAt: null };
}

const runData = ({ runId, run, agent }: SessionRun): JsonObject => ({ runId, run, agent });

function remembered(runs: readonly SessionRun[], entry: SessionRun): readonly SessionRun[] {
  const others = runs.filter(({ id }) => id !== entry.id);
  const over = others.length + 1 - runsKeptMax;
  const kept = over > 0 ? others.filter((run, i) => i >= over || active.has(run.status)) : others;
  return [...kept, entry];
}

/** Merges what the client sent, answers its tool calls, and creates the run. */
function startRun(context: SessionContext, begin: SessionBegin, meta: StepMeta, before: readonly Effect[]): Step {
  const entry = entryOf(begin, "running", meta, false);
  const answered = answerCalls(context, begin.messages);
  const merged: SessionContext = {
    ...context,
    ...mergeMessages(context, begin.messages, "client"),
    pending: answered.pending,
    ...(begin.state === undefined ? {} : changedState(context, begin.state, meta)),
    ...(begin.context === undefined ? {} : { context: begin.context }),
    runs: remembered(context.runs, entry),
  };
  const create = creation(begin, begin.kind === "chat" ? chatInput(merged, begin) : (begin.input ?? null), meta);
  return {
    context: merged,
    effects: [
      ...before,
      ...answered.effects,
      reply({ outcome: "started", run: begin.run }),
      emit("run_began", runData(entry)),
      create,
    ],
  };
}

function creation(begin: SessionBegin, input: Json, meta: StepMeta): Effect {
  const { threadId, runId, agent, workflow, traceId, requestHash, createdBy } = begin;
  return send(address("run", begin.run), {
    type: "run.create",
    workflow,
    input,
    metadata: { threadId, runId, agent },
    traceId,
    requestHash,
    createdBy,
    parent: meta.self,
  });
}

/** What a chat agent is given: the conversation, the shared state, and the tools of client and session. */
function chatInput(context: SessionContext, begin: SessionBegin): Json {
  return {
    threadId: begin.threadId,
    runId: begin.runId,
    messages: pagedItems(context.messages),
    state: context.state,
    tools: mergeTools(context.tools, begin.tools ?? [], true),
    context: context.context,
    ...(begin.forwardedProps === undefined ? {} : { forwardedProps: begin.forwardedProps }),
  };
}

/** Answers the interrupts of a run that waits; the client's new run goes on with the same run actor. */
function resumeRun(context: SessionContext, command: Of<"session.begin_run">, waiting: SessionRun): Step {
  const resume = command.resume ?? [];
  const prefix = `${waiting.run}:`;
  const foreign = resume.find(({ interruptId }) => !interruptId.startsWith(prefix));
  if (resume.length === 0) {
    return refused(context, "conflict", `run ${waiting.runId} waits for an answer: send resume for its interrupts`);
  }
  if (foreign !== undefined) return refused(context, "conflict", `there is no open interrupt ${foreign.interruptId}`);
  const { meta: _, ...begin } = command;
  const answers = resume.map(({ interruptId }) => interruptId.slice(prefix.length));
  const entry = { ...entryOf({ ...begin, run: waiting.run }, "running", command.meta, true), answers };
  const ended: SessionRun = { ...waiting, status: "succeeded", endedAt: command.meta.now };
  const runs = context.runs.map((run) => (run.id === waiting.id ? ended : run));
  const decisions = resume.map(({ interruptId, decision, note, input }) =>
    send(address("run", waiting.run), {
      type: "run.decide",
      checkpointId: interruptId.slice(prefix.length),
      decision,
      ...(note === undefined ? {} : { note }),
      ...(decision === "provide_input" ? { input: input ?? null } : {}),
      by: command.createdBy,
      ref: command.id,
    }),
  );
  return {
    context: {
      ...context,
      activeAt: command.meta.now,
      ...mergeMessages(context, command.messages, "client"),
      ...(command.state === undefined ? {} : changedState(context, command.state, command.meta)),
      runs: remembered(runs, entry),
    },
    effects: [reply({ outcome: "resumed", run: waiting.run }), emit("run_resumed", runData(entry)), ...decisions],
  };
}

/** The run waits for a human, or goes on (somebody decided elsewhere). */
export function runWaits(context: SessionContext, command: Of<"session.run_waits">): Step {
  const from = command.waiting ? "running" : "interrupted";
  const at = context.runs.findLastIndex(({ run, status }) => run === command.run && status === from);
  const entry = context.runs[at];
  if (entry === undefined) return { context, effects: [reply(null)] };
  const status = command.waiting ? "interrupted" : "running";
  return { context: { ...context, runs: context.runs.with(at, { ...entry, status }) }, effects: [] };
}

export function finishRun(context: SessionContext, command: Of<"session.finish_run">): Step {
  const at = context.runs.findLastIndex(({ run, status }) => run === command.run && active.has(status));
  const entry = context.runs[at];
  if (entry === undefined) return { context, effects: [reply(null)] };
  const left = isObject(command.output) ? (command.output as JsonObject) : {};
  const calls = newCalls(context, listOf<JsonObject>(left.pending), command.meta);
  const { usage } = context;
  const { promptTokens, completionTokens, usd } = command.cost;
  const done: SessionContext = {
    ...context,
    activeAt: command.meta.now,
    ...mergeMessages(context, addedBy(command.run, command.output)),
    ...(left.state === undefined ? {} : changedState(context, left.state, command.meta)),
    runs: context.runs.with(at, { ...entry, status: command.status, endedAt: command.meta.now }),
    pending: [...context.pending, ...calls.pending],
    calls: context.calls + calls.pending.length,
    usage: {
      runs: usage.runs + 1,
      promptTokens: usage.promptTokens + promptTokens,
      completionTokens: usage.completionTokens + completionTokens,
      usd: usage.usd + usd,
    },
  };
  const effects: Effect[] = [endedEvent({ ...entry, status: command.status }), ...calls.effects];
  if (left.state !== undefined) effects.push(stateEvent(done));
  return nextRun(done, command.meta, effects);
}

/** The next that waits begins. */
function nextRun(context: SessionContext, meta: StepMeta, effects: readonly Effect[]): Step {
  const [begin, ...queue] = context.queue;
  if (begin === undefined) return { context, effects };
  const started = startRun({ ...context, queue }, begin, meta, []);
  return { context: started.context, effects: [...effects, ...started.effects.filter((e) => e.type !== "reply")] };
}

/** Of a session that is over: what its runs came to. */
export function noteEnd(context: SessionContext, command: Of<"session.finish_run">): Step {
  const at = context.runs.findLastIndex(({ run, status }) => run === command.run && active.has(status));
  const entry = context.runs[at];
  if (entry === undefined) return { context, effects: [reply(null)] };
  const ended: SessionRun = { ...entry, status: command.status, endedAt: command.meta.now };
  return { context: { ...context, runs: context.runs.with(at, ended) }, effects: [reply(null), endedEvent(ended)] };
}

const endedEvent = (run: SessionRun): Effect => emit("run_ended", { ...runData(run), status: run.status });

/** What runs is told to stop. What waits becomes a run that is cancelled at once: whoever watches it sees its end. */
export function cancelRun(context: SessionContext, command: Of<"session.cancel_run">): Step {
  const { meta } = command;
  const wanted = (run: SessionRun) => active.has(run.status) && (command.id === undefined || run.id === command.id);
  const reason = command.reason === undefined ? {} : { reason: command.reason };
  const effects: Effect[] = [reply(null)];
  const runs = context.runs.map((run) => {
    if (!wanted(run)) return run;
    const stop = send(address("run", run.run), { type: "run.cancel", ...reason });
    const begin = context.queue.find(({ id }) => id === run.id);
    if (run.status !== "queued" || begin === undefined) {
      effects.push(stop);
      return run;
    }
    const canceled: SessionRun = { ...run, status: "canceled", endedAt: meta.now };
    effects.push(creation(begin, begin.input ?? { threadId: begin.threadId, runId: begin.runId }, meta));
    effects.push(stop, endedEvent(canceled));
    return canceled;
  });
  const queue = context.queue.filter(({ id }) => runs.find((run) => run.id === id)?.status === "queued");
  return { context: { ...context, runs, queue }, effects };
}

function refused(context: SessionContext, code: "conflict" | "too_large" | "overloaded", message: string): Step {
  return { context, effects: [refuse(code, message)] };
}
