/** How fast this machine answers a GET at all, generator included. For scale. */
import { type Figure, withAll } from "../figure.ts";
import { start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import { inTurns, rateRow } from "../rounds.ts";

export const hello: Figure = {
  name: "hello",
  text: "uWebSockets answers GET / with five bytes; nothing behind it. For scale; the generator takes most of it.",
  measure: (options) =>
    withAll(async (own) => {
      const server = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const port = await server.call("listen", { store: null });
      const side = {
        what: "hello",
        pids: { server: server.pid, load: load.pid },
        run: (ms: number) => load.call("run", { port, connections: 64, method: "GET", path: "/", ms }),
      };
      const [measured] = await inTurns([side], options.rounds, options.roundMs / 2);
      return measured === undefined ? [] : [rateRow("GET, 64 connections", measured)];
    }),
};
