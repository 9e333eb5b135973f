/** The load generator, in a process of its own: so many connections, each sending its next request at the answer. */
import { Connection, request } from "../connection.ts";
import { serve } from "../process.ts";
import { type Percentiles, percentiles } from "../statistics.ts";

export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly method: string;
  readonly path: string;
  readonly body?: string;
  /** Ends after this long, or after so many requests. */
  readonly ms?: number;
  readonly count?: number;
}

export interface Loaded {
  readonly perSecond: number;
  readonly latencyMs: Percentiles;
  /** By status; 0: the connection broke. */
  readonly failed: Readonly<Record<number, number>>;
}

export const handlers = { run };
if (process.send !== undefined) serve(handlers);

async function run(load: Load): Promise<Loaded> {
  const bytes = request(load.method, load.path, load.body);
  const open = await Promise.all(Array.from({ length: load.connections }, () => Connection.open(load.port)));
  const countMax = load.count ?? Number.POSITIVE_INFINITY;
  const latencies: number[] = [];
  const failed: Record<number, number> = {};
  const begin = performance.now();
  const end = begin + (load.ms ?? 600_000);
  let sent = 0;
  const one = (connection: Connection): Promise<void> =>
    new Promise((resolve) => {
      let at = 0;
      const next = (): void => {
        at = performance.now();
        if (sent >= countMax || at >= end) resolve();
        else {
          sent++;
          connection.send(bytes, onAnswer);
        }
      };
      const onAnswer = (status: number): void => {
        if (status >= 200 && status < 300) latencies.push(performance.now() - at);
        else failed[status] = (failed[status] ?? 0) + 1;
        if (status === 0) resolve();
        else next();
      };
      next();
    });
  await Promise.all(open.map(one));
  const seconds = (performance.now() - begin) / 1000;
  for (const connection of open) connection.close();
  return { perSecond: latencies.length / seconds, latencyMs: percentiles(latencies), failed };
}
