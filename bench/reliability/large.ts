/**
 * Taking over one partition with many actors: from the kill of its owner to the first answer of a command, and to
 * the first whole list.
 */
import { until } from "../../test/support/until.ts";
import { type Row, timesRow } from "./report.ts";
import { call, Rig, task } from "./rig.ts";

const callers = 32;

export async function large(
  actors: number,
  bound: { ask: number },
  rounds: number,
  say: (text: string) => void,
): Promise<readonly Row[]> {
  const rig = await Rig.create(1, 1, 2);
  const asks: number[] = [];
  const lists: number[] = [];
  try {
    await fill(rig, actors);
    say(`${actors} actors made`);
    for (let round = 0; round < rounds; round++) {
      await flushed(rig, actors);
      const { node } = await rig.victim(0);
      const id = await rig.taskIn(0);
      const begun = performance.now();
      node.child.kill("SIGKILL");
      const [asked, listed] = await Promise.all([
        until(async () => (await call(rig.base, "DELETE", `/v1/tasks/${id}`)).status === 202, 120_000).then(
          () => performance.now() - begun,
        ),
        until(async () => (await call(rig.base, "GET", "/v1/tasks?limit=1")).status === 200, 120_000).then(
          () => performance.now() - begun,
        ),
      ]);
      const { partitions } = await rig.view();
      const found = partitions[0]?.actors ?? 0;
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
    timesRow(`${name}: until commands are answered`, asks, { of: "longest", ms: bound.ask }),
    timesRow(`${name}: until lists are whole`, lists),
  ];
}

async function fill(rig: Rig, actors: number): Promise<void> {
  let left = actors;
  const worker = async () => {
    while (left-- > 0) {
      const { status } = await call(rig.base, "POST", "/v1/tasks", task);
      if (status !== 201) left++;
    }
  };
  await Promise.all(Array.from({ length: callers }, worker));
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
