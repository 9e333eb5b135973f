/**
 * From one step to the next: chains of echo stages, and the time between a stage's `completed` and the next
 * stage's `started` as a subscriber in another process sees them. Flat means: the last like the first.
 */
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { type Options, sized } from "../options.ts";
import type { Curve } from "../plot.ts";
import { start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import type { Chain, handlers as runsHandlers } from "../processes/runs.ts";
import { percentiles, ratios, spread } from "../statistics.ts";
import { startStore } from "../store.ts";

export const steps: Figure = {
  name: "steps",
  text: "A chain of echo stages, idle otherwise: from a stage's completion to the next one's start, against one stored publish through the bridge at one connection. Last hundred by first hundred: 1 is flat.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const raw = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const runs = own(start<typeof runsHandlers>("runs"));
      const port = await raw.call("listen", { store });
      const bridge = () =>
        load.call("run", { port, connections: 1, method: "POST", path: "/bridge", body: "{}", ms: 500 });
      const rows: Row[] = [];
      for (const [stages, rounds] of lengths(options)) {
        const workflow = `bench-chain-${stages}`;
        await node.api("PUT", `/v1/workflows/${workflow}`, chainOf(workflow, stages));
        if (stages === 100) await runs.call("chain", { port: node.port, workflow });
        const chains: Chain[] = [];
        const limits: { p50: number; p99: number }[] = [];
        for (let round = 0; round < rounds; round++) {
          limits.push((await bridge()).latencyMs);
          chains.push(await runs.call("chain", { port: node.port, workflow }));
        }
        rows.push(...rowsOf(stages, chains, limits));
      }
      return rows;
    }),
};

/** Stages of a chain, and how many chains. */
function lengths(options: Options): readonly (readonly [stages: number, rounds: number])[] {
  const { rounds } = options;
  const usual = [
    [100, rounds + 2],
    [1_000, Math.max(1, rounds - 1)],
  ] as const;
  return sized<readonly (readonly [number, number])[]>(
    options,
    usual,
    [...usual, [10_000, 1]],
    [...usual, [10_000, 2]],
  );
}

function rowsOf(stages: number, chains: readonly Chain[], limits: readonly { p50: number; p99: number }[]): Row[] {
  const row = (of: "p50" | "p99"): Row => {
    const values = chains.map(({ hopsMs }) => percentiles(hopsMs)[of]);
    const raw = limits.map((limit) => limit[of]);
    return {
      what: `${stages} stages: completed → next started, ${of}`,
      unit: "ms",
      value: spread(values),
      limit: { what: "bridge, 1 connection", value: spread(raw) },
      ratio: ratios(values, raw),
    };
  };
  const whole: Row = {
    what: `${stages} stages: whole chain by stages`,
    unit: "ms",
    value: spread(chains.map(({ wallMs }) => wallMs / stages)),
  };
  if (stages < 1000) return [row("p50"), row("p99"), whole];
  const part = (from: number, to?: number) => chains.map(({ hopsMs }) => percentiles(hopsMs.slice(from, to)).p50);
  const flat: Row = {
    what: `${stages} stages: last hundred by first hundred, p50`,
    unit: "",
    value: ratios(part(-100), part(0, 100)),
    curve: curveOf(stages, chains[0]?.hopsMs ?? []),
  };
  return [row("p50"), row("p99"), whole, flat];
}

/** A hundredth of the chain in each point. */
function curveOf(stages: number, hopsMs: readonly number[]): Curve {
  const each = Math.max(1, Math.floor(hopsMs.length / 100));
  const parts = Array.from({ length: Math.floor(hopsMs.length / each) }, (_, i) => {
    return [(i + 1) * each, percentiles(hopsMs.slice(i * each, (i + 1) * each))] as const;
  });
  return {
    name: `steps-${stages}`,
    title: `From a stage's completion to the next one's start, ${stages} stages`,
    x: { label: "stage" },
    y: { label: "ms", log: true },
    series: [
      { name: `median of ${each}`, points: parts.map(([at, { p50 }]) => [at, p50] as const) },
      { name: `99th percentile of ${each}`, points: parts.map(([at, { p99 }]) => [at, p99] as const) },
    ],
  };
}

/** Each stage takes the output of the one before it. */
function chainOf(name: string, count: number) {
  return {
    name,
    version: "1.0.0",
    stages: Array.from({ length: count }, (_, i) => ({
      name: `s${i}`,
      agent_type: "echo",
      ...(i > 0 && { dependencies: [`s${i - 1}`] }),
    })),
    output: `\${stages.s${count - 1}.output}`,
  };
}
