/**
 * What an audit says: figures and problems, per partition and across them. Shapes, and how they read for
 * people; finding the problems is done elsewhere in this folder.
 */
import type { Layout } from "../../bus/bus.ts";

/** Stable names of what can be wrong. */
export type ProblemCode =
  /** Checksum wrong, cut, or not a message of this place. */
  | "damaged"
  /** Written by a newer Troupe: not judged. */
  | "newer_format"
  /** A group, record, page, part or blob that must be there is not. */
  | "missing"
  /** Groups, steps, events or letters whose numbers do not follow each other. */
  | "broken_chain"
  /** A record of a group that the journal does not have. */
  | "ahead_of_journal"
  /** Values that contradict each other. */
  | "contradiction"
  /** The store could not be read there. */
  | "unreadable";

export interface Problem {
  /** null: of the store as a whole. */
  readonly partition: number | null;
  /** `journal 1042`, `record a/run/run_1`, `channel 3 → 0`, `blob run_1/ab…`. */
  readonly place: string;
  readonly code: ProblemCode;
  readonly message: string;
}

export interface PartitionReport {
  readonly partition: number;
  /** Groups read, and their numbers; 0 when the journal is empty. */
  readonly groups: number;
  readonly firstNumber: number;
  readonly lastNumber: number;
  readonly floor: number;
  readonly journalBytes: number;
  readonly records: number;
  readonly recordBytes: number;
  readonly actors: number;
  readonly histories: number;
  /** Events in histories and tail. */
  readonly events: number;
  readonly blobsReferenced: number;
  readonly problems: readonly Problem[];
}

export interface AuditReport {
  readonly sound: boolean;
  readonly layout: Pick<Layout, "partitions" | "streams">;
  readonly partitions: readonly PartitionReport[];
  readonly blobs: { readonly stored: number; readonly referenced: number; readonly verified: number };
  /** Those between partitions, and of blobs. */
  readonly problems: readonly Problem[];
}

/** Beyond it a partition's problems are only counted: a torn journal would otherwise fill the memory. */
const problemsMax = 1000;

/** Collects the problems of one partition (null: of the whole). */
export class Problems {
  readonly list: Problem[] = [];
  readonly partition: number | null;
  #over = 0;

  constructor(partition: number | null) {
    this.partition = partition;
  }

  add(place: string, code: ProblemCode, message: string): void {
    if (this.list.length < problemsMax) this.list.push({ partition: this.partition, place, code, message });
    else this.#over++;
  }

  /** What was thrown while reading one thing. */
  caught(place: string, error: unknown): void {
    const code = (error as { code?: unknown }).code;
    const message = error instanceof Error ? error.message : String(error);
    if (code === "corrupt") this.add(place, "damaged", message);
    else if (code === "newer_format") this.add(place, "newer_format", message);
    else if (code === "unreachable") throw error;
    else this.add(place, code === undefined ? "damaged" : "unreadable", message);
  }

  /** The list, with a last entry that counts what did not fit. */
  done(): Problem[] {
    if (this.#over === 0) return this.list;
    const message = `${this.#over} further problems are not listed.`;
    return [...this.list, { partition: this.partition, place: "…", code: "damaged", message }];
  }
}

/** A line per partition, every problem with its place, and the verdict. */
export function describeReport(report: AuditReport): string[] {
  const lines: string[] = [];
  for (const p of report.partitions) {
    const verdict =
      p.problems.length === 0 ? "sound" : `${p.problems.length} problem${p.problems.length > 1 ? "s" : ""}`;
    const span = p.groups === 0 ? "no groups" : `groups ${p.firstNumber}–${p.lastNumber}`;
    lines.push(
      `partition ${p.partition}: ${verdict}; ${span} (${kib(p.journalBytes)}), ${p.records} records (${kib(p.recordBytes)}), ${p.actors} actors, ${p.events} events, ${p.blobsReferenced} large values`,
    );
    for (const one of p.problems) lines.push(`  ${one.place}: ${one.code}: ${one.message}`);
  }
  const { stored, referenced, verified } = report.blobs;
  const checked = verified > 0 ? `, ${verified} read and verified` : "";
  lines.push(`large values: ${stored} stored, ${referenced} referenced${checked}`);
  for (const one of report.problems) lines.push(`  ${one.place}: ${one.code}: ${one.message}`);
  const count = report.problems.length + report.partitions.reduce((sum, p) => sum + p.problems.length, 0);
  lines.push(report.sound ? "the store is sound" : `the store is NOT sound: ${count} problem${count > 1 ? "s" : ""}`);
  return lines;
}

function kib(bytes: number): string {
  return bytes < 1 << 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / (1 << 20)).toFixed(1)} MiB`;
}
