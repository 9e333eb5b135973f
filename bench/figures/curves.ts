/**
 * The defaults by their curves: commands in process, every commit synced, over the number of partitions, the bound of
 * a group's steps, and the flush interval.
 */
import { type Figure, type Row, withAll } from "../figure.ts";
import type { Options } from "../options.ts";
import { type Child, start } from "../process.ts";
import type { Opened, handlers as runtimeHandlers } from "../processes/in-process.ts";
import { costsOf, type Measured } from "../rounds.ts";
import { spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { measureUsage, type Usage } from "../usage.ts";

type Runtime = Child<typeof runtimeHandlers>;
type Setting = Omit<Opened, "store"> & { readonly groupStepsMax?: number };

const callers = [64, 256] as const;

export const curves: Figure = {
  name: "curves",
  text: "1,000 counters asked in process, every commit synced, 64 and 256 callers: over the number of partitions, the bound of a group's steps, and the flush interval. The settings of one curve are measured in turns.",
  measure: async (options) => [
    ...(await curve(options, "partitions", "partitions", [1, 2, 4, 8, 16, 32], (partitions) => ({ partitions }))),
    ...(await curve(options, "group-size", "steps in a group, at most", [1, 4, 16, 64, 256, 1024], (groupStepsMax) => ({
      groupStepsMax,
    }))),
    ...(await curve(options, "flush", "ms between flushes", [100, 300, 1_000, 3_000, 10_000], (flushMs) => ({
      flushMs,
    }))),
  ],
};

interface Point {
  readonly x: number;
  readonly child: Runtime;
  readonly pids: Readonly<Record<string, number>>;
  readonly byCallers: Map<number, { samples: { perSecond: number; latencyMs: { p50: number } }[]; usages: Usage[] }>;
}

/** All settings stand at once, each over a store of its own; idle ones cost nothing. */
function curve(
  options: Options,
  name: string,
  label: string,
  values: readonly number[],
  settingOf: (x: number) => Setting,
): Promise<Row[]> {
  return withAll(async (own) => {
    const points: Point[] = [];
    for (const x of values) {
      const store = own(await startStore(options.sync));
      const child = own(start<typeof runtimeHandlers>("in-process"));
      const { groupStepsMax, ...opened } = settingOf(x);
      if (groupStepsMax !== undefined) await child.call("limitGroups", { stepsMax: groupStepsMax });
      await child.call("open", { store, ...opened });
      points.push({ x, child, pids: { server: child.pid, nats: store.pid }, byCallers: new Map() });
    }
    for (let round = -1; round < options.rounds; round++) {
      for (const count of callers) {
        for (const point of points) await measure(point, count, options.roundMs, round >= 0);
      }
    }
    for (const { child } of points) await child.call("close", null);
    return rowsOf(name, label, points);
  });
}

async function measure({ child, pids, byCallers }: Point, count: number, ms: number, counts: boolean): Promise<void> {
  const end = measureUsage(pids);
  const sample = await child.call("troupe", { callers: count, ms: counts ? ms : ms / 2 });
  const usage = end();
  if (!counts) return;
  const known = byCallers.get(count) ?? { samples: [], usages: [] };
  known.samples.push(sample);
  known.usages.push(usage);
  byCallers.set(count, known);
}

function rowsOf(name: string, label: string, points: readonly Point[]): Row[] {
  const rates = (point: Point, count: number) => (point.byCallers.get(count)?.samples ?? []).map((s) => s.perSecond);
  const rows = points.flatMap((point) =>
    callers.map((count): Row => {
      const { samples = [], usages = [] } = point.byCallers.get(count) ?? {};
      const p50 = spread(samples.map(({ latencyMs }) => latencyMs.p50)).median;
      return {
        what: `${label}: ${point.x}, ${count} callers`,
        unit: "/s",
        value: spread(rates(point, count)),
        costs: costsOf(usages, samples) satisfies Measured["costs"],
        note: `p50 ${p50.toFixed(1)} ms`,
      };
    }),
  );
  const series = callers.map((count) => ({
    name: `${count} callers`,
    points: points.map((point) => [point.x, spread(rates(point, count)).median] as const),
  }));
  const curve = {
    name: `curve-${name}`,
    title: `Durable commands a second over ${label}`,
    x: { label, log: true },
    y: { label: "commands/s" },
    series,
  };
  return rows.map((row, i) => (i === rows.length - 1 ? { ...row, curve } : row));
}
