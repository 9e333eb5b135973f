/**
 * What the runtime needs to know of one type of actor. The runtime knows no domain; the domain
 * knows no runtime: this is all they share.
 */
import type { AnyStateMachine } from "xstate";
import type { Json, JsonObject } from "./effects.ts";

/** A machine's snapshot as it is kept: XState's state value and context, plain JSON, immutable. */
export interface Snapshot<C = JsonObject> {
  readonly value: Json;
  readonly context: C;
}

/** Fields a list can filter by equality (an array: any of its members). Small; kept in memory per actor. */
export type IndexFields = Readonly<Record<string, string | number | readonly string[]>>;

export interface ActorDefinition<C = never> {
  readonly type: string;
  /** Version of the snapshot's shape; raised together with `migrate`. */
  readonly version: number;
  /**
   * Pure XState machine: no promises, `invoke`, `spawn`, clock or randomness. Its initial state
   * stands for "does not exist yet" (context `{}`-like): a command it does not handle there is
   * refused as `not_found`. In any other state an unhandled command is refused as `conflict`.
   */
  readonly machine: AnyStateMachine;
  /** Reads a snapshot of an older version. */
  migrate?(snapshot: Snapshot<JsonObject>, from: number): Snapshot<JsonObject>;
  /** The kind token of its event subjects: a task's type, a run's workflow, an agent's type. */
  kind(context: C): string;
  /** Fields for lists; null keeps the actor out of lists. `created` (ms) orders them when present. */
  index?(snapshot: Snapshot<C>): IndexFields | null;
  /** What a read returns. Default: the context. */
  view?(snapshot: Snapshot<C>): Json;
  /** True when the actor is over and may be dropped from memory at once after a flush. */
  ended?(snapshot: Snapshot<C>): boolean;
}
