/** Whole runs of `echo`: how many a second, how long one takes alone, and what each writes. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode, type TroupeNode } from "../node.ts";
import { start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import type { handlers as runsHandlers } from "../processes/runs.ts";
import { inTurns, latencyRow, rateRow } from "../rounds.ts";
import { spread } from "../statistics.ts";
import { type Store, startStore } from "../store.ts";

/** By then what was changed is in its records. */
const flushedMs = 2_500;
const bridgeName = "POST → JetStream publish → 202";
const body = JSON.stringify({ workflow: { name: "echo" }, input: { hello: "world" } });

export const echo: Figure = {
  name: "echo",
  text: "Runs of echo (one stage) from POST /v1/runs to the event of their completion, 64 at once, against one stored publish a request through the bridge; and one run alone, from POST to run.completed on its event stream.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const raw = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const runs = own(start<typeof runsHandlers>("runs"));
      const rawPort = await raw.call("listen", { store });
      const bridge = (connections: number) => ({
        what: bridgeName,
        pids: { server: raw.pid, nats: store.pid, load: load.pid },
        run: (ms: number) =>
          load.call("run", { port: rawPort, connections, method: "POST", path: "/bridge", body, ms }),
      });
      const pids = { server: node.pid, nats: store.pid, load: runs.pid };
      const many = (ms: number) => runs.call("many", { port: node.port, concurrency: 64, ms });
      const single = (ms: number) => runs.call("single", { port: node.port, ms });
      const rows: Row[] = [];
      const [rawMany, troupeMany] = await inTurns(
        [bridge(64), { what: "echo", pids, run: many }],
        options.rounds,
        options.roundMs,
      );
      const [rawOne, troupeOne] = await inTurns(
        [bridge(1), { what: "echo", pids, run: single }],
        options.rounds,
        options.roundMs / 2,
      );
      if (!rawMany || !troupeMany || !rawOne || !troupeOne) return rows;
      rows.push(rateRow("64 runs at once", troupeMany, { what: bridgeName, measured: rawMany }));
      rows.push(latencyRow("64 runs at once, POST to completion, p50", "p50", troupeMany));
      rows.push(latencyRow("64 runs at once, POST to completion, p99", "p99", troupeMany));
      const limit = { what: bridgeName, measured: rawOne };
      rows.push(latencyRow("one run alone, p50", "p50", troupeOne, limit));
      rows.push(latencyRow("one run alone, p99", "p99", troupeOne, limit));
      rows.push(...(await written("one run alone", node, store, () => single(options.roundMs / 4))));
      rows.push(...(await written("64 runs at once", node, store, () => many(options.roundMs / 2))));
      return rows;
    }),
};

/** Commits, steps and bytes per run. */
async function written(
  what: string,
  node: TroupeNode,
  store: Store,
  run: () => Promise<{ latencyMs: { count: number } }>,
): Promise<Row[]> {
  const look = async () => ({
    ...(await node.api<{ counters: Record<string, number> }>("GET", "/v1/status")).counters,
    journal: (await store.stored("TROUPE_JOURNAL")).bytes,
    records: (await store.stored("TROUPE_STATE")).messages,
  });
  await sleep(flushedMs);
  const before: Record<string, number> = await look();
  const { count } = (await run()).latencyMs;
  await sleep(flushedMs);
  const after: Record<string, number> = await look();
  const row = (name: string, unit: string, field: string): Row => ({
    what: `${what}: ${name} a run`,
    unit,
    value: spread([((after[field] ?? 0) - (before[field] ?? 0)) / count]),
  });
  return [
    row("commits", "", "commits"),
    row("steps", "", "steps"),
    row("journal", "B", "journal"),
    row("state records", "", "records"),
  ];
}
