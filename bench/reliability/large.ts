/**
 * Taking over one partition with many actors: from the kill of its owner to the first answer of a command, and to
 * the first whole list. The actors are ended tasks, put into the store beforehand by a node in this process.
 */
import { startHost } from "../../src/actors/host.ts";
import type { TroupeRuntime } from "../../src/actors/runtime.ts";
import { connectNats } from "../../src/bus/nats/bus.ts";
import { definitions } from "../../src/machines/index.ts";
import type { TestCluster } from "../../test/cluster/harness.ts";
import { until } from "../../test/support/until.ts";
import { type Row, timesRow } from "./report.ts";
import { call, Rig } from "./rig.ts";

const askedAtOnce = 256;
const settings = { leaseMs: 2000, flushMs: 500, replayBytes: 64 * 1024 * 1024, activeMax: 20_000 };
const silent = { debug() {}, info() {}, warn() {}, error() {} };

export interface Bound {
  readonly askMs: number;
  readonly listMs: number;
}

export async function large(
  actors: number,
  bound: Bound,
  rounds: number,
  say: (text: string) => void,
): Promise<readonly Row[]> {
  const rig = await Rig.create(1, 1, 2, 1, (cluster) => fill(cluster, actors, say));
  const asks: number[] = [];
  const lists: number[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      await flushed(rig, actors);
      const { node } = await rig.victim(0);
      const id = await rig.taskIn(0);
      const begun = performance.now();
      node.child.kill("SIGKILL");
      const answered = async (method: string, path: string, wanted: number) => {
        const what = `${method} ${path}`;
        await until(async () => (await call(rig.base, method, path)).status === wanted, 120_000, what);
        return performance.now() - begun;
      };
      const [asked, listed] = await Promise.all([
        answered("DELETE", `/v1/tasks/${id}`, 202),
        answered("GET", "/v1/tasks?limit=1", 200),
      ]);
      const found = (await rig.view()).partitions[0]?.actors ?? 0;
      if (found < actors) throw new Error(`the list is not whole: ${found} of ${actors}`);
      asks.push(asked);
      lists.push(listed);
      say(`${round + 1}: asks ${Math.round(asked)} ms, lists ${Math.round(listed)} ms`);
      await node.end("SIGKILL");
      rig.nodes.delete(node.name);
      await rig.add();
    }
  } finally {
    await rig.dispose();
  }
  const name = `${actors.toLocaleString("en-US").replaceAll(",", " ")} actors`;
  return [
    timesRow(`${name}: until commands are answered`, asks, { of: "longest", ms: bound.askMs }),
    timesRow(`${name}: until lists are whole`, lists, { of: "longest", ms: bound.listMs }),
  ];
}

async function fill(cluster: TestCluster, actors: number, say: (text: string) => void): Promise<void> {
  const begun = performance.now();
  const bus = await connectNats({ servers: cluster.nats.url, layout: { partitions: 1, streams: 1 } });
  const host = await startHost({ bus, definitions, settings, logger: silent, name: "filler" });
  let left = actors;
  const worker = async () => {
    while (left-- > 0) await endedTask(host.runtime);
  };
  await Promise.all(Array.from({ length: askedAtOnce }, worker));
  await host.stop();
  await bus.close();
  say(`${actors} actors made in ${Math.round(performance.now() - begun)} ms`);
}

/** Without work: it waits for a task that there is not, and is cancelled. */
async function endedTask(runtime: TroupeRuntime): Promise<void> {
  const to = { type: "task", key: `task_${runtime.newId()}` };
  const dependencies = ["task_absent"];
  const create = { type: "task.create", taskType: "nobody", input: null, metadata: {}, dependencies, requestHash: "" };
  await runtime.ask(to, create, { timeoutMs: 120_000 });
  await runtime.ask(to, { type: "task.cancel" }, { timeoutMs: 120_000 });
}

/** Until the records hold all of it: the tail is short, as it is in a cluster at work. */
async function flushed(rig: Rig, actors: number): Promise<void> {
  await until(
    async () => {
      const { partitions } = await rig.settled();
      const [only] = partitions as readonly { actors?: number; dirty?: number }[];
      return (only?.actors ?? 0) >= actors && only?.dirty === 0;
    },
    120_000,
    "the records",
  );
}
