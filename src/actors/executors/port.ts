/**
 * What executors are given to work with: a way to ask actors, large values, time and a log.
 * Knows no driver.
 */
import type { Clock } from "../../bus/clock.ts";
import type { Address } from "../../machines/address.ts";
import type { Command, JsonObject } from "../../machines/effects.ts";
import type { Answer, LargeValues } from "../client.ts";

/** The part of pino's logger that is used here. */
export interface Logger {
  debug(fields: Record<string, unknown>, message: string): void;
  info(fields: Record<string, unknown>, message: string): void;
  warn(fields: Record<string, unknown>, message: string): void;
  error(fields: Record<string, unknown>, message: string): void;
}

export interface ExecutorPort {
  /** As Runtime.ask: commits, then answers; throws TroupeError. */
  ask(to: Address, command: Command): Promise<Answer>;
  /** To live listeners at once: not stored, at most once. */
  announce(at: Address, kind: string, name: string, data: JsonObject): void;
  readonly values: LargeValues;
  readonly clock: Clock;
  /** This node's id. */
  readonly node: string;
  /** This node's name for people, of which its agents' ids are made; default: its id. */
  readonly name?: string;
  readonly logger: Logger;
}
