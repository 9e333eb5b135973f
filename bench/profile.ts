/**
 * Where a profiled process spent its time: `tsx bench/profile.ts FILE.cpuprofile…` prints the functions
 * and files with the most self-time, and Troupe's functions with what they call, as Markdown. Profiles come from `npm run bench -- --profile DIR`.
 */
import { readFileSync } from "node:fs";

interface Profile {
  readonly nodes: readonly {
    readonly id: number;
    readonly children?: readonly number[];
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** The start of a process is not what is looked at. */
const skippedMicroseconds = 4e6;
const rowsMax = Number(process.env.BENCH_PROFILE_ROWS ?? 10);

for (const path of process.argv.slice(2)) {
  const profile = JSON.parse(readFileSync(path, "utf8")) as Profile;
  const { functions, places, whole, busy } = selfTimes(profile);
  process.stdout.write(`\n${path}: ${(busy / 1e6).toFixed(2)} s busy\n\n`);
  process.stdout.write(`| share | function |\n|---|---|\n${table(functions, busy)}\n\n`);
  process.stdout.write(`| share | file or package |\n|---|---|\n${table(places, busy)}\n\n`);
  process.stdout.write(`| share with what it calls | function |\n|---|---|\n${table(whole, busy)}\n`);
}

function selfTimes({ nodes, samples, timeDeltas }: Profile) {
  const byId = new Map(nodes.map((node) => [node.id, node.callFrame]));
  const functions = new Map<string, number>();
  const places = new Map<string, number>();
  const whole = new Map<string, number>();
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  let busy = 0;
  let passed = 0;
  for (const [i, id] of samples.entries()) {
    const frame = byId.get(id);
    passed += timeDeltas[i] ?? 0;
    if (passed < skippedMicroseconds) continue;
    if (frame === undefined || frame.functionName === "(idle)") continue;
    const time = timeDeltas[i] ?? 0;
    const place = placeOf(frame.url);
    const name = nameOf(frame);
    busy += time;
    functions.set(name, (functions.get(name) ?? 0) + time);
    places.set(place || "(engine)", (places.get(place || "(engine)") ?? 0) + time);
    const callers = new Set<string>();
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const caller = byId.get(at);
      if (caller !== undefined && placeOf(caller.url).startsWith("src/")) callers.add(nameOf(caller));
    }
    for (const caller of callers) whole.set(caller, (whole.get(caller) ?? 0) + time);
  }
  return { functions, places, whole, busy };
}

function nameOf({ functionName, url, lineNumber }: Profile["nodes"][number]["callFrame"]): string {
  return `${functionName || `(line ${lineNumber + 1})`} ${placeOf(url)}`.trim();
}

/** `src/actors/loop.ts`, or the name of the package. */
function placeOf(url: string): string {
  const inPackage = /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1];
  return inPackage ?? /.*\/((?:src|bench)\/.*)$/.exec(url)?.[1] ?? url;
}

function table(times: ReadonlyMap<string, number>, busy: number): string {
  return [...times]
    .sort((a, b) => b[1] - a[1])
    .slice(0, rowsMax)
    .map(([name, time]) => `| ${((100 * time) / busy).toFixed(1)} % | ${name} |`)
    .join("\n");
}
