/** What a chaos run comes to: figures, and each kind of broken promise with its cases. How it reads in words. */
import type { Done } from "./schedule.ts";

export interface Broken {
  /** As it stands behind the number: `lost`. */
  readonly what: string;
  readonly cases: readonly string[];
}

export interface Verdict {
  readonly seed: number;
  readonly ms: number;
  readonly acknowledged: number;
  readonly faults: readonly Done[];
  /** Sentences with what was done besides. */
  readonly notes: readonly string[];
  readonly broken: readonly Broken[];
}

export function sound(verdict: Verdict): boolean {
  return verdict.broken.every(({ cases }) => cases.length === 0);
}

const shownMax = 20;
const count = (n: number): string => n.toLocaleString("en-US");

/** The last lines: what was done, then every promise with its number. */
export function describe(verdict: Verdict): string[] {
  const { seed, ms, acknowledged, faults, notes, broken } = verdict;
  const lines: string[] = [];
  for (const { what, cases } of broken) {
    for (const one of cases.slice(0, shownMax)) lines.push(`${what}: ${one}`);
    if (cases.length > shownMax) lines.push(`${what}: ${cases.length - shownMax} more`);
  }
  lines.push(...table(faults), "", ...notes);
  const minutes = (ms / 60_000).toFixed(1);
  const perSecond = Math.round(acknowledged / (ms / 1000));
  lines.push(
    `seed ${seed}: ${count(acknowledged)} acknowledged commands in ${minutes} minutes (${count(perSecond)} a second), ${count(faults.length)} faults`,
  );
  for (const { what, cases } of broken) lines.push(`${count(cases.length)} ${what}`);
  lines.push(sound(verdict) ? "every promise was kept" : "A PROMISE WAS BROKEN");
  return lines;
}

/** Faults by kind, with the slowest answers of their times. */
export function table(faults: readonly Done[]): string[] {
  const kinds = new Map<string, Done[]>();
  for (const done of faults) kinds.set(done.kind, [...(kinds.get(done.kind) ?? []), done]);
  const rows = [...kinds].map(([kind, all]) => {
    const slowest = all.map((done) => done.slowest).sort((a, b) => a - b);
    const whole = all.map((done) => done.ended - done.begun).sort((a, b) => a - b);
    const [mid, most] = [slowest[slowest.length >> 1], slowest.at(-1)];
    return `| ${kind} | ${all.length} | ${mid} ms | ${most} ms | ${whole[whole.length >> 1]} ms | ${whole.at(-1)} ms |`;
  });
  return [
    "| Fault | Times | Slowest answer, median | worst | Whole again, median | worst |",
    "|---|---|---|---|---|---|",
    ...rows,
  ];
}
