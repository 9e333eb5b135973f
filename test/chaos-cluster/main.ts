/**
 * `npm run chaos -- --minutes N [--seed S]`: the whole cluster as processes under faults for so long, then the check. The
 * last lines say what was done and, for each promise, how often it was broken. Exit code 1 when one was.
 */
import { cpus, loadavg, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { chaos } from "./rig.ts";
import { describe, sound } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "5" },
    seed: { type: "string" },
    rate: { type: "string", default: "1500" },
    lanes: { type: "string", default: "1200" },
    workers: { type: "string", default: "6" },
    /** No faults: what the clients manage when nothing happens. */
    calm: { type: "boolean", default: false },
  },
});

const minutes = Number(values.minutes);
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
const begun = performance.now();
const never = 2 ** 40;
const say = (line: string): void => console.log(`${((performance.now() - begun) / 1000).toFixed(1)} s  ${line}`);

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(130));

say(
  `seed ${seed}, ${minutes} minutes; ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.version}`,
);
const verdict = await chaos(
  {
    seed,
    ms: minutes * 60_000,
    socketLanes: Number(values.lanes),
    httpLanes: 24,
    perSecond: Number(values.rate),
    workers: Number(values.workers),
    watchers: 9,
    lightMs: values.calm ? never : 1_000,
    heavyMs: values.calm ? never : 1_500,
    blackouts: values.calm ? 0 : Math.max(1, Math.round(minutes / 5)),
    replayBytes: 16 * 2 ** 20,
  },
  say,
);
say(
  `load average at the end ${loadavg()
    .map((one) => one.toFixed(1))
    .join(", ")}`,
);
for (const line of describe(verdict)) console.log(line);
process.exit(sound(verdict) ? 0 : 1);
