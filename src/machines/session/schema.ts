/**
 * A session's commands, its limits, and what its snapshot holds. A session is a conversation (an AG-UI
 * thread): its messages, shared state, tools, and the runs that belong to it. The chart is in machine.ts.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../effects.ts";
import type { Paged } from "../paged.ts";
import { requestHashSchema, runCreateSchema, runFinishTaskSchema } from "../run/schema.ts";
import { costSchema, failureSchema, instantMsSchema, jsonObjectSchema, jsonSchema, keySchema } from "../schema.ts";

/** Messages that a session keeps; older ones leave (an option may say fewer). */
export const messagesMaxDefault = 1_000;
export const messagesMaxMax = 10_000;
/** Of one message as JSON text; what is larger has to be a reference. */
export const messageSizeMax = 65_536;
/** Of all messages of a session, as JSON text: they are a run's input, which one commit has to hold. */
export const messagesSizeMax = 1_048_576;
export const stateSizeMax = 262_144;
export const toolsMax = 256;
/** Runs that wait for the one before. */
export const queueMax = 16;
/** Runs that are remembered. */
export const runsKeptMax = 200;

/** A chat message as AG-UI has it; only its id and role matter here. */
export const messageSchema = z
  .looseObject({ id: z.string().min(1).max(512), role: z.string().min(1).max(32) })
  .transform((message) => message as unknown as Message);
export type Message = JsonObject & { readonly id: string; readonly role: string };

export const toolSchema = z
  .looseObject({ name: z.string().min(1).max(256) })
  .transform((tool) => tool as unknown as Tool);
export type Tool = JsonObject & { readonly name: string };

export const sessionOptionsSchema = z.strictObject({
  expiresAt: instantMsSchema.optional(),
  /** A second run at once: waits for the first, or is refused. Default `serial`. */
  concurrency: z.enum(["serial", "refuse"]).optional(),
  messagesMax: z.int().min(1).max(messagesMaxMax).optional(),
  autoSaveState: z.boolean().optional(),
  enableLogging: z.boolean().optional(),
});
export type SessionOptions = z.infer<typeof sessionOptionsSchema>;

export const sessionCreateSchema = z.strictObject({
  type: z.literal("session.create"),
  threadId: z.string().min(1).max(4_096),
  createdBy: z.string().max(256),
  options: sessionOptionsSchema.optional(),
  state: jsonSchema.optional(),
  tools: z.array(toolSchema).max(toolsMax).optional(),
  context: z.array(jsonObjectSchema).max(256).optional(),
});

export const resumeEntrySchema = z.strictObject({
  /** `<run key>:<checkpoint id>`, as the interrupt named it. */
  interruptId: z.string().min(1).max(400),
  decision: z.enum(["approve", "reject", "provide_input"]),
  note: z.string().max(16_384).optional(),
  input: jsonSchema.optional(),
});

/** Begins a run in the session. The very same again (by `id`) is a success without change. */
export const sessionBeginSchema = z.strictObject({
  type: z.literal("session.begin_run"),
  threadId: z.string().min(1).max(4_096),
  /** The client's name of the run, echoed exactly; `id` is the short form made of it. */
  runId: z.string().min(1).max(4_096),
  id: z.string().min(1).max(64),
  /** Key of the run actor that is made for it, unless it resumes one. */
  run: keySchema,
  agent: z.string().min(1).max(256),
  workflow: runCreateSchema.shape.workflow,
  /** `chat`: the run's input is the conversation; otherwise it is `input`. */
  kind: z.enum(["chat", "other"]),
  input: jsonSchema.optional(),
  messages: z.array(messageSchema).max(messagesMaxMax),
  state: jsonSchema.optional(),
  tools: z.array(toolSchema).max(toolsMax).optional(),
  context: z.array(jsonObjectSchema).max(256).optional(),
  forwardedProps: jsonSchema.optional(),
  resume: z.array(resumeEntrySchema).max(256).optional(),
  /** What it meets while another runs, unless the session's options say. */
  concurrency: z.enum(["serial", "refuse"]).optional(),
  traceId: z.string().max(64),
  requestHash: requestHashSchema,
  createdBy: z.string().max(256),
});
export type SessionBegin = z.infer<typeof sessionBeginSchema>;

/** From a run of the session: it waits for a human, goes on, or has ended. */
export const sessionWaitSchema = z.strictObject({
  type: z.literal("session.run_waits"),
  run: keySchema,
  waiting: z.boolean(),
});
export const sessionFinishSchema = z.strictObject({
  type: z.literal("session.finish_run"),
  run: keySchema,
  status: z.enum(["succeeded", "failed", "canceled", "timed_out"]),
  output: jsonSchema.optional(),
  error: failureSchema.nullish(),
  cost: costSchema,
});
export const sessionCancelSchema = z.strictObject({
  type: z.literal("session.cancel_run"),
  /** Short form; absent: whatever runs or waits. */
  id: z.string().max(64).optional(),
  reason: z.string().max(1_024).optional(),
});
export const sessionUpdateStateSchema = z.strictObject({
  type: z.literal("session.update_state"),
  state: jsonSchema,
  /** Top-level fields are merged (null removes one); otherwise the state is replaced. */
  merge: z.boolean(),
});
export const sessionToolsSchema = z.strictObject({
  type: z.literal("session.register_tools"),
  tools: z.array(toolSchema).max(toolsMax),
  replace: z.boolean(),
});
/** Forgets messages and state; what runs is cancelled. */
export const sessionResetSchema = z.strictObject({ type: z.literal("session.reset") });
export const sessionEndSchema = z.strictObject({
  type: z.literal("session.end"),
  saveState: z.boolean().optional(),
});
const sessionExpireSchema = z.strictObject({ type: z.literal("session.expire") });

export const sessionCommandSchema = z.discriminatedUnion("type", [
  sessionCreateSchema,
  sessionBeginSchema,
  sessionWaitSchema,
  sessionFinishSchema,
  sessionCancelSchema,
  sessionUpdateStateSchema,
  sessionToolsSchema,
  sessionResetSchema,
  sessionEndSchema,
  sessionExpireSchema,
  runFinishTaskSchema,
]);
export type SessionCommand = z.infer<typeof sessionCommandSchema>;

export type SessionRunStatus = "queued" | "running" | "interrupted" | "succeeded" | "failed" | "canceled" | "timed_out";

/** One run of the client's in this session; several may share a run actor (an interrupt and its resume). */
export interface SessionRun {
  readonly id: string;
  readonly runId: string;
  readonly run: string;
  readonly agent: string;
  /** Its input is the conversation, and its output adds to it. */
  readonly chat: boolean;
  readonly status: SessionRunStatus;
  /** It answered the interrupts of an earlier one. */
  readonly resumed: boolean;
  /** The checkpoints that it answered. */
  readonly answers?: readonly string[];
  readonly startedAt: number;
  readonly endedAt: number | null;
}

/** A tool call handed to the front end: its answer comes with the next run, or from whoever does its task. */
export interface PendingCall {
  readonly toolCallId: string;
  readonly name: string;
  /** Key of the task that waits. */
  readonly task: string;
}

export interface SessionUsage {
  readonly runs: number;
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly usd: number;
}

export interface SessionContext {
  readonly threadId: string;
  readonly createdBy: string;
  readonly createdAt: number;
  readonly activeAt: number;
  readonly options: SessionOptions;
  readonly messages: Paged<Message>;
  /** Of the messages as JSON text. */
  readonly size: number;
  readonly state: Json;
  /** Counts changes of the state; `stateAt` is the last one's time. */
  readonly stateVersion: number;
  readonly stateAt: number;
  readonly tools: readonly Tool[];
  readonly context: readonly JsonObject[];
  readonly runs: readonly SessionRun[];
  readonly queue: readonly SessionBegin[];
  readonly pending: readonly PendingCall[];
  /** Tasks made for calls so far. */
  readonly calls: number;
  readonly usage: SessionUsage;
}
