/**
 * Very many different patterns subscribed: what one event costs, of which one subscription takes it, against the same
 * with ten. Once as clients see it, over WebSockets, and once the matching alone.
 */

import { PatternTrie } from "../../src/gateway/trie.ts";
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { type Child, start } from "../process.ts";
import type { handlers as loadHandlers } from "../processes/load.ts";
import type { handlers as socketHandlers } from "../processes/sockets.ts";
import { costsOf } from "../rounds.ts";
import { ratios, type Spread, spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { type Costs, measureUsage, type Usage } from "../usage.ts";

const few = 10;
const many = 10_000;
/** As many as one connection may have at most. */
const each = 50;
/** Replaced by a number by the clients. */
const hello = JSON.stringify({ type: "subscribe", id: "p%", pattern: "event.*.task.t%.*.created" });
const body = JSON.stringify({ task_type: "t5", input: null });
const events = 3_000;
const connections = 16;

export const patterns: Figure = {
  name: "patterns",
  text: `Events of which one subscription takes each, with ${many} different patterns subscribed over WebSockets, against ${few}: events per second while ${connections} connections POST tasks, and what one costs the node; then the matching alone.`,
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const node = own(await startNode(store, options.profile));
      const load = own(start<typeof loadHandlers>("load"));
      const clients = own(start<typeof socketHandlers>("sockets"));
      const pids = { server: node.pid, nats: store.pid };
      const measured = { few: new Side(), many: new Side() };
      for (let round = -1; round < options.rounds; round++) {
        for (const [side, count] of [[measured.few, few] as const, [measured.many, many] as const]) {
          const hellosEach = Math.min(each, count);
          const open = { port: node.port, path: "/v1/ws", count: count / hellosEach, hello, hellosEach };
          await clients.call("open", open);
          const end = measureUsage(pids);
          const rate = await deliver(load, clients, node.port);
          const usage = end();
          await clients.call("close", null);
          if (round >= 0) side.add(rate, usage);
        }
      }
      return [...rowsOf(measured.few, measured.many), matching(options.rounds)];
    }),
};

class Side {
  readonly rates: number[] = [];
  readonly #usages: Usage[] = [];

  add(rate: number, usage: Usage): void {
    this.rates.push(rate);
    this.#usages.push(usage);
  }

  /** µs of the node for each event, round by round. */
  get microseconds(): number[] {
    return this.#usages.map(({ server }, i) => ((server?.cores ?? 0) * 1e6) / (this.rates[i] ?? Number.NaN));
  }

  get costs(): Costs {
    return costsOf(
      this.#usages,
      this.rates.map((perSecond) => ({ perSecond })),
    );
  }
}

function rowsOf(ten: Side, thousands: Side): Row[] {
  const what = `${few} patterns`;
  return [
    {
      what: `${many} patterns: events`,
      unit: "/s",
      value: spread(thousands.rates),
      limit: { what, value: spread(ten.rates) },
      ratio: ratios(thousands.rates, ten.rates),
      costs: thousands.costs,
      limitCosts: ten.costs,
    },
    {
      what: `${many} patterns: CPU of the node an event, its command included`,
      unit: "µs",
      value: spread(thousands.microseconds),
      limit: { what, value: spread(ten.microseconds) },
      ratio: ratios(thousands.microseconds, ten.microseconds),
    },
  ];
}

/** Gives events per second, each delivered to one client. */
async function deliver(
  load: Child<typeof loadHandlers>,
  clients: Child<typeof socketHandlers>,
  port: number,
): Promise<number> {
  const expected = clients.call("expect", { frames: events });
  const begin = performance.timeOrigin + performance.now();
  await load.call("run", { port, connections, method: "POST", path: "/v1/tasks", body, count: events });
  const { frames, lastAt } = await expected;
  if (frames !== events) throw new Error(`${frames} frames of ${events} came`);
  return frames / ((lastAt - begin) / 1000);
}

/** In this process: nothing but finding who takes an event. */
function matching(rounds: number): Row {
  const trieOf = (count: number) => {
    const trie = new PatternTrie<number>();
    for (let i = 0; i < count; i++) trie.add(`event.*.task.t${i}.*.created`, i);
    return trie;
  };
  const tries = [trieOf(few), trieOf(many)] as const;
  const once = (trie: PatternTrie<number>): number => {
    const times = 200_000;
    let found = 0;
    const begin = performance.now();
    for (let i = 0; i < times; i++) {
      trie.match(`event.task_${i}.task.t${i % few}.task_${i}.created`, () => {
        found++;
      });
    }
    if (found !== times) throw new Error(`${found} of ${times} events matched`);
    return ((performance.now() - begin) * 1e6) / times;
  };
  const measured: [number[], number[]] = [[], []];
  for (let round = -1; round < rounds; round++) {
    for (const i of [0, 1] as const) {
      const ns = once(tries[i]);
      if (round >= 0) measured[i].push(ns);
    }
  }
  const value: Spread = spread(measured[1]);
  return {
    what: `${many} patterns: the matching alone`,
    unit: "ns",
    value,
    limit: { what: `${few} patterns`, value: spread(measured[0]) },
    ratio: ratios(measured[1], measured[0]),
  };
}
