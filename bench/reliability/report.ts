/** Reliability figures as a Markdown table and as JSON. Pure but for the load average, which it reads. */
import { loadavg } from "node:os";
import { percentiles } from "../statistics.ts";

export interface Row {
  readonly what: string;
  /** What it should be; empty: nothing is aimed at. */
  readonly aim: string;
  readonly measured: string;
  /** Absent: no aim. */
  readonly met?: boolean;
  /** The single values, for machines. */
  readonly values?: readonly number[];
  readonly unit?: string;
}

export interface Section {
  readonly name: string;
  /** What was done, in a sentence or two. */
  readonly text: string;
  readonly rows: readonly Row[];
  /** Load average of the last minute before and after. */
  readonly load: readonly [number, number];
  readonly seconds: number;
  readonly error?: string;
}

/** p50, p99 and the longest of times in ms, held against a bound on p99 or on the longest. */
export function timesRow(
  what: string,
  values: readonly number[],
  bound?: { readonly of: "p99" | "longest"; readonly ms: number },
): Row {
  const { count, p50, p99, max } = percentiles(values);
  const whole = (ms: number) => `${Math.round(ms)} ms`;
  const measured = `p50 ${whole(p50)}, p99 ${whole(p99)}, longest ${whole(max)} (${count})`;
  const rounded = values.map((ms) => Math.round(ms));
  if (bound === undefined) return { what, aim: "", measured, values: rounded, unit: "ms" };
  const met = (bound.of === "p99" ? p99 : max) < bound.ms;
  return { what, aim: `${bound.of} < ${bound.ms} ms`, measured, met, values: rounded, unit: "ms" };
}

export async function section(name: string, text: string, measure: () => Promise<readonly Row[]>): Promise<Section> {
  const before = loadavg()[0] ?? 0;
  const begun = performance.now();
  const done = await measure().then(
    (rows) => ({ rows }),
    (error: unknown) => ({ rows: [], error: error instanceof Error ? error.message : String(error) }),
  );
  const seconds = Math.round((performance.now() - begun) / 1000);
  return { name, text, load: [before, loadavg()[0] ?? 0], seconds, ...done };
}

export function markdown({ name, text, rows, load, seconds, error }: Section): string {
  const lines = rows.map((row) => {
    const met = row.met === undefined ? "" : row.met ? "yes" : "**no**";
    return `| ${row.what} | ${row.measured} | ${row.aim} | ${met} |`;
  });
  const table = ["| what | measured | aim | met |", "|---|---|---|---|", ...lines].join("\n");
  const when = `${seconds} s; load average ${load.map((l) => l.toFixed(1)).join(" before, ")} after.`;
  return `### ${name}\n\n${text} ${when}\n\n${error === undefined ? table : `Not measured: ${error}`}\n`;
}
