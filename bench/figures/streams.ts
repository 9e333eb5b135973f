/** Very many open streams of server-sent events, each of its own run: what one costs the node in memory. */
import { setTimeout as sleep } from "node:timers/promises";
import { type Figure, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { sized } from "../options.ts";
import { start } from "../process.ts";
import type { handlers as streamHandlers } from "../processes/streams.ts";
import { spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { openFilesMax, residentBytes } from "../usage.ts";

const workflow = "bench-waits";
const definition = {
  name: workflow,
  version: "1.0.0",
  stages: [{ name: "decide", kind: "checkpoint", title: "Go on?" }],
};
const filesAside = 500;
/** Garbage of the start is gone by then. */
const settleMs = 4_000;

export const streams: Figure = {
  name: "streams",
  text: "Streams of server-sent events open at once, each of its own run that waits at a checkpoint: the node's resident memory with all of them, less the same with none, the runs being there in both.",
  measure: (options) =>
    withAll(async (own) => {
      const wish = sized(options, 1_000, 5_000, 5_000);
      const count = Math.min(wish, (openFilesMax() ?? wish + filesAside) - filesAside);
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const clients = own(start<typeof streamHandlers>("streams"));
      await node.api("PUT", `/v1/workflows/${workflow}`, definition);
      const ids = await clients.call("create", { port: node.port, workflow, count });
      const settled = async () => {
        await sleep(settleMs);
        return residentBytes(node.pid);
      };
      const bytes: number[] = [];
      const perSecond: number[] = [];
      let open = 0;
      // The first opening also grows what later ones find grown already: it is the one that counts as memory.
      for (let round = 0; round < options.rounds; round++) {
        const empty = await settled();
        const begin = performance.now();
        open = await clients.call("open", { port: node.port, ids, until: "hitl.required" });
        perSecond.push((open * 1000) / (performance.now() - begin));
        bytes.push(((await settled()) - empty) / open);
        await clients.call("close", null);
      }
      return [
        { what: `${count} streams: open at once`, unit: "", value: spread([open]) },
        { what: `${count} streams: opened, and told that the run waits`, unit: "/s", value: spread(perSecond) },
        {
          what: `${count} streams: memory of the node each, opened first`,
          unit: "B",
          value: spread(bytes.slice(0, 1)),
        },
        {
          what: `${count} streams: memory of the node with all, a run and a stream`,
          unit: "B",
          value: spread([residentBytes(node.pid) / count]),
        },
      ];
    }),
};
