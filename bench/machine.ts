/** What machine and versions the figures come from. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { findServer } from "../src/bus/server/find.ts";
import { openFilesMax } from "./usage.ts";

export async function machineFacts(sync: "always" | number): Promise<Readonly<Record<string, string>>> {
  const { NATS_SERVER_BIN, PATH = "" } = process.env;
  const search = await findServer({ natsServerBin: NATS_SERVER_BIN, searchPath: PATH });
  return {
    cpu: `${cpus()[0]?.model.trim() ?? "unknown"}, ${cpus().length} cores`,
    memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
    kernel: release(),
    node: process.version,
    "nats-server": search.found?.version ?? "none",
    sync: sync === "always" ? "every commit" : `every ${sync} ms`,
    "open files": String(openFilesMax() ?? "unknown"),
    "load average at the start": loadAverage(),
    revision: revision(),
  };
}

function loadAverage(): string {
  try {
    return readFileSync("/proc/loadavg", "utf8").split(" ").slice(0, 3).join(" ");
  } catch {
    return "unknown";
  }
}

function revision(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch {
    return "unknown";
  }
}
