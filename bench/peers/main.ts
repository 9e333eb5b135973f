/**
 * `npm start`: the same durable work on Troupe and its peers, one after the other, each with its server as a child
 * process of this one. Prints Markdown; ends with 1 when something could not be measured that should have been.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { measureFanOut, measureState, measureWorkflow } from "./measure.ts";
import { Missing, type Setup } from "./peer.ts";
import { markdown, type Report, type Row } from "./report.ts";
import { type Facts, loadAverage, machineFacts } from "./versions.ts";

const help = `npm start -- [--only NAME[,NAME]] [--seconds N] [--json FILE]

  --only     troupe, restate, dbos, bullmq; all of them without it
  --seconds  how long 64 callers are measured (default 10); one caller half as long, a warm-up a fifth
  --json     where everything that was measured goes besides
`;

/** Loaded when they are asked for: a system whose packages are missing does not keep the others from running. */
const systems: Readonly<Record<string, () => Promise<readonly Setup[]>>> = {
  troupe: async () => (await import("./troupe/peer.ts")).troupe,
  restate: async () => (await import("./restate/peer.ts")).restate,
  dbos: async () => (await import("./dbos/peer.ts")).dbos,
  bullmq: async () => (await import("./bullmq/peer.ts")).bullmq,
};

type Tables = { -readonly [K in "state" | "workflow" | "fanOut"]: Report[K][number][] };

if (process.argv.includes("--help")) process.stdout.write(help);
else await main();

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  const { only, seconds, json } = options();
  const at = new Date().toISOString();
  const machine = machineFacts();
  const versions: Record<string, Facts> = {};
  const missing: Record<string, string> = {};
  const tables: Tables = { state: [], workflow: [], fanOut: [] };
  for (const name of only) {
    try {
      for (const setup of (await systems[name]?.()) ?? []) {
        versions[setup.system] = await measure(setup, seconds * 1000, tables);
      }
    } catch (error) {
      missing[name] = error instanceof Error ? error.message : String(error);
      say(`${name} was not measured: ${missing[name]}`);
      // A server that nobody installed is said, and no failure.
      if (!(error instanceof Missing)) process.exitCode = 1;
    }
  }
  const report: Report = { at, seconds, machine, versions, missing, ...tables };
  process.stdout.write(`${markdown(report)}\n`);
  if (json !== undefined) writeFileSync(json, `${JSON.stringify(report, null, 2)}\n`);
}

async function measure(setup: Setup, ms: number, tables: Tables): Promise<Facts> {
  say(`${setup.system}, ${setup.durability}`);
  const running = await setup.start();
  const { processes } = running;
  try {
    for (const work of running.states) {
      tables.state.push(await row(setup, work.what, ms, () => measureState(work, processes, ms)));
    }
    for (const work of running.workflows) {
      tables.workflow.push(await row(setup, work.what, ms, () => measureWorkflow(work, processes, ms)));
    }
    for (const work of running.fanOuts) {
      tables.fanOut.push(await row(setup, work.what, ms, () => measureFanOut(work, processes, ms)));
    }
    return running.versions;
  } finally {
    await running.stop();
  }
}

async function row<F>(
  { system, durability }: Setup,
  what: string,
  ms: number,
  figures: () => Promise<F>,
): Promise<Row<F>> {
  say(`  ${what}`);
  const about = { system, what, durability, load: loadAverage() };
  try {
    return { ...about, figures: await inTime(ms, figures()) };
  } catch (error) {
    process.exitCode = 1;
    const failed = error instanceof Error ? error.message : String(error);
    say(`  failed: ${failed}`);
    return { ...about, failed: failed.replace(/\s+/g, " ").slice(0, 200) };
  }
}

/** A call that is never answered must not keep the others from being measured. */
async function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  const limitMs = ms * 3 + 120_000;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${limitMs / 1000} s`)), limitMs);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function options(): { only: readonly string[]; seconds: number; json: string | undefined } {
  const { values } = parseArgs({
    options: {
      only: { type: "string", multiple: true, default: [] },
      seconds: { type: "string", default: "10" },
      json: { type: "string" },
    },
  });
  const names = Object.keys(systems);
  const asked = values.only.flatMap((text) => text.split(",")).filter((name) => name !== "");
  const unknown = asked.filter((name) => !names.includes(name));
  if (unknown.length > 0) throw new Error(`No system ${unknown.join(", ")}; there are ${names.join(", ")}.`);
  const seconds = Number(values.seconds);
  if (!(seconds > 0)) throw new Error(`--seconds takes a number above 0, not ${values.seconds}.`);
  return { only: asked.length > 0 ? asked : names, seconds, json: values.json };
}

/** Progress goes where the tables do not. */
function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
