/**
 * Durable commands over HTTP: POST /v1/tasks (one new actor, one committed step, two events; its type is
 * hosted by nobody, so nothing runs) against a bridge that stores the same body in JetStream and answers. Each over
 * two stores: one syncs every commit, the other every two seconds.
 */
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import { inTurns, latencyRow, type Measured, rateRow, type Side } from "../rounds.ts";
import { ratios, spread } from "../statistics.ts";
import { startStore } from "../store.ts";

const body = JSON.stringify({ task_type: "nobody", input: { hello: "world" } });
const bridgeName = "POST → JetStream publish → 202";
const relaxedMs = 2000;
const modes = [
  { name: "synced", sync: "always" },
  { name: "relaxed", sync: relaxedMs },
] as const;

export const commands: Figure = {
  name: "commands",
  text: `POST /v1/tasks → gateway → step → journal → 201, against POST → JetStream publish with acknowledgement → 202; same body, each in its own process over a nats-server of its own process. Synced: every commit; relaxed: every ${relaxedMs} ms.`,
  measure: (options) =>
    withAll(async (own) => {
      const load = own(start<typeof loadHandlers>("load"));
      const pairs: ((connections: number) => readonly [Side, Side])[] = [];
      for (const { sync } of modes) {
        const store = own(await startStore(sync));
        const node = own(await startNode(store, options.profile));
        const raw = own(start<typeof rawHandlers>("raw-server"));
        const rawPort = await raw.call("listen", { store });
        const side = (pid: number, port: number, path: string, connections: number): Side => ({
          what: path,
          pids: { server: pid, nats: store.pid, load: load.pid },
          run: (ms) => load.call("run", { port, connections, method: "POST", path, body, ms }),
        });
        pairs.push((connections) => [
          side(raw.pid, rawPort, "/bridge", connections),
          side(node.pid, node.port, "/v1/tasks", connections),
        ]);
      }
      const rows: Row[] = [];
      for (const connections of [64, 256, 1]) {
        const sides = pairs.flatMap((pair) => pair(connections));
        const ms = connections === 1 ? options.roundMs / 2 : options.roundMs;
        rows.push(...rowsOf(connections, await inTurns(sides, options.rounds, ms)));
      }
      return rows;
    }),
};

function rowsOf(connections: number, measured: readonly Measured[]): Row[] {
  const rows: Row[] = [];
  for (const [i, { name }] of modes.entries()) {
    const [bridge, troupe] = measured.slice(2 * i, 2 * i + 2) as [Measured, Measured];
    const limit = { what: bridgeName, measured: bridge };
    const what = `${name}, ${connections} connection${connections === 1 ? "" : "s"}`;
    if (connections === 1) rows.push(latencyRow(`${what}, p50`, "p50", troupe, limit));
    else rows.push(rateRow(what, troupe, limit));
    rows.push(latencyRow(`${what}, p99`, "p99", troupe, limit));
  }
  if (connections > 1) rows.push(syncedByRelaxed(`${connections} connections`, measured[1], measured[3]));
  return rows;
}

function syncedByRelaxed(what: string, synced: Measured | undefined, relaxed: Measured | undefined): Row {
  const rates = (measured: Measured | undefined) => (measured?.samples ?? []).map((sample) => sample.perSecond);
  return {
    what: `${what}: synced, against relaxed`,
    unit: "/s",
    value: spread(rates(synced)),
    limit: { what: "the same, relaxed", value: spread(rates(relaxed)) },
    ratio: ratios(rates(synced), rates(relaxed)),
  };
}
