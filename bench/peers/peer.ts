/**
 * What every system under test gives: one server with its application, and the three works as plain calls of a
 * client outside of both. Knows no system.
 */
import type { Passed } from "./step.ts";

/** One server with one setting of durability: started, measured, stopped. */
export interface Setup {
  readonly system: string;
  /** What an answered call survives, and what makes it so. Stands beside every figure. */
  readonly durability: string;
  /** Throws `Missing` when the server is not installed. */
  start(): Promise<Running>;
}

export interface Running {
  /** Names and versions of what runs. */
  readonly versions: Readonly<Record<string, string>>;
  /** Process ids whose CPU is counted, each with its descendants, by role (`server`, `app`). */
  readonly processes: Readonly<Record<string, number>>;
  readonly states: readonly StateWork[];
  readonly workflows: readonly WorkflowWork[];
  readonly fanOuts: readonly FanOutWork[];
  stop(): Promise<void>;
}

/** Objects that are changed durably, one call each time. */
export interface StateWork {
  readonly what: string;
  /** Makes objects 0 … count - 1; not measured. */
  create(count: number): Promise<void>;
  /** Resolves when the change is acknowledged, with the count of the object's changes where the system keeps one. */
  change(object: number): Promise<number | undefined>;
}

/** Three steps, one after the other. */
export interface WorkflowWork {
  readonly what: string;
  /** From submit to result. */
  run(value: number): Promise<Passed>;
}

/** Many tasks of one run, and their join. */
export interface FanOutWork {
  readonly what: string;
  /** Resolves with how many results were joined. */
  run(tasks: number): Promise<number>;
}

/** A server that is not installed; the message says how to get it. */
export class Missing extends Error {
  override readonly name = "Missing";
}

/** How many calls a system's workers may have in hand; the same for all that have such a bound. */
export const workersMax = 256;
