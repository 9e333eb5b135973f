/**
 * The real thing as a child process: `node bin/troupe.js start` with a data directory of its own and a free port.
 * Ends only what it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

const bin = join(import.meta.dirname, "../../../bin/troupe.js");

export interface Troupe {
  readonly base: string;
  readonly folder: string;
  /** Resident memory of the node's process in bytes; undefined where the system does not tell. */
  memory(): number | undefined;
  /** All that it wrote to standard error. */
  errors(): string;
  stop(): Promise<void>;
}

export async function startTroupe(settings: Readonly<Record<string, string>> = {}): Promise<Troupe> {
  const folder = await mkdtemp(join(tmpdir(), "troupe-gateway-"));
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: "warn", GRPC_PORT: "off", ...settings };
  const argv = [bin, "start", "--port", "0", "--data-dir", join(folder, "data")];
  const child = spawn(process.execPath, argv, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  // Also when the one that waits for it gives up.
  process.once("exit", () => child.kill("SIGTERM"));
  let errors = "";
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk.toString();
  });
  const stop = async (): Promise<void> => {
    await end(child);
    await rm(folder, { recursive: true, force: true });
  };
  for await (const line of createInterface({ input: child.stdout })) {
    const base = /ready on (http:\S+)/.exec(line)?.[1];
    if (base !== undefined) return { base, folder, memory: () => memoryOf(child), errors: () => errors, stop };
  }
  await stop();
  throw new Error(`troupe ended before it was ready: ${errors}`);
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}

function memoryOf(child: ChildProcess): number | undefined {
  try {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${child.pid}/status`, "utf8"))?.[1];
    return kib === undefined ? undefined : Number(kib) * 1024;
  } catch {
    return undefined;
  }
}
