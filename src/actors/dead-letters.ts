/**
 * What becomes of a command without an asker that cannot be stepped: tried again a few times, then kept as
 * an actor of its own in the very commit that passes it over, so that neither it nor its cause is lost. Pure.
 */
import type { Address } from "../machines/address.ts";
import { type DeadLetterKeep, deadLetterType } from "../machines/dead-letter/machine.ts";
import type { Command } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { limits } from "./limits.ts";
import { roughBytes } from "./size.ts";

/** Tries a step that throws again, a bounded number of times; a refusal is an answer and is not tried again. */
export function tried<T>(step: () => T): T {
  for (let left = limits.stepTriesMax; ; left--) {
    try {
      return step();
    } catch (error) {
      if (error instanceof TroupeError || left <= 1) throw error;
    }
  }
}

/** One name for each, the same when the same group is made: partition, group, place in the group. */
export function deadLetterAddress(partition: number, number: number, index: number): Address {
  return { type: deadLetterType, key: `dl_${partition}_${number}_${index}` };
}

export function deadLetterOf(to: Address, command: Command, error: unknown, source: string, bytesMax: number): Command {
  const truncated = roughBytes(command) * 4 > bytesMax;
  const keep: DeadLetterKeep = {
    type: "dead_letter.keep",
    to,
    command: truncated ? { type: command.type } : command,
    truncated,
    error: String(error).slice(0, 1000),
    source,
    tries: limits.stepTriesMax,
  };
  return keep as unknown as Command;
}
