/**
 * Begins a run in a session, for every protocol: the session decides, the run follows. The same thread and run
 * ids give the same run, however often they are sent.
 */
import { createHash } from "node:crypto";
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { isObject } from "../../machines/json.ts";
import type { SessionRun } from "../../machines/session/schema.ts";
import { idFromKey } from "../idempotency.ts";
import { hashJson } from "../json.ts";
import type { OperationContext } from "../operation.ts";
import { findTarget, inputOf } from "./agents.ts";
import { sessionView } from "./run-stream.ts";

export interface ResumeEntry {
  readonly interruptId: string;
  readonly status: "resolved" | "cancelled";
  readonly payload?: Json | undefined;
}

export interface BeginInput {
  readonly threadId: string;
  readonly runId: string;
  readonly agent: string | undefined;
  readonly messages: readonly JsonObject[];
  readonly state?: Json | undefined;
  readonly tools?: readonly JsonObject[] | undefined;
  readonly context?: readonly JsonObject[] | undefined;
  readonly forwardedProps?: Json | undefined;
  readonly resume?: readonly ResumeEntry[] | undefined;
}

export interface Begun {
  /** Key of the session's actor. */
  readonly session: string;
  readonly entry: SessionRun;
}

/** A message larger than this goes to the object store. */
const messageInlineBytes = 16_384;

/** The session's key: the thread's own name where it can be one, a hash of it otherwise. */
export function sessionKey(threadId: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/.test(threadId)) return threadId;
  return `#${createHash("sha256").update(threadId).digest("hex").slice(0, 40)}`;
}

/** Id of a run within its session; its actor is `run_` and this. */
export function runIdOf(threadId: string, runId: string): string {
  return idFromKey(sessionKey(threadId), "session.run", runId);
}

/** Throws `not_found` for an unknown agent, `conflict`, `overloaded`, `too_large` as the session refuses. */
export async function beginRun(ctx: OperationContext, input: BeginInput): Promise<Begun> {
  const { runtime } = ctx;
  const session = sessionKey(input.threadId);
  const id = runIdOf(input.threadId, input.runId);
  const target = await findTarget(ctx, input.agent);
  const given =
    target.kind === "chat" ? undefined : inputOf(input.messages, input.forwardedProps, input.state, input.threadId);
  const resumes = (input.resume ?? []).length > 0;
  if (given !== undefined && !resumes) {
    const schema = target.workflow.definition.input_schema;
    if (schema !== undefined) ctx.schemas.validate(schema, given, "input");
  }
  const stored = <T extends Json>(value: T): Promise<Json> =>
    runtime.values.offload(session, value, messageInlineBytes);
  const [messages, large, state] = await Promise.all([
    Promise.all(input.messages.map((message) => messageOf(ctx, session, message))),
    given === undefined ? undefined : stored(given),
    input.state === undefined ? undefined : runtime.values.offload(session, input.state),
  ]);
  const { name, version, hash, definition } = target.workflow;
  const command = {
    type: "session.begin_run",
    threadId: input.threadId,
    runId: input.runId,
    id,
    run: `run_${id}`,
    agent: target.agent,
    workflow: { name, version, hash, definition },
    kind: target.kind,
    ...(large === undefined ? {} : { input: large }),
    messages,
    ...(state === undefined || isEmpty(state) ? {} : { state }),
    ...(input.tools === undefined ? {} : { tools: input.tools }),
    ...(input.context === undefined ? {} : { context: input.context }),
    ...(input.forwardedProps === undefined ? {} : { forwardedProps: input.forwardedProps }),
    ...(resumes ? { resume: input.resume?.map(decisionOf) } : {}),
    traceId: createHash("sha256").update(`trace:${id}`).digest("hex").slice(0, 32),
    requestHash: requestHash(hash, input),
    createdBy: ctx.credential.name,
    ...(ctx.agUi.concurrency === undefined ? {} : { concurrency: ctx.agUi.concurrency }),
  };
  await runtime.ask(address("session", session), command, { timeoutMs: ctx.limits.askTimeoutMs });
  return { session, entry: await entryOf(ctx, session, id) };
}

/** Clients send `{}` where they have no state: that replaces nothing. */
const isEmpty = (state: Json): boolean => isObject(state) && Object.keys(state).length === 0;

async function messageOf(ctx: OperationContext, session: string, message: JsonObject): Promise<JsonObject> {
  const { content, ...rest } = message;
  if (content === undefined) return message;
  return { ...rest, content: await ctx.runtime.values.offload(session, content, messageInlineBytes) };
}

export async function entryOf(ctx: OperationContext, session: string, id: string): Promise<SessionRun> {
  const entry = (await sessionView(ctx, session)).runs.find((run) => run.id === id);
  if (entry === undefined) throw new TroupeError("not_found", "This run is not among those that the session remembers");
  return entry;
}

/** A checkpoint's decision from a resume's payload: a boolean or `{approved}` decides, anything else is input. */
function decisionOf({ interruptId, status, payload }: ResumeEntry) {
  if (status === "cancelled") return { interruptId, decision: "reject", note: "cancelled" };
  if (payload === undefined || payload === true) return { interruptId, decision: "approve" };
  if (payload === false) return { interruptId, decision: "reject" };
  if (!isObject(payload) || typeof payload.approved !== "boolean") {
    return { interruptId, decision: "provide_input", input: payload };
  }
  const note = [payload.note, payload.reason].find((value): value is string => typeof value === "string");
  return {
    interruptId,
    decision: payload.approved ? "approve" : "reject",
    ...(note === undefined ? {} : { note: note.slice(0, 16_000) }),
  };
}

function requestHash(workflow: string, input: BeginInput): Record<string, string> {
  return {
    workflow: hashJson(workflow),
    input: hashJson([input.messages, input.state ?? null, input.forwardedProps ?? null] as unknown as Json),
    context: hashJson((input.context ?? []) as unknown as Json),
    metadata: hashJson({ threadId: input.threadId, runId: input.runId }),
    labels: hashJson({}),
  };
}
