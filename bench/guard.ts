/**
 * A few robust numbers of the main paths, for the guard in the gate: CPU times by those of the raw limit in the same
 * rounds, and what is written. Rates and latencies are not here: they say more about the machine than about the code.
 *
 *   npx tsx bench/guard.ts           prints them
 *   npx tsx bench/guard.ts --write   makes them the baseline
 */
import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { withAll } from "./figure.ts";
import { startNode } from "./node.ts";
import { start } from "./process.ts";
import type { handlers as runtimeHandlers } from "./processes/in-process.ts";
import type { handlers as loadHandlers } from "./processes/load.ts";
import type { handlers as rawHandlers } from "./processes/raw-server.ts";
import type { handlers as runsHandlers } from "./processes/runs.ts";
import { startStore } from "./store.ts";
import { measureUsage } from "./usage.ts";

/** Higher is better for each. */
export type Ratios = Readonly<Record<string, number>>;

const path = fileURLToPath(new URL("baseline.json", import.meta.url));
const rounds = 3;
/** Puts the flush off: how much of it falls into a short round is chance. */
const flushMs = 60_000;
const relaxedMs = 2000;
const warmUps = 4;
/** So many that what a node commits by itself meanwhile is little beside them. */
const runsCount = 60;

export function baseline(): Ratios {
  return JSON.parse(readFileSync(path, "utf8")) as Ratios;
}

export async function guardRatios(): Promise<Ratios> {
  return { ...(await inProcess()), ...(await overHttp()) };
}

/** The best of the rounds: what disturbs one is not the code. */
async function inProcess(): Promise<Ratios> {
  return withAll(async (own) => {
    const store = own(await startStore(relaxedMs));
    const child = own(start<typeof runtimeHandlers>("in-process"));
    await child.call("open", { store, flushMs });
    const commands = await compare(child.pid, child.pid, 6_000, {
      raw: (count) => child.call("raw", { callers: 256, count }),
      troupe: (count) => child.call("troupe", { callers: 256, count }),
    });
    const before = await child.call("counters", null);
    await child.call("troupe", { callers: 256, count: 5_000 });
    const after = await child.call("counters", null);
    const gained = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
    await child.call("close", null);
    return {
      "CPU of a raw append by CPU of a command in process": commands,
      "commands a commit, 256 callers": gained("steps") / gained("commits"),
    };
  });
}

async function overHttp(): Promise<Ratios> {
  return withAll(async (own) => {
    const store = own(await startStore(relaxedMs));
    const node = own(await startNode(store, undefined, { TROUPE_FLUSH_MS: String(flushMs) }));
    const raw = own(start<typeof rawHandlers>("raw-server"));
    const load = own(start<typeof loadHandlers>("load"));
    const runs = own(start<typeof runsHandlers>("runs"));
    const rawPort = await raw.call("listen", { store });
    const body = JSON.stringify({ task_type: "nobody", input: { hello: "world" } });
    const send = (port: number, path: string) => (count: number) =>
      load.call("run", { port, connections: 64, method: "POST", path, body, count });
    const commands = await compare(raw.pid, node.pid, 2_000, {
      raw: send(rawPort, "/bridge"),
      troupe: send(node.port, "/v1/tasks"),
    });
    const look = async () => {
      const { counters } = await node.api<{ counters: Record<string, number> }>("GET", "/v1/status");
      return { commits: counters.commits ?? 0, bytes: (await store.stored("TROUPE_JOURNAL")).bytes };
    };
    const before = await look();
    const { count } = (await runs.call("single", { port: node.port, count: runsCount })).latencyMs;
    const after = await look();
    return {
      "CPU of the raw bridge by CPU of a command over HTTP": commands,
      "runs of echo a commit, one at a time": count / (after.commits - before.commits),
      "runs of echo a MiB of journal": (count * 2 ** 20) / (after.bytes - before.bytes),
    };
  });
}

interface Sides {
  raw(count: number): Promise<unknown>;
  troupe(count: number): Promise<unknown>;
}

/** CPU time of the raw side by that of the other, for as many operations, in turns; the best round. */
async function compare(rawPid: number, pid: number, count: number, sides: Sides): Promise<number> {
  const spent = async (of: number, run: (count: number) => Promise<unknown>): Promise<number> => {
    const began = performance.now();
    const end = measureUsage({ it: of });
    await run(count);
    return (end().it?.cores ?? 0) * (performance.now() - began);
  };
  for (let i = 0; i < warmUps; i++) {
    await sides.raw(count / warmUps);
    await sides.troupe((2 * count) / warmUps);
  }
  let best = 0;
  for (let round = 0; round < rounds; round++) {
    const raw = await spent(rawPid, sides.raw);
    best = Math.max(best, raw / (await spent(pid, sides.troupe)));
  }
  return best;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const ratios = Object.fromEntries(
    Object.entries(await guardRatios()).map(([name, value]) => [name, Number(value.toPrecision(3))]),
  );
  const text = `${JSON.stringify(ratios, null, 2)}\n`;
  process.stdout.write(text);
  if (process.argv.includes("--write")) writeFileSync(path, text);
}
