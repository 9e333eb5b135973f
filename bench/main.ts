/**
 * `npm run bench`: measures every figure beside its raw limit, prints Markdown, leaves JSON and curves in bench/out.
 * Nothing here passes or fails; it ends with 1 only when a figure could not be measured.
 */
import { fileURLToPath } from "node:url";
import { commands } from "./figures/commands.ts";
import { curves } from "./figures/curves.ts";
import { echo } from "./figures/echo.ts";
import { fanOut } from "./figures/fan-out.ts";
import { hello } from "./figures/hello.ts";
import { idleActors } from "./figures/idle-actors.ts";
import { hotActor, inProcess } from "./figures/in-process.ts";
import { patterns } from "./figures/patterns.ts";
import { replicas } from "./figures/replicas.ts";
import { sockets } from "./figures/sockets.ts";
import { startUp } from "./figures/start.ts";
import { steps } from "./figures/steps.ts";
import { streams } from "./figures/streams.ts";
import { tokens } from "./figures/tokens.ts";
import { waiting } from "./figures/waiting.ts";
import { machineFacts } from "./machine.ts";
import { help, readOptions } from "./options.ts";
import { machineTable, type Report, type Result, resultTable, writeJson, writePlots } from "./report.ts";

const figures = [
  hello,
  commands,
  inProcess,
  hotActor,
  replicas,
  echo,
  steps,
  fanOut,
  waiting,
  sockets,
  patterns,
  streams,
  tokens,
  idleActors,
  startUp,
  curves,
];
const names = figures.map((figure) => figure.name);

if (process.argv.includes("--help")) {
  process.stdout.write(`${help}\nFigures: ${names.join(", ")}\n`);
} else {
  await main();
}

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  const options = readOptions(process.argv.slice(2), names);
  const at = new Date();
  const out = fileURLToPath(new URL("out", import.meta.url));
  const machine = await machineFacts(options.sync);
  process.stdout.write(`${machineTable(machine)}\n`);
  const results: Result[] = [];
  for (const { name, text, measure } of figures) {
    if (options.only.length > 0 && !options.only.includes(name)) continue;
    const result = await measure(options).then(
      (rows): Result => ({ name, text, rows }),
      (error: unknown): Result => ({
        name,
        text,
        rows: [],
        error: error instanceof Error ? error.message : String(error),
      }),
    );
    results.push(result);
    process.stdout.write(`${resultTable(result)}\n`);
    for (const path of writePlots(out, result.rows)) process.stdout.write(`Curve: ${path}\n`);
  }
  const report: Report = { at: at.toISOString(), machine, results };
  const path = writeJson(out, at.toISOString().replace(/[:.]/g, "-"), report);
  writeJson(out, "latest", report);
  process.stdout.write(`${Math.round((Date.now() - at.getTime()) / 1000)} s; as JSON: ${path}\n`);
  if (results.some((result) => result.error !== undefined)) process.exitCode = 1;
}
