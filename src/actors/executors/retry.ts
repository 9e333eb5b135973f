/**
 * Owns delivering until settled: a report is sent again until its actor has taken it, refused
 * it, or the work is no longer wanted. Knows no kind of work.
 */
import { BusError } from "../../bus/bus.ts";
import type { Clock } from "../../bus/clock.ts";
import type { Address } from "../../machines/address.ts";
import type { Command } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { Answer } from "../client.ts";
import type { ExecutorPort } from "./port.ts";

const backoffFirstMs = 20;
const backoffMaxMs = 2_000;

export type Delivery =
  | { readonly kind: "accepted"; readonly answer: Answer }
  /** `conflict` or `not_found`: somebody settled the work; nothing more to say. */
  | { readonly kind: "settled"; readonly error: TroupeError }
  /** Refused for what it says (`too_large`, `invalid_input`, `internal`…): the same again would be refused again. */
  | { readonly kind: "refused"; readonly error: TroupeError }
  | { readonly kind: "aborted" };

/**
 * True for failures of the surroundings (owner moved, store away, overload): the same call may
 * succeed later, and nobody's retry policy is to be charged.
 */
export function isPassing(error: unknown): boolean {
  if (error instanceof TroupeError) return error.kind.retryable;
  if (error instanceof BusError) return error.code !== "corrupt";
  return false;
}

/**
 * Sends the command until it is taken, refused, or `signal` aborts. An error of no known kind is
 * tried again too: a report must not be lost to a fault on its way. Never throws.
 */
export async function deliver(
  port: ExecutorPort,
  to: Address,
  command: Command,
  signal: AbortSignal,
): Promise<Delivery> {
  for (let round = 0; !signal.aborted; round++) {
    try {
      return { kind: "accepted", answer: await port.ask(to, command) };
    } catch (error) {
      if (error instanceof TroupeError && !error.kind.retryable) {
        const settled = error.code === "conflict" || error.code === "not_found";
        return { kind: settled ? "settled" : "refused", error };
      }
      const known = error instanceof TroupeError || error instanceof BusError;
      const fields = { task: `${to.type}/${to.key}`, command: command.type, round, err: error };
      if (known) port.logger.debug(fields, "a report did not arrive; sending it again");
      else port.logger.error(fields, "a report failed unexpectedly; sending it again");
    }
    await pause(port.clock, backoffMs(round), signal);
  }
  return { kind: "aborted" };
}

/** Repeats `work` while it fails by its surroundings; throws its other errors, and the signal's reason. */
export async function persist<T>(port: ExecutorPort, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let round = 0; ; round++) {
    signal.throwIfAborted();
    try {
      return await work();
    } catch (error) {
      if (!isPassing(error)) throw error;
      port.logger.debug({ round, err: error }, "the store did not answer; trying again");
    }
    await pause(port.clock, backoffMs(round), signal);
  }
}

function backoffMs(round: number): number {
  return Math.min(backoffMaxMs, backoffFirstMs * 2 ** Math.min(round, 10));
}

/** Resolves after `ms`, or at once when the signal aborts. */
export function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      timer.cancel();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener("abort", done, { once: true });
  });
}
