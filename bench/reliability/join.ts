/** Nodes join and one leaves: which partitions move, against the least that rendezvous hashing must move. */
import type { ClusterView } from "../../test/cluster/harness.ts";
import type { Row } from "./report.ts";
import { Rig } from "./rig.ts";

const partitions = 64;
const nodesMost = 4;

const ownersOf = (view: ClusterView) => new Map(view.partitions.map((p) => [p.partition, p.node]));
const epochsOf = (view: ClusterView) => new Map(view.partitions.map((p) => [p.partition, p.epoch]));

/** How many changed hands between two looks, and how many of those to (or from) the one node that came (or went). */
function moves(before: ClusterView, after: ClusterView, boot: string) {
  const [was, is] = [ownersOf(before), ownersOf(after)];
  const [then, now] = [epochsOf(before), epochsOf(after)];
  let moved = 0;
  let needless = 0;
  for (let p = 0; p < partitions; p++) {
    if (then.get(p) === now.get(p)) continue;
    moved++;
    if (was.get(p) !== boot && is.get(p) !== boot) needless++;
  }
  return { moved, needless };
}

export async function join(rounds: number, say: (text: string) => void): Promise<readonly Row[]> {
  const rig = await Rig.create(1, partitions, 1);
  const rows = new Map<string, { ideal: number; moved: number[]; needless: number }>();
  const note = (what: string, ideal: number, { moved, needless }: { moved: number; needless: number }) => {
    const row = rows.get(what) ?? { ideal, moved: [], needless: 0 };
    row.moved.push(moved);
    row.needless += needless;
    rows.set(what, row);
    say(`${what}: ${moved} moved, ${needless} needlessly`);
  };
  try {
    for (let round = 0; round < rounds; round++) {
      while (rig.nodes.size < nodesMost) {
        const before = await rig.settled();
        const { name } = await rig.add();
        const after = await rig.settled();
        const boot = after.members.find((m) => m.node === name)?.boot ?? "";
        note(`node ${rig.nodes.size} joins`, partitions / rig.nodes.size, moves(before, after, boot));
      }
      while (rig.nodes.size > 1) {
        const before = await rig.settled();
        const [name, process] = [...rig.nodes][0] ?? [];
        if (name === undefined || process === undefined) break;
        const boot = before.members.find((m) => m.node === name)?.boot ?? "";
        const owned = before.partitions.filter((p) => p.node === boot).length;
        await process.end("SIGTERM");
        rig.nodes.delete(name);
        const { moved, needless } = moves(before, await rig.settled(), boot);
        note("a node leaves: more than its own", 0, { moved: moved - owned, needless });
      }
    }
  } finally {
    await rig.dispose();
  }
  return [...rows].map(([what, { ideal, moved, needless }]) => {
    const mean = moved.reduce((sum, n) => sum + n, 0) / moved.length;
    return {
      what,
      aim: `about ${Math.round(ideal * 10) / 10}, none needlessly`,
      measured: `${Math.round(mean * 10) / 10} of ${partitions} moved (${moved.join(", ")}); ${needless} between others`,
      met: needless === 0,
      values: moved,
      unit: "partitions",
    };
  });
}
