/**
 * Start over a store with very many actors: until a node is ready (it serves commands and reads), and until its
 * lists are whole, against reading the same records in order and doing nothing with them.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { partitionOf } from "../../src/actors/placement.ts";
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { type Options, sized } from "../options.ts";
import { start } from "../process.ts";
import type { handlers as fillHandlers } from "../processes/fill.ts";
import { ratios, spread } from "../statistics.ts";
import { type Store, startStore } from "../store.ts";
import { residentBytes } from "../usage.ts";

const relaxedMs = 2000;
const partitions = 8;
const flushedMs = 4_000;

export const startUp: Figure = {
  name: "start",
  text: "A node's start over a store of so many ended tasks (each with its record and its history), until it is ready, and until lists are whole, against an ordered read of the same records that does nothing with them.",
  measure: (options) =>
    withAll(async (own) => {
      const count = sized(options, 20_000, 100_000, 1_000_000);
      const store = own(await startStore(relaxedMs));
      const filler = own(start<typeof fillHandlers>("fill"));
      const access = { url: store.url, user: store.user, pass: store.pass };
      const templates = await endedTasks(store);
      await filler.call("fill", { store: access, templates, count });
      const none = own(await startStore(relaxedMs));
      await (await startNode(none)).stop();
      const raw: number[] = [];
      const empty: number[] = [];
      const ready: number[] = [];
      const whole: number[] = [];
      let bytes = 0;
      let messages = 0;
      for (let round = 0; round < Math.min(3, options.rounds); round++) {
        const read = await filler.call("read", access);
        raw.push(read.ms);
        ({ messages } = read);
        empty.push((await startOnce(none, options)).wholeMs);
        const one = await startOnce(store, options);
        ready.push(one.readyMs);
        whole.push(one.wholeMs);
        bytes = one.bytes;
      }
      return rowsOf(count, { raw, empty, ready, whole, bytes: bytes / count, messages });
    }),
};

function rowsOf(
  count: number,
  found: { raw: number[]; empty: number[]; ready: number[]; whole: number[]; bytes: number; messages: number },
): Row[] {
  const limit = { what: `ordered read of ${found.messages} records`, value: spread(found.raw) };
  const row = (what: string, values: number[]): Row => {
    return {
      what: `${count} actors: ${what}`,
      unit: "ms",
      value: spread(values),
      limit,
      ratio: ratios(values, found.raw),
    };
  };
  return [
    row("until ready, the process's own start included", found.ready),
    row("until lists are whole", found.whole),
    row(
      "until lists are whole, less a start over an empty store",
      found.whole.map((ms, i) => ms - (found.empty[i] ?? 0)),
    ),
    { what: "a start over an empty store", unit: "ms", value: spread(found.empty) },
    { what: `${count} actors: memory of the node each`, unit: "B", value: spread([found.bytes]) },
  ];
}

/** Ids of cancelled tasks, one in each partition at least. */
async function endedTasks(store: Store): Promise<string[]> {
  const node = await startNode(store);
  const ids: string[] = [];
  const seen = new Set<number>();
  while (seen.size < partitions) {
    const body = { task_type: "nobody", input: { hello: "world" } };
    const { task } = await node.api<{ task: { task_id: string } }>("POST", "/v1/tasks", body);
    await node.api("DELETE", `/v1/tasks/${task.task_id}`);
    ids.push(task.task_id);
    seen.add(partitionOf(task.task_id, partitions));
  }
  await sleep(flushedMs);
  await node.stop();
  return ids;
}

async function startOnce(store: Store, options: Options) {
  const begin = performance.now();
  const node = await startNode(store, options.profile);
  const readyMs = performance.now() - begin;
  // Answers when the index of every partition is whole.
  await node.api("GET", "/v1/tasks?limit=1");
  const wholeMs = performance.now() - begin;
  const bytes = residentBytes(node.pid);
  await node.stop();
  return { readyMs, wholeMs, bytes };
}
