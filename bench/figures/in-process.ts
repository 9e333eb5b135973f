/** Durable commands without HTTP: the runtime over NATS, a counter, 1,000 actors or a single hot one. */
import { type Figure, type Row, withAll } from "../figure.ts";
import type { Options } from "../options.ts";
import { type Child, start } from "../process.ts";
import type { handlers as runtimeHandlers } from "../processes/in-process.ts";
import { inTurns, latencyRow, rateRow } from "../rounds.ts";
import { type Store, startStore } from "../store.ts";

type Runtime = Child<typeof runtimeHandlers>;

const relaxedMs = 2000;
const modes = [
  { name: "synced", sync: "always" },
  { name: "relaxed", sync: relaxedMs },
] as const;

export const inProcess: Figure = {
  name: "in-process",
  text: `Callers ask 1,000 counters through the runtime, against the same number of callers that append one message a step with the expected sequence, each to its own subject; one process, nats-server in another. Synced: every commit; relaxed: every ${relaxedMs} ms.`,
  measure: (options) =>
    withAll(async (own) => {
      const rows: Row[] = [];
      for (const { name, sync } of modes) {
        const store = own(await startStore(sync));
        const child = own(start<typeof runtimeHandlers>("in-process", options.profile));
        await child.call("open", { store });
        for (const callers of [64, 256]) {
          rows.push(...(await compare(options, store, child, "troupe", callers, callers, name)));
        }
        await child.call("close", null);
      }
      return rows;
    }),
};

export const hotActor: Figure = {
  name: "hot-actor",
  text: "64 callers ask one and the same counter, against one caller that appends to one subject with the expected sequence, one message at a time: what a single record can take.",
  measure: (options) =>
    withAll(async (own) => {
      const rows: Row[] = [];
      for (const { name, sync } of modes) {
        const store = own(await startStore(sync));
        const child = own(start<typeof runtimeHandlers>("in-process", options.profile));
        await child.call("open", { store });
        rows.push(...(await compare(options, store, child, "hot", 64, 1, name)));
        await child.call("close", null);
      }
      return rows;
    }),
};

async function compare(
  options: Pick<Options, "rounds" | "roundMs">,
  store: Store,
  child: Runtime,
  how: "troupe" | "hot",
  callers: number,
  rawCallers: number,
  mode: string,
): Promise<Row[]> {
  const pids = { server: child.pid, nats: store.pid };
  const rawName = `append with expected sequence, ${rawCallers} at a time`;
  const before = await child.call("counters", null);
  const [raw, troupe] = await inTurns(
    [
      { what: rawName, pids, run: (ms) => child.call("raw", { callers: rawCallers, ms }) },
      { what: "troupe", pids, run: (ms) => child.call(how, { callers, ms }) },
    ],
    options.rounds,
    options.roundMs,
  );
  const after = await child.call("counters", null);
  if (raw === undefined || troupe === undefined) return [];
  const limit = { what: rawName, measured: raw };
  const gained = (counter: string) => (after[counter] ?? 0) - (before[counter] ?? 0);
  const note = `${(gained("steps") / gained("commits")).toFixed(1)} steps a commit`;
  const what = `${mode}, ${callers} callers`;
  return [
    { ...rateRow(what, troupe, limit), note },
    latencyRow(`${what}, p50`, "p50", troupe, limit),
    latencyRow(`${what}, p99`, "p99", troupe, limit),
  ];
}
