/** What exactly is measured: versions of packages and programs, and the machine's facts. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { fileURLToPath } from "node:url";

export type Facts = Readonly<Record<string, string>>;

/** Of the package in that directory. */
export function packageVersion(directory: string): string {
  return (JSON.parse(readFileSync(`${directory}/package.json`, "utf8")) as { version: string }).version;
}

/** `name@version` of packages of this folder, as the lock pins them. */
export function packageVersions(...names: readonly string[]): Facts {
  const here = fileURLToPath(new URL("node_modules", import.meta.url));
  return Object.fromEntries(names.map((name) => [name, packageVersion(`${here}/${name}`)]));
}

/** The first number with dots that the program prints. */
export function versionOf(program: string, ...args: readonly string[]): string {
  try {
    const said = execFileSync(program, args, { stdio: ["ignore", "pipe", "ignore"] }).toString();
    return /\d+(?:\.\d+)+/.exec(said)?.[0] ?? "unknown";
  } catch {
    return "unknown";
  }
}

export function machineFacts(): Facts {
  return {
    cpu: `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores for everything`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
    "load average at the start": loadAverage(),
  };
}

export function loadAverage(): string {
  try {
    return readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 3).join(" ");
  } catch {
    return "unknown";
  }
}
