/**
 * Agents written in TypeScript: `defineAgent` and what their `run` is given. The function runs
 * in a node's process, at least once per task, each time with a new attempt number and the
 * same idempotency key.
 */
import type { ZodType } from "zod";
import type { Json, JsonObject } from "../machines/effects.ts";

export interface AgentContext {
  /** Aborted on cancellation, time-out, lost lease or drain; `signal.reason` is an Error that says which. */
  readonly signal: AbortSignal;
  /** 1 for the first attempt. */
  readonly attempt: number;
  /** The same for every attempt of this task: hand it to the systems you call. */
  readonly idempotencyKey: string;
  readonly taskId: string;
  /** The run this task belongs to, when it does. */
  readonly runId: string | undefined;
  /** Progress of this attempt, 0–1, with an optional sentence; live in every view. Coalesced. */
  progress(fraction: number, message?: string): void;
  /** A structured line in the node's log, with the task's ids. */
  log(message: string, fields?: Record<string, unknown>): void;
  /** Keeps an artifact with the run (or the task); it becomes visible when this attempt's completion is accepted. */
  artifact(artifact: ArtifactInput): Promise<{ artifactId: string }>;
  /** Adds a stored event of this task (`model_requested`, `tool_called`…). Past tense, [a-z_]. */
  event(name: string, data: JsonObject): void;
  /** Adds to the run's cost when this attempt's completion is accepted. */
  cost(cost: { promptTokens?: number; completionTokens?: number; usd?: number }): void;
  /**
   * What the last attempt saved with `save`; null when nothing was. With it an attempt goes on where the one
   * before it was cut off.
   */
  readonly saved: Json;
  /** Keeps a value for the next attempt, in one commit with a stored event if one is given. Replaces what was saved. */
  save(value: Json, event?: { readonly name: string; readonly data: JsonObject }): Promise<void>;
  /**
   * Tells live listeners something at once (a token of an answer): not stored, at most once. What matters has to
   * be stored besides, by `event`, `save` or the output.
   */
  live(name: string, data: JsonObject): void;
  /** A deadline-aware wait on the injected clock; rejects when `signal` aborts. */
  sleep(ms: number): Promise<void>;
}

export type ArtifactInput =
  | { readonly type: "file"; readonly name: string; readonly mimeType: string; readonly bytes: Uint8Array }
  | { readonly type: "record" | "message"; readonly name: string; readonly data: Json };

export interface AgentDefinition<I = Json, O = Json> {
  /** What stages and tasks ask for: [a-z0-9][a-z0-9_.-]{0,63}. */
  readonly type: string;
  readonly description?: string;
  readonly capabilities?: readonly string[];
  /** Attempts at once in one node. Default 1. */
  readonly concurrency?: number;
  /** Takes only work that no other agent, registered anywhere, is there for. */
  readonly fallback?: boolean;
  /** Checked before `run`; a mismatch fails the task without retry. */
  readonly input?: ZodType<I>;
  /** Checked after `run`; a mismatch fails the attempt. */
  readonly output?: ZodType<O>;
  /** Throw `new TaskError(message, { retryable: false })` to fail without retry; anything else thrown is retried by the task's policy. */
  run(ctx: AgentContext, input: I): Promise<O> | O;
  /** Answers requests to the subject `agent.<type>.<operation>`. */
  request?(operation: string, data: Json): Promise<Json> | Json;
}

/** What a tool's function is given. */
export interface ToolContext {
  readonly signal: AbortSignal;
  /** The same for every attempt at this very call: hand it to the systems you call. */
  readonly idempotencyKey: string;
  readonly toolCallId: string;
  /** The conversation (thread) that the call belongs to. */
  readonly sessionId: string;
  /** What the conversation's front end and agents share; null outside of a conversation. */
  readonly state: Json;
  /** Changes it; the front end hears of it when the tool returns. */
  setState(state: Json): void;
  log(message: string, fields?: Record<string, unknown>): void;
}

export interface ToolDefinition<A = unknown> {
  /** As the model calls it: [A-Za-z0-9_-]{1,64}. */
  readonly name: string;
  readonly description?: string;
  /** Of the arguments: a zod schema, or a JSON Schema. */
  readonly parameters: ZodType<A> | JsonObject;
  /** A human decides before each call. */
  readonly needsApproval?: boolean;
  /** What it returns goes to the model: a string as it is, anything else as JSON. Thrown errors go there too. */
  run(ctx: ToolContext, args: A): Promise<Json> | Json;
}

/** Types a tool; `troupe start --agents ./file.ts` loads those that the file exports, for the model agent. */
export function defineTool<A = unknown>(definition: ToolDefinition<A>): ToolDefinition<A> {
  return definition;
}

/** A failure with a code of its own and a say in whether to retry. */
export class TaskError extends Error {
  override readonly name = "TaskError";
  readonly code: string;
  readonly retryable: boolean;
  constructor(message: string, options: { code?: string; retryable?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.code = options.code ?? "agent_failed";
    this.retryable = options.retryable ?? true;
  }
}

/** Types an agent; `troupe start --agents ./file.ts` loads those that the file exports. */
export function defineAgent<I = Json, O = Json>(definition: AgentDefinition<I, O>): AgentDefinition<I, O> {
  return definition;
}
