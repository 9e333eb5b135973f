/**
 * Ten thousand WebSocket clients at once on one hot pattern. Troupe delivers the events of tasks that are
 * created at that moment (durably); uWebSockets alone publishes a message of the same size to a topic.
 */
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import type { Options } from "../options.ts";
import { type Child, start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import type { handlers as socketHandlers } from "../processes/sockets.ts";
import { costsOf } from "../rounds.ts";
import { ratios, spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { type Costs, measureUsage, openFilesMax, residentBytes, type Usage } from "../usage.ts";

type Load = Child<typeof loadHandlers>;
type Sockets = Child<typeof socketHandlers>;

const pattern = "event.*.task.nobody.*.created";
const hello = JSON.stringify({ type: "subscribe", id: "hot", pattern });
const body = JSON.stringify({ task_type: "nobody", input: null });
/** About what one of these events is as a frame. */
const frameBytes = 420;
/** What a process needs besides its clients. */
const filesAside = 500;
const messages = 50;
const posters = 4;

export const sockets: Figure = {
  name: "sockets",
  text: "WebSocket clients connected at once, all subscribed to one hot pattern; messages delivered per second, while 4 connections POST, against uWebSockets' own publish of as many bytes.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const raw = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const clients = own(start<typeof socketHandlers>("sockets"));
      const rawClients = own(start<typeof socketHandlers>("sockets"));
      const rawPort = await raw.call("listen", { store: null, message: "x".repeat(frameBytes) });
      const count = clientsPossible(options);
      const empty = residentBytes(node.pid);
      const opened = await clients.call("open", { port: node.port, path: "/v1/ws", count, hello });
      const full = residentBytes(node.pid);
      const rawOpened = await rawClients.call("open", { port: rawPort, path: "/ws", count });
      const side = (pid: number, port: number, path: string, listeners: Sockets, open: number) => ({
        pids: { server: pid, nats: store.pid, clients: listeners.pid, load: load.pid },
        once: () => deliver(load, listeners, port, path, open),
      });
      const sides = [
        side(raw.pid, rawPort, "/publish", rawClients, rawOpened.open),
        side(node.pid, node.port, "/v1/tasks", clients, opened.open),
      ] as const;
      for (const one of sides) await one.once();
      const rates: [number[], number[]] = [[], []];
      const usages: [Usage[], Usage[]] = [[], []];
      for (let round = 0; round < options.rounds; round++) {
        for (const i of [0, 1] as const) {
          const end = measureUsage(sides[i].pids);
          rates[i].push(await sides[i].once());
          usages[i].push(end());
        }
      }
      await clients.call("close", null);
      await rawClients.call("close", null);
      const costs = [0, 1].map((i) =>
        costsOf(
          usages[i] ?? [],
          (rates[i] ?? []).map((perSecond) => ({ perSecond })),
        ),
      );
      return rowsOf(count, opened, full - empty, rates, costs);
    }),
};

function rowsOf(
  count: number,
  opened: { open: number; refused: number; ms: number },
  bytes: number,
  [raw, troupe]: readonly [number[], number[]],
  [limitCosts = {}, costs = {}]: readonly Costs[],
): Row[] {
  const refused = opened.refused === 0 ? "none refused" : `${opened.refused} of ${count} refused`;
  return [
    { what: "clients at once", unit: "", value: spread([opened.open]), note: refused },
    { what: "connected and subscribed", unit: "/s", value: spread([(opened.open / opened.ms) * 1000]) },
    { what: "memory of the node a client", unit: "B", value: spread([bytes / opened.open]) },
    {
      what: `deliveries, ${messages} events to all`,
      unit: "/s",
      value: spread(troupe),
      limit: { what: "uWebSockets publish", value: spread(raw) },
      ratio: ratios(troupe, raw),
      costs,
      limitCosts,
    },
  ];
}

/** One burst; gives deliveries per second from the first request to the last frame. */
async function deliver(load: Load, clients: Sockets, port: number, path: string, open: number): Promise<number> {
  const expected = clients.call("expect", { frames: open * messages });
  const begin = performance.timeOrigin + performance.now();
  const sent = await load.call("run", { port, connections: posters, method: "POST", path, body, count: messages });
  const { frames, lastAt } = await expected;
  const answers = JSON.stringify(sent.failed);
  if (frames !== open * messages) throw new Error(`${frames} frames of ${open * messages} came; answers: ${answers}`);
  return frames / ((lastAt - begin) / 1000);
}

/** As many as the machine's limit of open files lets one process hold. */
function clientsPossible({ quick }: Options): number {
  const wish = quick ? 1000 : 10_000;
  return Math.min(wish, (openFilesMax() ?? wish + filesAside) - filesAside);
}
