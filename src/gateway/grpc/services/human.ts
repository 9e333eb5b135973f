/**
 * Contract 003's HumanInLoop: somebody asks for an approval or an input, somebody decides, on this stream or any
 * other way. Each question is a run with one checkpoint, so it is durable and everybody sees it; the same request
 * id is the same question.
 */
import { EventType } from "@ag-ui/core";
import type { Json } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { questionCheckpoint, questionRun, startQuestion } from "../../ag-ui/question.ts";
import { isTerminal, toRunEvent } from "../../dialects/002/events.ts";
import type { Checkpoint } from "../../dialects/002/schema.ts";
import { rootEvents } from "../../sse.ts";
import { type AnyMessage, toTimestamp, unpackAny } from "../any.ts";
import { type CallContext, requireScopeOf } from "../calls.ts";
import { toEventResponse } from "./ag-ui-messages.ts";

type InputType = "TEXT" | "NUMBER" | "BOOLEAN" | "FILE" | "JSON";

export interface HumanRequest {
  readonly approval?: {
    readonly request_id: string;
    readonly action_description: string;
    readonly action_data: AnyMessage | null;
  } | null;
  readonly approval_response?: {
    readonly request_id: string;
    readonly approved: boolean;
    readonly reason: string;
  } | null;
  readonly input?: { readonly request_id: string; readonly prompt: string; readonly input_type: InputType } | null;
  readonly input_response?: { readonly request_id: string; readonly value: string } | null;
}

type Send = (message: object) => Promise<void>;

const schemas: Readonly<Record<InputType, object | undefined>> = {
  TEXT: { type: "string" },
  NUMBER: { type: "number" },
  BOOLEAN: { type: "boolean" },
  FILE: { type: "string" },
  JSON: undefined,
};

/** Questions of one stream that nobody has decided. */
export const questionsMax = 64;

export async function humanInLoop(ctx: CallContext, incoming: AsyncIterable<HumanRequest>, send: Send): Promise<void> {
  requireScopeOf(ctx, "runs:write");
  const stop = new AbortController();
  const signal = AbortSignal.any([ctx.signal, stop.signal]);
  const open = new Set<Promise<void>>();
  let fail: (error: unknown) => void = () => undefined;
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const take = async (): Promise<void> => {
    for await (const request of incoming) {
      const question = questionOf(request);
      if (question === undefined) {
        await answer(ctx, request);
        continue;
      }
      if (open.size >= questionsMax)
        throw new TroupeError("overloaded", `${questionsMax} questions wait on this stream`);
      const run = await startQuestion(ctx, question.id, question);
      const followed: Promise<void> = follow(ctx, send, run, question, signal).then(
        () => void open.delete(followed),
        fail,
      );
      open.add(followed);
    }
    await Promise.all(open);
  };
  try {
    await Promise.race([take(), failed]);
  } finally {
    stop.abort();
  }
}

/** Throws `invalid_input` for what is no request; undefined: an answer. */
function questionOf(request: HumanRequest): Question | undefined {
  const question = request.approval ? approvalOf(request.approval) : request.input ? inputOf(request.input) : undefined;
  if (question?.id === "") throw new TroupeError("invalid_input", "request_id is required");
  return question;
}

async function answer(ctx: CallContext, request: HumanRequest): Promise<void> {
  if (request.approval_response) await approve(ctx, request.approval_response);
  else if (request.input_response) await provide(ctx, request.input_response);
  else throw new TroupeError("invalid_input", "A request is approval, approval_response, input or input_response");
}

interface Question {
  /** As its asker named it. */
  readonly id: string;
  readonly title: string;
  readonly instructions: string;
  readonly schema?: object;
  required(checkpoint: Checkpoint): object;
}

function approvalOf(request: NonNullable<HumanRequest["approval"]>): Question {
  const data = unpackAny(request.action_data);
  return {
    id: request.request_id,
    title: request.action_description === "" ? "Approve" : request.action_description,
    instructions: data === undefined ? "" : JSON.stringify(data, null, 2),
    required: ({ title, expires_at }) => ({
      approval_required: {
        request_id: request.request_id,
        prompt: title,
        options: ["approve", "reject"],
        expires_at: toTimestamp(expires_at === null ? null : Date.parse(expires_at)),
      },
    }),
  };
}

function inputOf(request: NonNullable<HumanRequest["input"]>): Question {
  const schema = schemas[request.input_type];
  return {
    id: request.request_id,
    title: request.prompt === "" ? "Input" : request.prompt,
    instructions: "",
    ...(schema === undefined ? {} : { schema }),
    required: ({ title, expires_at }) => ({
      input_required: {
        request_id: request.request_id,
        prompt: title,
        input_type: request.input_type,
        required: true,
        expires_at: toTimestamp(expires_at === null ? null : Date.parse(expires_at)),
      },
    }),
  };
}

/** Tells the question, and its decision when there is one; a question that was cancelled is told as refused. */
async function follow(
  ctx: CallContext,
  send: Send,
  run: string,
  question: Question,
  signal: AbortSignal,
): Promise<void> {
  for await (const stored of rootEvents(ctx, { root: run, after: 0, ended: false, signal })) {
    const event = stored === "silence" ? null : toRunEvent(stored, "");
    if (event === null) continue;
    const { checkpoint } = event.payload as { checkpoint?: Stored };
    if (event.type === "hitl.required" && checkpoint !== undefined) await send(question.required(shapeOf(checkpoint)));
    const over = isTerminal(event.type);
    if (!over && (event.type !== "hitl.resolved" || checkpoint === undefined)) continue;
    const value = { request_id: question.id, ...decisionOf(over ? undefined : checkpoint) };
    await send({ event: toEventResponse({ type: EventType.CUSTOM, name: "human_decision", value }) });
    await send({ continue_execution: { request_id: question.id } });
    return;
  }
}

function decisionOf(checkpoint: Stored | undefined) {
  if (checkpoint === undefined) return { status: "canceled", approved: false };
  const { decision, providedInput, status } = checkpoint;
  return {
    status,
    approved: decision?.approved ?? false,
    ...(decision?.note ? { reason: decision.note } : {}),
    ...(status === "input_provided" ? { value: providedInput } : {}),
  };
}

interface Stored {
  readonly title: string;
  readonly status: string;
  readonly expiresAt: number | null;
  readonly providedInput: Json;
  readonly decision: { readonly approved: boolean; readonly note: string | null } | null;
}

function shapeOf({ title, expiresAt }: Stored): Checkpoint {
  return { title, expires_at: expiresAt === null ? null : new Date(expiresAt).toISOString() } as Checkpoint;
}

/** A question of this service by its request id, or any interrupt as AG-UI names it (`<run>:<checkpoint>`). */
function placeOf(requestId: string): { run_id: string; checkpoint_id: string } {
  const cut = requestId.lastIndexOf(":");
  if (requestId.startsWith("run_") && cut > 0) {
    return { run_id: requestId.slice(0, cut), checkpoint_id: requestId.slice(cut + 1) };
  }
  return { run_id: questionRun(requestId), checkpoint_id: questionCheckpoint };
}

async function approve(
  ctx: CallContext,
  { request_id, approved, reason }: NonNullable<HumanRequest["approval_response"]>,
) {
  const at = placeOf(request_id);
  const note = reason === "" ? {} : { note: reason };
  await ctx.run(approved ? "checkpoints.approve" : "checkpoints.reject", { ...at, ...note });
}

async function provide(ctx: CallContext, { request_id, value }: NonNullable<HumanRequest["input_response"]>) {
  const at = placeOf(request_id);
  const run = await ctx.run<{ checkpoints: Checkpoint[] }>("runs.get", { run_id: at.run_id });
  const wanted = run.checkpoints.find(({ checkpoint_id }) => checkpoint_id === at.checkpoint_id)?.required_schema;
  await ctx.run("checkpoints.provide_input", { ...at, input: parsed(value, wanted) });
}

/** Texts stay texts; where another type is wanted the value is JSON. */
function parsed(value: string, schema: unknown): unknown {
  const type = (schema as { type?: unknown } | null | undefined)?.type;
  if (type === "string") return value;
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}
