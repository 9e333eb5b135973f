/**
 * What a machine may ask for: the closed union of effects, and the XState action that yields
 * them. Machines perform nothing; the runtime carries an effect out only after the commit that
 * holds it (invariant 2). Constructors keep machines short.
 */
import { enqueueActions } from "xstate";
import type { Address } from "./address.ts";
import type { ErrorCode } from "./errors.ts";

/** JSON, and nothing else, is what crosses between actors and lives in snapshots. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json | undefined };
export type JsonObject = { readonly [key: string]: Json | undefined };

/** A command: `type` in the imperative (`task.cancel`) and its fields. */
export interface Command {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** What the runtime adds to each command as `meta` before it reaches a machine. */
export interface StepMeta {
  readonly self: Address;
  /** Partition time: the NATS server's clock, monotonic, integer milliseconds. */
  readonly now: number;
}

export type Effect =
  /** A command to another actor; exactly once, in order (same partition: same commit). */
  | { readonly type: "send"; readonly to: Address; readonly command: Command }
  /** An event of this actor, numbered within its root, stored in the same commit. `name` in the past tense. */
  | { readonly type: "emit"; readonly name: string; readonly data: JsonObject }
  /** News for whoever listens just now: leaves after the commit, is neither numbered nor stored, at most once. */
  | { readonly type: "announce"; readonly name: string; readonly data: JsonObject }
  /** A durable reminder; a later one of the same name replaces it. `at`: partition time in ms. */
  | { readonly type: "remind"; readonly name: string; readonly at: number; readonly command: Command }
  | { readonly type: "forget"; readonly name: string }
  /** Work outside: the executor of that `kind` runs it; the outcome comes back as a command. `id` is unique in the actor. */
  | { readonly type: "execute"; readonly id: string; readonly kind: string; readonly spec: JsonObject }
  /** The work is over or no longer wanted: forget it, and abort it if it still runs. */
  | { readonly type: "settle"; readonly id: string }
  /** What the asker gets besides the view. At most one a step. */
  | { readonly type: "reply"; readonly value: Json }
  /** Nothing of this step is kept; the asker gets this error. */
  | { readonly type: "refuse"; readonly code: ErrorCode; readonly message: string; readonly details?: JsonObject };

export const send = (to: Address, command: Command): Effect => ({ type: "send", to, command });
export const emit = (name: string, data: JsonObject = {}): Effect => ({ type: "emit", name, data });
export const announce = (name: string, data: JsonObject = {}): Effect => ({ type: "announce", name, data });
export const remind = (name: string, at: number, command: Command): Effect => ({ type: "remind", name, at, command });
export const forget = (name: string): Effect => ({ type: "forget", name });
export const execute = (id: string, kind: string, spec: JsonObject): Effect => ({ type: "execute", id, kind, spec });
export const settle = (id: string): Effect => ({ type: "settle", id });
export const reply = (value: Json): Effect => ({ type: "reply", value });
export const refuse = (code: ErrorCode, message: string, details?: JsonObject): Effect =>
  details === undefined ? { type: "refuse", code, message } : { type: "refuse", code, message, details };

/**
 * An XState action that yields effects from the context (after the assigns before it) and the
 * event. The runtime collects what XState emits.
 */
// biome-ignore lint/suspicious/noExplicitAny: XState's action generics cannot be named here; callers are typed by `fn`.
export function effects<C, E>(fn: (args: { context: C; event: E }) => readonly Effect[]): any {
  // biome-ignore lint/suspicious/noExplicitAny: see above
  return enqueueActions(({ context, event, enqueue }: any) => {
    for (const effect of fn({ context, event })) enqueue.emit(effect);
  });
}
