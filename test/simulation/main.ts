/**
 * Runs simulated worlds from the command line: `npm run sim -- --seed N [--steps M]` replays one exactly,
 * `npm run sim -- --fresh 60s` tries new seeds for that long and prints a failing one. Exit code 1 when
 * something was lost or doubled.
 */
import { parseArgs } from "node:util";
import { World } from "./world.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    count: { type: "string", default: "1" },
    steps: { type: "string", default: "400" },
    nodes: { type: "string", default: "3" },
    fresh: { type: "string" },
  },
});

const steps = Number(values.steps);
const nodes = Number(values.nodes);
let acknowledged = 0;
let faults = 0;
let worlds = 0;

async function run(seed: number): Promise<boolean> {
  const world = new World({ seed, nodes, steps, actors: 12, clients: 6 });
  const verdict = await world.run();
  worlds++;
  acknowledged += verdict.acknowledged;
  faults += verdict.faults;
  if (verdict.problems.length === 0) return true;
  console.log(`seed ${seed} fails; replay it with: npm run sim -- --seed ${seed} --steps ${steps} --nodes ${nodes}`);
  for (const problem of verdict.problems.slice(0, 20)) console.log(`  ${problem}`);
  for (const line of world.describe()) console.log(`  ${line}`);
  return false;
}

async function all(): Promise<boolean> {
  if (values.fresh !== undefined) {
    const until = Date.now() + Number.parseFloat(values.fresh) * 1000;
    for (let seed = Date.now() % 1_000_000_000; Date.now() < until; seed++) if (!(await run(seed))) return false;
    return true;
  }
  const first = Number(values.seed ?? 1);
  for (let seed = first; seed < first + Number(values.count); seed++) if (!(await run(seed))) return false;
  return true;
}

const sound = await all();
console.log(
  `${worlds} worlds, ${acknowledged} acknowledged commands, ${faults} faults: ${sound ? "0 lost, 0 doubled" : "FAILED"}`,
);
process.exitCode = sound ? 0 : 1;
