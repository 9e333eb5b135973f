/**
 * Port between the partition loop and those who do work outside of it. The loop hands work
 * over only after the commit that holds it; the outcome comes back as a command through `ask`.
 */
import type { Address } from "../machines/address.ts";
import type { JsonObject } from "../machines/effects.ts";

export interface Work {
  readonly address: Address;
  /** From the `execute` effect; unique within the actor. */
  readonly id: string;
  readonly kind: string;
  readonly spec: JsonObject;
  /** The actor's context as of the commit that asked for the work (so that `spec` need not repeat it). */
  readonly context: JsonObject;
}

/** One per kind of work. Work of a dead process is not given again: its actor gets `work.lose` and asks anew. */
export interface Executor {
  readonly kind: string;
  /** Takes the work; must not throw and not block. */
  start(work: Work): void;
  /** Whether the work is here: begun, still waiting for its turn, or (undefined) not. */
  holds(address: Address, id: string): "running" | "waiting" | undefined;
  /** The actor settled it, or takes it back: stop, report nothing more. Unknown work: nothing. */
  abort(address: Address, id: string, reason: string): void;
  /** Gives running work up to `graceMs` to finish, then aborts it. */
  drain(graceMs: number): Promise<void>;
}
