/**
 * A model's token on its way through Troupe: from the moment a local model sends it until a client has it, as
 * server-sent events (AG-UI) and over the WebSocket, against the same number of clients that read the model itself.
 */
import { fileURLToPath } from "node:url";
import { type Figure, type Row, withAll } from "../figure.ts";
import { startNode } from "../node.ts";
import { sized } from "../options.ts";
import { start } from "../process.ts";
import type { handlers as modelHandlers } from "../processes/model.ts";
import type { Read, handlers as tokenHandlers } from "../processes/tokens.ts";
import { type Spread, spread } from "../statistics.ts";
import { startStore } from "../store.ts";
import { measureUsage } from "../usage.ts";

const everyMs = 50;
const perAnswer = 60;
const agents = fileURLToPath(new URL("../agents/tokens.ts", import.meta.url));
const agent = "bench-chat";
const ways = ["direct", "sse", "ws"] as const;
type Way = (typeof ways)[number];

export const tokens: Figure = {
  name: "tokens",
  text: `A local model sends ${1000 / everyMs} tokens a second to each stream, all streams at once; from there to the client: read straight from the model, through the model agent as server-sent events, and through it over the WebSocket. Added: less the median round's of those who read straight.`,
  measure: (options) =>
    withAll(async (own) => {
      const streams = sized(options, 50, 200, 200);
      const store = own(await startStore(options.sync));
      const model = own(start<typeof modelHandlers>("model"));
      const clients = own(start<typeof tokenHandlers>("tokens"));
      const modelPort = await model.call("listen", { tokens: perAnswer, everyMs });
      const settings = {
        MODEL_BASE_URL: `http://127.0.0.1:${modelPort}/v1`,
        MODEL_NAME: "bench",
        TROUPE_AGENTS: agents,
      };
      const node = own(await startNode(store, options.profile, settings));
      const pids = { server: node.pid, nats: store.pid, model: model.pid, clients: clients.pid };
      const found: Record<Way, Read[]> = { direct: [], sse: [], ws: [] };
      const cores: number[] = [];
      for (let round = 0; round <= options.rounds; round++) {
        for (const way of ways) {
          const port = way === "direct" ? modelPort : node.port;
          const end = measureUsage(pids);
          const read = await clients.call(way, { port, streams, agent, round: `${way}-${round}` });
          if (way === "sse") cores.push(end().server?.cores ?? 0);
          if (read.tokens === 0) throw new Error(`${way}: no token came`);
          if (round > 0) found[way].push(read);
        }
      }
      const note = `the node used ${spread(cores).median.toFixed(2)} cores for ${(streams * 1000) / everyMs} tokens/s`;
      return (["sse", "ws"] as const).flatMap((way) => rowsOf(way, streams, found, note));
    }),
};

/** A stream that falls behind is told the rest with the finished message: such tokens are not timed. */
function live(reads: readonly Read[], streams: number): string {
  const sent = reads.length * streams * perAnswer;
  const came = reads.reduce((sum, { tokens }) => sum + tokens, 0);
  return `${((100 * came) / sent).toFixed(1)} % of the tokens came as they were sent`;
}

function rowsOf(way: "sse" | "ws", streams: number, found: Record<Way, Read[]>, note: string): Row[] {
  const name = way === "sse" ? "server-sent events" : "WebSocket";
  const of = (one: Way, which: "p50" | "p99") => found[one].map(({ latencyMs }) => latencyMs[which]);
  return (["p50", "p99"] as const).flatMap((which): Row[] => {
    const limit: Spread = spread(of("direct", which));
    return [
      {
        what: `${streams} streams, ${name}: model → client, ${which}`,
        unit: "ms",
        value: spread(of(way, which)),
        limit: { what: "straight from the model", value: limit },
      },
      {
        what: `${streams} streams, ${name}: added, ${which}`,
        unit: "ms",
        value: spread(of(way, which).map((ms, i) => ms - (of("direct", which)[i] ?? limit.median))),
        note: which === "p50" ? live(found[way], streams) : way === "sse" ? note : "",
      },
    ];
  });
}
