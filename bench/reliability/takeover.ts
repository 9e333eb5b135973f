/**
 * How long a node's partitions are without an answer after the node is killed, or frozen: from the signal to
 * the answer of a command for an actor in each of its partitions. The cluster is whole again before the next.
 */
import { Load } from "../../test/cluster/harness.ts";
import { until } from "../../test/support/until.ts";
import { type Row, timesRow } from "./report.ts";
import { call, Rig } from "./rig.ts";

export interface TakeoverOptions {
  readonly servers: 1 | 3;
  readonly rounds: number;
  readonly signal: "SIGKILL" | "SIGSTOP";
}

const partitions = 8;
const nodes = 3;
/** Lease of the nodes under measurement: the default. */
export const leaseMs = 2000;

interface Round {
  /** Until the first partition answered, and until all had. */
  readonly first: number;
  readonly all: number;
  /** Longest answer to a caller that was there all the time. */
  readonly caller: number;
  readonly failed: readonly string[];
}

export async function takeover(options: TakeoverOptions, say: (text: string) => void): Promise<readonly Row[]> {
  const rig = await Rig.create(options.servers, partitions, nodes);
  const load = new Load(rig.base, 2);
  const rounds: Round[] = [];
  try {
    for (let turn = 0; turn < options.rounds; turn++) {
      const round = await oneRound(rig, load, turn, options.signal);
      rounds.push(round);
      const { first, all, caller, failed } = round;
      say(`${turn + 1}: first ${Math.round(first)}, all ${Math.round(all)}, caller ${caller} ms ${failed.join(" ")}`);
    }
  } finally {
    await load.stop();
    await rig.dispose();
  }
  const bound =
    options.signal === "SIGKILL"
      ? ({ of: "p99", ms: 1000 } as const)
      : ({ of: "longest", ms: leaseMs + 1000 } as const);
  const failed = rounds.flatMap((r) => r.failed);
  return [
    timesRow(
      "to the first answer for an actor of the node",
      rounds.map((r) => r.first),
      bound,
    ),
    timesRow(
      "until every partition of the node has answered",
      rounds.map((r) => r.all),
      bound,
    ),
    timesRow(
      "longest answer to two callers that never stop asking",
      rounds.map((r) => r.caller),
    ),
    {
      what: "requests refused or lost meanwhile",
      aim: "0",
      measured: failed.length === 0 ? "0" : `${failed.length}: ${[...new Set(failed)].join(", ")}`,
      met: failed.length === 0,
    },
  ];
}

async function oneRound(rig: Rig, load: Load, turn: number, signal: "SIGKILL" | "SIGSTOP"): Promise<Round> {
  const { node, owned, boot } = await rig.victim(turn);
  const ids = await Promise.all(owned.map((p) => rig.taskIn(p)));
  load.take();
  const begun = performance.now();
  node.child.kill(signal);
  const failed: string[] = [];
  const times = await Promise.all(
    ids.map(async (id) => {
      for (;;) {
        const { status, body } = await call(rig.base, "DELETE", `/v1/tasks/${id}`);
        if (status === 202) return performance.now() - begun;
        failed.push(`${status} ${(body as { error?: { code: string } }).error?.code ?? body}`);
        if (performance.now() - begun > 60_000) throw new Error(`${id} never answered: ${failed.slice(-3)}`);
      }
    }),
  );
  // Callers whose request was with the dead node have their answer only now.
  const done = load.done;
  await until(() => load.done > done + 20, 30_000, "the callers to go on");
  const taken = load.take();
  if (signal === "SIGSTOP") {
    node.child.kill("SIGCONT");
    await until(async () => (await rig.view()).members.some((m) => m.boot === boot), 30_000, "the thawed node");
  } else {
    await node.end("SIGKILL");
    rig.nodes.delete(node.name);
    await rig.add();
  }
  await rig.settled();
  return {
    first: Math.min(...times),
    all: Math.max(...times),
    caller: taken.longestMs,
    failed: [...failed, ...taken.failed],
  };
}
