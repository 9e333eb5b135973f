/**
 * `npm run reliability`: what failures cost, measured with real processes on loopback; prints Markdown, leaves
 * JSON in bench/out. Ends with 1 when an aim is missed or a figure could not be measured.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machineFacts } from "../machine.ts";
import { join as joining } from "./join.ts";
import { large } from "./large.ts";
import { markdown, type Row, type Section, section } from "./report.ts";
import { rolling } from "./rolling.ts";
import { takeover } from "./takeover.ts";

interface Figure {
  readonly name: string;
  readonly title: string;
  readonly text: string;
  measure(rounds: number, say: (text: string) => void): Promise<readonly Row[]>;
  /** Rounds unless told otherwise. */
  readonly rounds: number;
}

const figures: readonly Figure[] = [
  {
    name: "kill",
    title: "A node dies (kill -9)",
    text: "Three nodes and a gateway over one nats-server, every commit synced; one node after the other is killed under load and replaced.",
    rounds: 60,
    measure: (rounds, say) => takeover({ servers: 1, rounds, signal: "SIGKILL" }, say),
  },
  {
    name: "freeze",
    title: "A node freezes (SIGSTOP)",
    text: "The same; a node is stopped, and goes on when its partitions answer again. Lease 2000 ms.",
    rounds: 30,
    measure: (rounds, say) => takeover({ servers: 1, rounds, signal: "SIGSTOP" }, say),
  },
  {
    name: "kill-replicas",
    title: "A node dies, three nats-servers, three copies",
    text: "As the first, every commit synced on a majority of three nats-servers.",
    rounds: 60,
    measure: (rounds, say) => takeover({ servers: 3, rounds, signal: "SIGKILL" }, say),
  },
  {
    name: "freeze-replicas",
    title: "A node freezes, three nats-servers, three copies",
    text: "As the second, over three nats-servers.",
    rounds: 15,
    measure: (rounds, say) => takeover({ servers: 3, rounds, signal: "SIGSTOP" }, say),
  },
  {
    name: "rolling",
    title: "A rolling restart",
    text: "Three nodes and two gateways, eight callers that create tasks without a pause; every node, then every gateway, gets SIGTERM and is started again.",
    rounds: 3,
    measure: rolling,
  },
  {
    name: "join",
    title: "Nodes join and leave",
    text: "64 partitions; nodes join up to four, then leave down to one.",
    rounds: 3,
    measure: joining,
  },
  {
    name: "large",
    title: "A large partition is taken over",
    text: "Two nodes, one partition; its owner is killed.",
    rounds: 10,
    measure: (rounds, say) => large(10_000, { askMs: 1000, listMs: 3000 }, rounds, say),
  },
  {
    name: "larger",
    title: "A very large partition is taken over",
    text: "The same with ten times as many.",
    rounds: 5,
    measure: (rounds, say) => large(100_000, { askMs: 1000, listMs: 10_000 }, rounds, say),
  },
];

const { values } = parseArgs({
  options: {
    only: { type: "string", multiple: true, default: [] },
    rounds: { type: "string" },
    verbose: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const only = values.only.flatMap((text) => text.split(",")).filter((name) => name !== "");
const names = figures.map((figure) => figure.name);
const unknown = only.filter((name) => !names.includes(name));

if (values.help || unknown.length > 0) {
  process.stdout.write(
    `npm run reliability -- [--only NAME[,NAME]] [--rounds N] [--verbose]\nFigures: ${names.join(", ")}\n`,
  );
  process.exitCode = unknown.length > 0 ? 2 : 0;
} else {
  await main();
}

async function main(): Promise<void> {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  const at = new Date().toISOString();
  const machine = await machineFacts("always");
  process.stdout.write(
    `${Object.entries(machine)
      .map((fact) => fact.join(" "))
      .join(" · ")}\n\n`,
  );
  const say = (text: string) => void (values.verbose && process.stderr.write(`  ${text}\n`));
  const sections: Section[] = [];
  for (const figure of figures) {
    if (only.length > 0 && !only.includes(figure.name)) continue;
    const rounds = values.rounds === undefined ? figure.rounds : Number(values.rounds);
    const done = await section(figure.title, figure.text, () => figure.measure(rounds, say));
    sections.push(done);
    process.stdout.write(`${markdown(done)}\n`);
  }
  const out = fileURLToPath(new URL("../out", import.meta.url));
  mkdirSync(out, { recursive: true });
  const path = join(out, `reliability-${at.replace(/[:.]/g, "-")}.json`);
  const json = `${JSON.stringify({ at, machine, sections }, null, 2)}\n`;
  for (const file of [path, join(out, "reliability.json")]) writeFileSync(file, json);
  process.stdout.write(`As JSON: ${path}\n`);
  if (sections.some((s) => s.error !== undefined || s.rows.some((row) => row.met === false))) process.exitCode = 1;
}
