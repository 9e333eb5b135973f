/**
 * Processes of this machine by id: is it still the same one, what is it running, end it.
 * A process id alone proves nothing (ids are given again), hence the time of start with it.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import type { Clock } from "../clock.ts";

export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in whatever form the system tells it; unique together with `pid`. */
  readonly startTime: string;
}

const linux = process.platform === "linux";
const pollMs = 10;

/** Boots of the machine are told apart too: ticks since boot may come again after one. */
const bootId = linux ? readText("/proc/sys/kernel/random/boot_id")?.trim().slice(0, 8) : "";

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function ps(...args: string[]): string {
  try {
    return execFileSync("/bin/ps", args, {
      encoding: "utf8",
      env: { LC_ALL: "C" },
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    return "";
  }
}

/** When the process started; null when it does not exist or is a zombie. */
export function startTimeOf(pid: number): string | null {
  if (!Number.isSafeInteger(pid) || pid <= 0) return null;
  if (!linux) {
    const [state, ...start] = ps("-o", "state=,lstart=", "-p", String(pid)).trim().split(/\s+/);
    return state && !state.startsWith("Z") && start.length > 0 ? start.join(" ") : null;
  }
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === null) return null;
  // The name stands in brackets and may hold anything; fields are counted behind it (proc(5): state is 3, starttime 22).
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? null : `${bootId}:${fields[19]}`;
}

/** The identity of a living process, or null. */
export function identify(pid: number): ProcessIdentity | null {
  const startTime = startTimeOf(pid);
  return startTime === null ? null : { pid, startTime };
}

/** True while this very process lives. */
export function isAlive(one: ProcessIdentity): boolean {
  return startTimeOf(one.pid) === one.startTime;
}

/**
 * The processes that were started with exactly this argument (not as a shell's command text) and
 * see the same files: a container's path may read like ours.
 */
export function findByArgument(argument: string): ProcessIdentity[] {
  const pids = linux
    ? readdirSync("/proc").filter((name) => /^\d+$/.test(name) && hasArgument(name, argument))
    : ps("-axo", "pid=,args=")
        .split("\n")
        .filter((line) => line.endsWith(` ${argument}`))
        .map((line) => line.trim().split(" ")[0] ?? "");
  return pids.flatMap((pid) => identify(Number(pid)) ?? []);
}

function hasArgument(pid: string, argument: string): boolean {
  const found = readText(`/proc/${pid}/cmdline`)?.split("\0").includes(argument) ?? false;
  return found && mountsOf(pid) === mountsOf("self");
}

/** Names the file systems that a process sees; null when it is another user's. */
function mountsOf(pid: string): string | null {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`);
  } catch {
    return null;
  }
}

/** Asks the process to end, waits, ends it by force after `graceMs`; returns when it is gone. */
export async function endProcess(one: ProcessIdentity, graceMs: number, clock: Clock): Promise<"ended" | "killed"> {
  signal(one, "SIGTERM");
  if (await goneWithin(one, graceMs, clock)) return "ended";
  signal(one, "SIGKILL");
  // A process in the middle of a disk operation dies only after it.
  if (await goneWithin(one, 30_000, clock)) return "killed";
  throw new Error(`process ${one.pid} does not end`);
}

async function goneWithin(one: ProcessIdentity, ms: number, clock: Clock): Promise<boolean> {
  const deadline = clock.monotonic() + ms;
  while (isAlive(one)) {
    if (clock.monotonic() >= deadline) return false;
    await clock.sleep(pollMs);
  }
  return true;
}

function signal(one: ProcessIdentity, name: "SIGTERM" | "SIGKILL"): void {
  try {
    if (isAlive(one)) process.kill(one.pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
