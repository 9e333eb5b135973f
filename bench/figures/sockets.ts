/**
 * Very many WebSocket clients at once on one hot pattern. Troupe delivers the events of tasks that are
 * created at that moment (durably); uWebSockets alone publishes a message of the same size to a topic.
 */
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { sized } from "../options.ts";
import { type Child, start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as rawHandlers } from "../processes/raw-server.ts";
import type { handlers as socketHandlers } from "../processes/sockets.ts";
import { costsOf } from "../rounds.ts";
import { ratios, spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { measureUsage, openFilesMax, residentBytes, type Usage } from "../usage.ts";

type Load = Child<typeof loadHandlers>;
type Sockets = Child<typeof socketHandlers>;
type Pids = Readonly<Record<string, number>>;

const pattern = "event.*.task.nobody.*.created";
const hello = JSON.stringify({ type: "subscribe", id: "hot", pattern });
const body = JSON.stringify({ task_type: "nobody", input: null });
/** About what one of these events is as a frame. */
const frameBytes = 420;
/** What a process needs besides its clients. */
const filesAside = 500;
/** Messages are as many as make about so many deliveries. */
const deliveries = 500_000;
/** So many that commands come faster than they are delivered. */
const posters = 64;

export const sockets: Figure = {
  name: "sockets",
  text: "WebSocket clients connected at once, all subscribed to one hot pattern; messages delivered per second, while 64 connections POST, against uWebSockets' own publish of as many bytes.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const raw = own(start<typeof rawHandlers>("raw-server"));
      const load = own(start<typeof loadHandlers>("load"));
      const clients = own(start<typeof socketHandlers>("sockets"));
      const rawClients = own(start<typeof socketHandlers>("sockets"));
      const rawPort = await raw.call("listen", { store: null, message: "x".repeat(frameBytes) });
      const rows: Row[] = [];
      for (const wish of sized(options, [1_000], [1_000, 5_000, 10_000], [1_000, 5_000, 10_000])) {
        const count = clientsPossible(wish);
        const empty = residentBytes(node.pid);
        const opened = await clients.call("open", { port: node.port, path: "/v1/ws", count, hello });
        const bytes = residentBytes(node.pid) - empty;
        const rawOpened = await rawClients.call("open", { port: rawPort, path: "/ws", count });
        rows.push(...openedRows(count, opened, bytes));
        const side = (pid: number, port: number, path: string, listeners: Sockets, open: number): Listened => ({
          pids: { server: pid, nats: store.pid, clients: listeners.pid, load: load.pid },
          once: () => deliver(load, listeners, port, path, open),
        });
        const sides = [
          side(raw.pid, rawPort, "/publish", rawClients, rawOpened.open),
          side(node.pid, node.port, "/v1/tasks", clients, opened.open),
        ] as const;
        rows.push(await compare(count, sides, options.rounds));
        await clients.call("close", null);
        await rawClients.call("close", null);
      }
      return rows;
    }),
};

interface Listened {
  readonly pids: Pids;
  once(): Promise<number>;
}

async function compare(count: number, sides: readonly [Listened, Listened], rounds: number): Promise<Row> {
  for (const one of sides) await one.once();
  const rates: [number[], number[]] = [[], []];
  const usages: [Usage[], Usage[]] = [[], []];
  for (let round = 0; round < rounds; round++) {
    for (const i of [0, 1] as const) {
      const end = measureUsage(sides[i].pids);
      rates[i].push(await sides[i].once());
      usages[i].push(end());
    }
  }
  const costs = (i: 0 | 1) =>
    costsOf(
      usages[i],
      rates[i].map((perSecond) => ({ perSecond })),
    );
  return {
    what: `${count} clients: deliveries, ${messagesFor(count)} events to all`,
    unit: "/s",
    value: spread(rates[1]),
    limit: { what: "uWebSockets publish", value: spread(rates[0]) },
    ratio: ratios(rates[1], rates[0]),
    costs: costs(1),
    limitCosts: costs(0),
  };
}

function openedRows(count: number, opened: { open: number; refused: number; ms: number }, bytes: number): Row[] {
  const refused = opened.refused === 0 ? "none refused" : `${opened.refused} of ${count} refused`;
  return [
    {
      what: `${count} clients: connected and subscribed`,
      unit: "/s",
      value: spread([(opened.open / opened.ms) * 1000]),
      note: refused,
    },
    { what: `${count} clients: memory of the node each`, unit: "B", value: spread([bytes / opened.open]) },
  ];
}

function messagesFor(clients: number): number {
  return Math.max(10, Math.round(deliveries / clients));
}

/** One burst; gives deliveries per second from the first request to the last frame. */
async function deliver(load: Load, clients: Sockets, port: number, path: string, open: number): Promise<number> {
  const messages = messagesFor(open);
  const expected = clients.call("expect", { frames: open * messages });
  const begin = performance.timeOrigin + performance.now();
  const sent = await load.call("run", { port, connections: posters, method: "POST", path, body, count: messages });
  const { frames, lastAt } = await expected;
  const answers = JSON.stringify(sent.failed);
  if (frames !== open * messages) throw new Error(`${frames} frames of ${open * messages} came; answers: ${answers}`);
  return frames / ((lastAt - begin) / 1000);
}

/** As many as the machine's limit of open files lets one process hold. */
function clientsPossible(wish: number): number {
  return Math.min(wish, (openFilesMax() ?? wish + filesAside) - filesAside);
}
