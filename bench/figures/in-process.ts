/** Durable commands without HTTP: the runtime over NATS, a counter, 1,000 actors. */
import { type Figure, type Row, withAll } from "../figure.ts";
import { start } from "../process.ts";
import type { handlers as runtimeHandlers } from "../processes/in-process.ts";
import { inTurns, latencyRow, rateRow } from "../rounds.ts";
import { startStore } from "../store.ts";

const rawName = "append with expected sequence, one message a step";

export const inProcess: Figure = {
  name: "in-process",
  text: "Callers ask 1,000 counters through the runtime, against the same number of callers that append one message a step with the expected sequence, each to its own subject; one process, nats-server in another.",
  measure: (options) =>
    withAll(async (own) => {
      const store = own(await startStore(options.sync));
      const child = own(start<typeof runtimeHandlers>("in-process", options.profile));
      await child.call("open", store);
      const pids = { server: child.pid, nats: store.pid };
      const rows: Row[] = [];
      for (const callers of [64, 256]) {
        const before = await child.call("counters", null);
        const [raw, troupe] = await inTurns(
          [
            { what: rawName, pids, run: (ms) => child.call("raw", { callers, ms }) },
            { what: "troupe", pids, run: (ms) => child.call("troupe", { callers, ms }) },
          ],
          options.rounds,
          options.roundMs,
        );
        const after = await child.call("counters", null);
        if (raw === undefined || troupe === undefined) continue;
        const limit = { what: rawName, measured: raw };
        const perCommit = difference(after, before, "steps") / difference(after, before, "commits");
        rows.push({ ...rateRow(`${callers} callers`, troupe, limit), note: `${perCommit.toFixed(1)} steps a commit` });
        rows.push(latencyRow(`${callers} callers, p50`, "p50", troupe, limit));
        rows.push(latencyRow(`${callers} callers, p99`, "p99", troupe, limit));
      }
      await child.call("close", null);
      return rows;
    }),
};

function difference(
  after: Readonly<Record<string, number>>,
  before: Readonly<Record<string, number>>,
  name: string,
): number {
  return (after[name] ?? 0) - (before[name] ?? 0);
}
