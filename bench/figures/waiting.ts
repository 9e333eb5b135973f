/**
 * Very many waiting tasks: how long the next dispatch takes when an agent with one slot completes one, with ten
 * waiting at one node and very many at another.
 */
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode, type TroupeNode } from "../node.ts";
import { sized } from "../options.ts";
import { type Child, start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as workerHandlers } from "../processes/worker.ts";
import { percentiles, ratios, spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { residentBytes } from "../usage.ts";

const type = "bench-lane";
const body = JSON.stringify({ task_type: type, input: null });
const few = 10;
/** Dispatches of one measurement; as many are added, so that as many wait in each. */
const dispatches = 60;

export const waiting: Figure = {
  name: "waiting",
  text: `An agent from outside with one slot completes a task over HTTP and takes the next: the time of both, with very many tasks waiting, against the same with ${few}.`,
  measure: (options) =>
    withAll(async (own) => {
      const many = sized(options, 5_000, 20_000, 100_000);
      const load = own(start<typeof loadHandlers>("load"));
      const worker = own(start<typeof workerHandlers>("worker"));
      const begin = async (tasks: number) => {
        const store = own(await startStore(options.sync));
        const node = own(await startNode(store, options.profile));
        const before = residentBytes(node.pid);
        await post(load, node, tasks);
        const bytes = (residentBytes(node.pid) - before) / tasks;
        await worker.call("register", { port: node.port, agent: "bench-agent", type });
        return { node, bytes };
      };
      const small = await begin(few);
      const large = await begin(many);
      const times: { small: number[][]; large: number[][] } = { small: [], large: [] };
      for (let round = -1; round < options.rounds; round++) {
        for (const [name, { node }] of [["small", small] as const, ["large", large] as const]) {
          await post(load, node, dispatches);
          const args = { port: node.port, agent: "bench-agent", count: dispatches };
          const taken = await worker.call("work", args);
          if (round >= 0) times[name].push([...taken]);
        }
      }
      const row = (of: "p50" | "p99"): Row => {
        const [ours, against] = [times.large, times.small].map((rounds) => rounds.map((one) => percentiles(one)[of]));
        return {
          what: `${many} waiting: completed → next in hand, ${of}`,
          unit: "ms",
          value: spread(ours ?? []),
          limit: { what: `${few} to ${few + dispatches} waiting`, value: spread(against ?? []) },
          ratio: ratios(ours ?? [], against ?? []),
        };
      };
      return [
        row("p50"),
        row("p99"),
        { what: "memory of the node a waiting task", unit: "B", value: spread([large.bytes]) },
      ];
    }),
};

async function post(load: Child<typeof loadHandlers>, node: TroupeNode, count: number): Promise<void> {
  const connections = Math.min(64, count);
  const { failed } = await load.call("run", {
    port: node.port,
    connections,
    method: "POST",
    path: "/v1/tasks",
    body,
    count,
  });
  if (Object.keys(failed).length > 0) throw new Error(`tasks were refused: ${JSON.stringify(failed)}`);
}
