/**
 * The consistent cut: for each partition the group at which its backup ends, such that no letter counts as
 * applied that was not sent, and none as acknowledged that was not applied. Pure; see ADR 0031.
 */
import type { Positions } from "../audit/journal-check.ts";
import type { Group } from "../group.ts";
import { BackupError } from "./file.ts";

/** What the cut needs of a group. */
export interface Step {
  readonly seq: number;
  readonly number: number;
  /** The message as it is stored: held, so that no trimming can take it away before it is written. */
  readonly bytes: Uint8Array;
  readonly body: Pick<Group["body"], "mail" | "acked" | "cursors">;
}

export interface Line {
  readonly partition: number;
  /** What the partition's record says; it reflects no later group than the first end. */
  readonly positions: Positions;
  /** The journal from the floor on. */
  readonly steps: readonly Step[];
  /** Index of the last step that is in the backup; -1 before any is taken. */
  end: number;
}

export function lineOf(partition: number, positions: Positions, steps: readonly Step[], number: number): Line {
  const line: Line = { partition, positions, steps, end: -1 };
  while (line.end + 1 < steps.length && (line.end < 0 || (steps[line.end] as Step).number < number)) take(line);
  if (steps.length > 0 && (steps[line.end] as Step).number < number)
    throw new BackupError(
      `Partition ${partition}: a record reflects group ${number}, which its journal does not have. Run troupe audit.`,
    );
  return line;
}

function take(line: Line): void {
  line.end++;
  line.positions.take(line.steps[line.end] as Step);
}

/**
 * Moves ends forward, each only as far as another demands, until nothing is demanded: the least cut not
 * before the given ends. The state of any one moment after them is such a cut, so it ends at or before
 * the steps read at a later moment.
 */
export function settleCut(lines: readonly Line[]): void {
  const of = new Map(lines.map((line) => [line.partition, line]));
  for (let moved = true; moved; ) {
    moved = false;
    const demand = (line: Line | undefined, reached: (positions: Positions) => number, number: number) => {
      if (line === undefined) throw new BackupError("A partition has letters for one that does not exist.");
      while (reached(line.positions) < number) {
        if (line.end + 1 >= line.steps.length)
          throw new BackupError(
            `Partition ${line.partition}: its journal lacks what others know of it. Run troupe audit.`,
          );
        take(line);
        moved = true;
      }
    };
    for (const { partition, positions } of lines) {
      for (const [from, number] of [...positions.applied])
        demand(of.get(from), (p) => p.sent.get(partition) ?? 0, number);
      for (const [to, number] of [...positions.acked]) demand(of.get(to), (p) => p.applied.get(partition) ?? 0, number);
    }
  }
}
