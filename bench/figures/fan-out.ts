/**
 * One stage with very many tasks, and its join: from the POST of the run to its completion. Linear means: ten
 * times the tasks take ten times the time and write ten times the bytes.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode, type TroupeNode } from "../node.ts";
import { sized } from "../options.ts";
import { start } from "../process.ts";
import type { handlers as runsHandlers } from "../processes/runs.ts";
import { ratios, type Spread, spread } from "../statistics.ts";
import { type Store, startStore } from "../store.ts";
import { measureUsage, residentBytes } from "../usage.ts";

const workflow = "bench-fan-out";
const definition = {
  name: workflow,
  version: "1.0.0",
  stages: [{ name: "each", agent_type: "echo", for_each: "input.items", input: "${item}" }],
  output: "${size(stages.each.output)}",
};
/** By then what was changed is in its records. */
const flushedMs = 3_000;

interface Fanned {
  readonly ms: number;
  readonly cpuMs: number;
  readonly journal: number;
  readonly records: number;
  readonly commits: number;
}

export const fanOut: Figure = {
  name: "fan-out",
  text: "A run with one stage of so many echo tasks and their join, from POST to run.completed. Each size by the size before it: linear is 1.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const runs = own(start<typeof runsHandlers>("runs"));
      await node.api("PUT", `/v1/workflows/${workflow}`, definition);
      const sizes = sized(options, [100, 1_000], [100, 300, 1_000, 3_000, 10_000], [100, 300, 1_000, 3_000, 10_000]);
      const found = new Map<number, Fanned[]>();
      const once = async (tasks: number): Promise<Fanned> => {
        const input = { items: Array.from({ length: tasks }, (_, i) => i) };
        const before = await look(node, store);
        const used = measureUsage({ node: node.pid });
        const { wallMs } = await runs.call("chain", { port: node.port, workflow, input });
        const cpuMs = (used().node?.cores ?? 0) * wallMs;
        await sleep(flushedMs);
        const after = await look(node, store);
        const gained = (name: keyof typeof after) => after[name] - before[name];
        return {
          ms: wallMs,
          cpuMs,
          journal: gained("journal"),
          records: gained("records"),
          commits: gained("commits"),
        };
      };
      await once(100);
      for (let round = 0; round < options.rounds; round++) {
        for (const tasks of sizes) found.set(tasks, [...(found.get(tasks) ?? []), await once(tasks)]);
      }
      return rowsOf(found, residentBytes(node.pid));
    }),
};

async function look(node: TroupeNode, store: Store) {
  const { counters } = await node.api<{ counters: Record<string, number> }>("GET", "/v1/status");
  const [journal, records] = await Promise.all([store.stored("TROUPE_JOURNAL"), store.stored("TROUPE_STATE")]);
  return { commits: counters.commits ?? 0, journal: journal.bytes, records: records.messages };
}

function rowsOf(found: ReadonlyMap<number, readonly Fanned[]>, bytes: number): Row[] {
  const rows: Row[] = [];
  let before: number | undefined;
  for (const [tasks, runs] of found) {
    const each = (of: keyof Fanned) => runs.map((run) => run[of] / tasks);
    const smaller = before;
    const linear = (of: keyof Fanned): { ratio?: Spread } =>
      smaller === undefined
        ? {}
        : {
            ratio: ratios(
              each(of),
              (found.get(smaller) ?? []).map((run) => run[of] / smaller),
            ),
          };
    rows.push(
      { what: `${tasks} tasks: whole run`, unit: "ms", value: spread(runs.map(({ ms }) => ms)) },
      { what: `${tasks} tasks: time of a task`, unit: "ms", value: spread(each("ms")), ...linear("ms") },
      { what: `${tasks} tasks: CPU of the node a task`, unit: "ms", value: spread(each("cpuMs")), ...linear("cpuMs") },
      { what: `${tasks} tasks: journal a task`, unit: "B", value: spread(each("journal")), ...linear("journal") },
      { what: `${tasks} tasks: state records a task`, unit: "", value: spread(each("records")) },
      { what: `${tasks} tasks: tasks a commit`, unit: "", value: spread(runs.map((run) => tasks / run.commits)) },
    );
    before = tasks;
  }
  const points = (of: (run: Fanned) => number) =>
    [...found].map(([tasks, runs]) => [tasks, spread(runs.map(of)).median] as const);
  const note: Row = {
    what: "memory of the node at the end",
    unit: "MiB",
    value: spread([bytes / 2 ** 20]),
    curve: {
      name: "fan-out",
      title: "A fan-out and its join",
      x: { label: "tasks", log: true },
      y: { label: "ms, KiB of journal", log: true },
      series: [
        { name: "time, ms", points: points(({ ms }) => ms) },
        { name: "journal, KiB", points: points(({ journal }) => journal / 1024) },
      ],
    },
  };
  return [...rows, note];
}
