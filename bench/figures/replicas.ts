/**
 * Three copies: three nats-servers on this machine, every commit synced on each, a node and the raw bridge over the
 * same three. All of them share the machine's cores and its one disk, which both sides pay alike.
 */
import { startNatsCluster } from "../../test/support/nats-server.ts";
import { type Figure, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { atExit, start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import { inTurns, latencyRow, rateRow, type Side } from "../rounds.ts";

const body = JSON.stringify({ task_type: "nobody", input: { hello: "world" } });
const bridgeName = "bridge, three copies";
const copies = 3;

export const replicas: Figure = {
  name: "replicas",
  text: "POST /v1/tasks with three copies on three nats-servers, every commit synced on each, against the bridge with as many copies.",
  measure: (options) =>
    withAll(async (own) => {
      const servers = (await startNatsCluster(copies)).map((server) => {
        const stopped = atExit(() => server.pid > 0 && process.kill(server.pid, "SIGKILL"));
        const stop = () => server.stop().finally(stopped);
        return own({ url: server.url, pid: server.pid, stop });
      });
      const store = { url: servers.map(({ url }) => url).join(","), user: "", pass: "" };
      const node = own(await startNode(store, options.profile, { TROUPE_REPLICAS: String(copies) }));
      const raw = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const rawPort = await raw.call("listen", { store, replicas: copies });
      const nats = Object.fromEntries(servers.map(({ pid }, i) => [`nats ${i + 1}`, pid]));
      const side = (pid: number, port: number, path: string, connections: number): Side => ({
        what: path,
        pids: { server: pid, ...nats, load: load.pid },
        run: (ms) => load.call("run", { port, connections, method: "POST", path, body, ms }),
      });
      const rows = [];
      for (const connections of [64, 256]) {
        const sides = [
          side(raw.pid, rawPort, "/bridge", connections),
          side(node.pid, node.port, "/v1/tasks", connections),
        ];
        const [bridge, troupe] = await inTurns(sides, options.rounds, options.roundMs);
        if (bridge === undefined || troupe === undefined) continue;
        const limit = { what: bridgeName, measured: bridge };
        rows.push(rateRow(`${connections} connections`, troupe, limit));
        rows.push(latencyRow(`${connections} connections, p99`, "p99", troupe, limit));
      }
      return rows;
    }),
};
