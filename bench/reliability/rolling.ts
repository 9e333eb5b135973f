/**
 * A rolling restart of all nodes, then of all gateways, under callers over HTTP: which share of requests fails
 * when nothing is tried again, and when clients try again (with the same idempotency key) within their deadline.
 */
import type { Process } from "../../test/cluster/harness.ts";
import { percentiles } from "../statistics.ts";
import type { Row } from "./report.ts";
import { call, Rig, task } from "./rig.ts";

const partitions = 8;
const nodes = 3;
const gateways = 2;
const callers = 8;
/** What a client with retries gives a request. */
const deadlineMs = 15_000;
const pauseMs = 100;

interface Tally {
  readonly times: number[];
  readonly failed: string[];
  stopped: boolean;
}

/** Callers that create tasks one after the other. `bases()`: where to, in turn. */
function startCallers(count: number, bases: () => readonly string[], retry: boolean) {
  const tally: Tally = { times: [], failed: [], stopped: false };
  let keys = 0;
  const worker = async (at: number) => {
    for (let turn = at; !tally.stopped; turn++) {
      const key = `${retry ? "again" : "once"}-${keys++}`;
      const begun = performance.now();
      for (let attempt = 0; ; attempt++) {
        const all = bases();
        const base = all[(turn + attempt) % all.length] as string;
        const { status, body } = await call(base, "POST", "/v1/tasks", task, key);
        if (status === 201) break;
        const again = retry && performance.now() - begun < deadlineMs;
        if (!again) {
          tally.failed.push(`${status} ${(body as { error?: { code: string } }).error?.code ?? body}`);
          break;
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
      tally.times.push(performance.now() - begun);
    }
  };
  const workers = Array.from({ length: count }, (_, i) => worker(i));
  return {
    tally,
    async stop(): Promise<Tally> {
      tally.stopped = true;
      await Promise.all(workers);
      return tally;
    },
  };
}

function shareRow(what: string, { times, failed }: Tally, most: number): Row {
  const share = failed.length / times.length;
  const longest = Math.round(percentiles(times).max);
  const kinds = failed.length === 0 ? "" : ` (${[...new Set(failed)].join(", ")})`;
  return {
    what,
    aim: most === 0 ? "0" : `< ${most * 100} %`,
    measured: `${failed.length} of ${times.length} failed: ${(share * 100).toFixed(3)} %${kinds}; longest ${longest} ms`,
    met: most === 0 ? failed.length === 0 : share < most,
    values: [failed.length, times.length],
    unit: "failed, all",
  };
}

export async function rolling(rounds: number, say: (text: string) => void): Promise<readonly Row[]> {
  const rig = await Rig.create(1, partitions, nodes, gateways);
  try {
    const bases = () => rig.gateways.map((gateway) => gateway.base);
    const once = startCallers(callers / 2, bases, false);
    const again = startCallers(callers / 2, bases, true);
    for (let round = 0; round < rounds; round++) {
      for (const name of [...rig.nodes.keys()]) {
        await (rig.nodes.get(name) as Process).end("SIGTERM");
        rig.nodes.delete(name);
        await rig.add(name);
        await rig.settled();
        say(`${name} is new; ${once.tally.times.length + again.tally.times.length} requests`);
      }
    }
    const rows = [
      shareRow("all nodes, one after the other; no retries", await once.stop(), 0.001),
      shareRow("all nodes; retries within 15 s", await again.stop(), 0),
    ];
    const beside = startCallers(callers, bases, true);
    for (let round = 0; round < rounds; round++) {
      for (const [i, gateway] of [...rig.gateways.entries()]) {
        await gateway.end("SIGTERM");
        rig.gateways[i] = await (await rig.cluster.spawn("gateway", gateway.name)).ready();
        say(`${gateway.name} is new`);
      }
    }
    rows.push(shareRow("all gateways; retries at the other one", await beside.stop(), 0));
    return rows;
  } finally {
    await rig.dispose();
  }
}
