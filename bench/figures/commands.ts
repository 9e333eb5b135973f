/**
 * Durable commands over HTTP: POST /v1/tasks (one new actor, one committed step, two events; its type is
 * hosted by nobody, so nothing runs) against a bridge that stores the same body in JetStream and answers.
 */
import { type Figure, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import { inTurns, latencyRow, rateRow, type Side } from "../rounds.ts";
import { startStore } from "../store.ts";

const body = JSON.stringify({ task_type: "nobody", input: { hello: "world" } });
const bridgeName = "POST → JetStream publish → 202";

export const commands: Figure = {
  name: "commands",
  text: "POST /v1/tasks → gateway → step → journal → 201, against POST → JetStream publish with acknowledgement → 202; same body, each in its own process over a nats-server of its own process.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const raw = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const rawPort = await raw.call("listen", { store });
      const side = (what: string, pid: number, port: number, path: string, connections: number): Side => ({
        what,
        pids: { server: pid, nats: store.pid, load: load.pid },
        run: (ms) => load.call("run", { port, connections, method: "POST", path, body, ms }),
      });
      const both = (connections: number, ms: number) =>
        inTurns(
          [
            side(bridgeName, raw.pid, rawPort, "/bridge", connections),
            side("POST /v1/tasks", node.pid, node.port, "/v1/tasks", connections),
          ],
          options.rounds,
          ms,
        );
      const rows = [];
      for (const connections of [64, 256]) {
        const [bridge, troupe] = await both(connections, options.roundMs);
        if (bridge === undefined || troupe === undefined) continue;
        const limit = { what: bridgeName, measured: bridge };
        rows.push(rateRow(`${connections} connections`, troupe, limit));
        rows.push(latencyRow(`${connections} connections, p99`, "p99", troupe, limit));
      }
      const [bridge, troupe] = await both(1, options.roundMs / 2);
      if (bridge === undefined || troupe === undefined) return rows;
      const limit = { what: bridgeName, measured: bridge };
      rows.push(latencyRow("1 connection, p50", "p50", troupe, limit));
      rows.push(latencyRow("1 connection, p99", "p99", troupe, limit));
      return rows;
    }),
};
