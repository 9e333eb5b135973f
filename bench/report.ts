/** Figures as a Markdown table for people and as JSON for machines. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Row } from "./figure.ts";
import { plot } from "./plot.ts";
import type { Spread } from "./statistics.ts";
import type { Costs } from "./usage.ts";

export interface Result {
  readonly name: string;
  readonly text: string;
  readonly rows: readonly Row[];
  /** Why it could not be measured. */
  readonly error?: string;
}

export interface Report {
  readonly at: string;
  readonly machine: Readonly<Record<string, string>>;
  readonly results: readonly Result[];
}

export function machineTable(machine: Report["machine"]): string {
  const facts = Object.entries(machine).map(([name, value]) => `${name} ${value}`);
  return `Machine: ${facts.join(" · ")}\n\nMedian of the rounds (lowest–highest); ratios are taken round by round.\n`;
}

export function resultTable({ name, text, rows, error }: Result): string {
  const head = `### ${name}\n\n${text}\n`;
  if (error !== undefined) return `${head}\nNot measured: ${error}\n`;
  const lines = rows.map((row) => {
    const limit = row.limit === undefined ? "" : `${show(row.limit.value, row.unit)}`;
    const ratio = row.ratio === undefined ? "" : `**${short(row.ratio.median)}** (${ends(row.ratio)})`;
    return `| ${row.what} | ${show(row.value, row.unit)} | ${limit} | ${ratio} | ${spent(row.costs)} | ${spent(row.limitCosts)} | ${row.note ?? ""} |`;
  });
  const table = [
    "| what | measured | raw limit | ratio | CPU: cores (µs each), memory | the limit's | |",
    "|---|---|---|---|---|---|---|",
    ...lines,
  ];
  return `${head}\n${table.join("\n")}\n`;
}

/** Writes `<name>.json` and gives its path. */
export function writeJson(directory: string, name: string, report: Report): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${name}.json`);
  writeFileSync(path, `${JSON.stringify(report, null, 2)}\n`);
  return path;
}

/** Draws every curve of the rows as `<name>.svg`; gives the paths. */
export function writePlots(directory: string, rows: readonly Row[]): string[] {
  mkdirSync(directory, { recursive: true });
  return rows.flatMap(({ curve }) => {
    if (curve === undefined) return [];
    const path = join(directory, `${curve.name}.svg`);
    writeFileSync(path, plot(curve));
    return [path];
  });
}

function spent(costs: Costs = {}): string {
  return Object.entries(costs)
    .map(([process, { cores, microseconds, bytes }]) => {
      return `${process} ${cores.toFixed(2)} (${short(microseconds)}) ${Math.round(bytes / 2 ** 20)} MiB`;
    })
    .join(", ");
}

function show(value: Spread, unit: string): string {
  const range = value.min === value.max ? "" : ` (${ends(value)})`;
  return `${short(value.median)} ${unit}${range}`;
}

function ends(value: Spread): string {
  return `${short(value.min)}–${short(value.max)}`;
}

/** Three digits are all that such a measurement bears. */
function short(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (Math.abs(value) >= 1000) return Number(value.toPrecision(3)).toLocaleString("en-US").replaceAll(",", " ");
  return String(Number(value.toPrecision(value < 1 ? 2 : 3)));
}
