/** A B A B: measures two things in turns, so that both meet the same weather, and sums them up. */
import type { Row } from "./figure.ts";
import { type Percentiles, ratios, spread } from "./statistics.ts";
import { type Costs, measureUsage, type Usage } from "./usage.ts";

/** One measurement of one side. */
export interface Sample {
  readonly perSecond: number;
  readonly latencyMs: Percentiles;
  readonly failed?: Readonly<Record<number, number>>;
}

export interface Side {
  readonly what: string;
  /** Processes whose CPU is measured, by name. */
  readonly pids: Readonly<Record<string, number>>;
  run(ms: number): Promise<Sample>;
}

export interface Measured {
  readonly samples: readonly Sample[];
  readonly costs: Costs;
}

/** Warms both up, then measures them in turns. Gives what each side gave, in the order of `sides`. */
export async function inTurns(sides: readonly Side[], rounds: number, ms: number): Promise<readonly Measured[]> {
  for (const side of sides) await side.run(ms / 2);
  const all = sides.map(() => ({ samples: [] as Sample[], usages: [] as Usage[] }));
  for (let round = 0; round < rounds; round++) {
    for (const [i, side] of sides.entries()) {
      const usage = measureUsage(side.pids);
      const sample = await side.run(ms);
      all[i]?.usages.push(usage());
      all[i]?.samples.push(sample);
    }
  }
  return all.map(({ samples, usages }) => ({ samples, costs: costsOf(usages, samples) }));
}

/** A row of rates per second. */
export function rateRow(what: string, value: Measured, limit?: { what: string; measured: Measured }): Row {
  const rates = (m: Measured) => m.samples.map((sample) => sample.perSecond);
  const failed = failures(value);
  return {
    what,
    unit: "/s",
    value: spread(rates(value)),
    costs: value.costs,
    ...(limit !== undefined && {
      limitCosts: limit.measured.costs,
      limit: { what: limit.what, value: spread(rates(limit.measured)) },
      ratio: ratios(rates(value), rates(limit.measured)),
    }),
    ...(failed !== "" && { note: failed }),
  };
}

/** A row of a latency's percentile, in ms. */
export function latencyRow(
  what: string,
  of: "p50" | "p99",
  value: Measured,
  limit?: { what: string; measured: Measured },
): Row {
  const times = (m: Measured) => m.samples.map((sample) => sample.latencyMs[of]);
  return {
    what,
    unit: "ms",
    value: spread(times(value)),
    ...(limit !== undefined && {
      limit: { what: limit.what, value: spread(times(limit.measured)) },
      ratio: ratios(times(value), times(limit.measured)),
    }),
  };
}

function failures(measured: Measured): string {
  const sum: Record<string, number> = {};
  for (const { failed = {} } of measured.samples) {
    for (const [status, count] of Object.entries(failed)) sum[status] = (sum[status] ?? 0) + count;
  }
  return Object.entries(sum)
    .map(([status, count]) => `${count} answers with status ${status}`)
    .join(", ");
}

/** Medians over the rounds. */
export function costsOf(usages: readonly Usage[], samples: readonly { readonly perSecond: number }[]): Costs {
  const costOf = (name: string) => {
    const cores = usages.map((usage) => usage[name]?.cores ?? 0);
    const each = cores.map((used, round) => (used * 1e6) / (samples[round]?.perSecond ?? Number.NaN));
    const bytes = spread(usages.map((usage) => usage[name]?.bytes ?? 0)).median;
    return { cores: spread(cores).median, microseconds: spread(each).median, bytes };
  };
  return Object.fromEntries(Object.keys(usages[0] ?? {}).map((name) => [name, costOf(name)]));
}
