/** The results as Markdown: a table a work, a row a system, a way and a durability. */
import type { Costs, EachCost, FanOutFigures, StateFigures, WorkflowFigures } from "./measure.ts";
import type { Facts } from "./versions.ts";

/** Where a row's figures come from; `failed` instead of figures when there are none. */
export interface Row<F> {
  readonly system: string;
  readonly what: string;
  readonly durability: string;
  readonly figures?: F;
  readonly failed?: string;
  /** Of the machine, just before. */
  readonly load: string;
}

export interface Report {
  readonly at: string;
  readonly seconds: number;
  readonly machine: Facts;
  readonly versions: Readonly<Record<string, Facts>>;
  /** Systems that were not measured, and why. */
  readonly missing: Readonly<Record<string, string>>;
  readonly state: readonly Row<StateFigures>[];
  readonly workflow: readonly Row<WorkflowFigures>[];
  readonly fanOut: readonly Row<FanOutFigures>[];
}

export function markdown(report: Report): string {
  return [
    facts("machine", report.machine),
    ...Object.entries(report.versions).map(([system, versions]) => facts(system, versions)),
    ...Object.entries(report.missing).map(([system, why]) => `${system} was not measured: ${why}`),
    "### state: a durable change of an object",
    table(
      [
        "64 in flight, /s",
        "p50 ms",
        "p99 ms",
        "1 in flight, p50 ms",
        "p99 ms",
        "CPU µs each, 64 at once",
        "flushes each, 64 / 1",
      ],
      report.state,
      ({ many, one, cost }) => [
        rate(many.perSecond),
        ...[many.p50, many.p99, one.p50, one.p99].map(ms),
        ...costs(cost),
      ],
    ),
    "### workflow: three steps",
    table(
      [
        ...["one at a time, p50 ms", "p99 ms", "between steps, p50 ms"],
        ...["64 at once, /s", "p50 ms", "p99 ms", "CPU µs each, 64 at once", "flushes each, 64 / 1"],
      ],
      report.workflow,
      ({ one, betweenSteps, many, cost }) => [
        ...[one.p50, one.p99, betweenSteps.p50].map(ms),
        rate(many.perSecond),
        ...[many.p50, many.p99].map(ms),
        ...costs(cost),
      ],
    ),
    "### fan-out: 1,000 tasks and their join",
    table(
      ["whole, median ms", "best–worst ms", "runs", "tasks/s", "CPU µs a task", "flushes a task"],
      report.fanOut,
      ({ ms: taken, runs, tasks, each }) => [
        ms(taken.median),
        `${ms(taken.min)}–${ms(taken.max)}`,
        String(runs),
        rate((tasks / taken.median) * 1000),
        cpu(each),
        flushes(each),
      ],
    ),
  ].join("\n\n");
}

function table<F>(heads: readonly string[], rows: readonly Row<F>[], cells: (figures: F) => readonly string[]): string {
  const line = (texts: readonly string[]) => `| ${texts.join(" | ")} |`;
  const all = ["system", "what", "durability", ...heads];
  return [
    line(all),
    line(all.map((_, i) => (i < 3 ? "---" : "---:"))),
    ...rows.map(({ system, what, durability, figures, failed }) =>
      line([
        ...[system, what, durability],
        ...(figures === undefined ? [`failed: ${failed}`, ...heads.slice(1).map(() => "")] : cells(figures)),
      ]),
    ),
  ].join("\n");
}

function facts(name: string, values: Facts): string {
  const parts = Object.entries(values).map(([fact, value]) => `${fact} ${value}`);
  return `${name}: ${parts.join(", ")}`;
}

function costs({ many, one }: Costs): readonly string[] {
  return [cpu(many), `${flushes(many)} / ${flushes(one)}`];
}

/** `server 12 + app 40 + client 9`. */
function cpu({ cpu }: EachCost): string {
  const roles = ["server", "app", "client"].filter((role) => role in cpu);
  return roles.map((role) => `${role} ${digits(cpu[role] ?? 0)}`).join(" + ");
}

function flushes({ flushes }: EachCost): string {
  return flushes === undefined ? "unknown" : digits(flushes);
}

function rate(value: number): string {
  return value < 100 ? digits(value) : Math.round(Number(value.toPrecision(3))).toLocaleString("en-US");
}

function ms(value: number): string {
  return digits(value);
}

function digits(value: number): string {
  if (!Number.isFinite(value)) return "–";
  if (value >= 100) return Math.round(Number(value.toPrecision(3))).toLocaleString("en-US");
  return String(Number(value.toPrecision(value < 0.1 ? 1 : 2)));
}
