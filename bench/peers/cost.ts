/**
 * What a measurement used of the machine: CPU by role and flushes of the disk, from /proc. Elsewhere than on Linux:
 * nothing. The flushes are the whole machine's; on a quiet one they show whether an answered call waited for the disk.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { tmpdir } from "node:os";

export interface Cost {
  /** Microseconds of CPU, by role; this process is `client`. */
  readonly cpu: Readonly<Record<string, number>>;
  /** Flush requests that the disk under the temporary directory has completed; undefined: unknown. */
  readonly flushes: number | undefined;
}

const microsecondsPerTick = 10_000;

/** Begins; the function returned ends the measurement. */
export function measureCost(processes: Readonly<Record<string, number>>): () => Cost {
  const roles = new Map(Object.entries(processes).map(([role, pid]) => [pid, role]));
  roles.set(process.pid, "client");
  const before = cpuByRole(roles);
  const flushed = diskFlushes();
  return () => {
    const after = cpuByRole(roles);
    const now = diskFlushes();
    return {
      cpu: Object.fromEntries([...after].map(([role, used]) => [role, used - (before.get(role) ?? 0)])),
      flushes: now === undefined || flushed === undefined ? undefined : now - flushed,
    };
  };
}

interface Process {
  readonly parent: number;
  /** Its own time and that of its ended children. */
  readonly microseconds: number;
}

/** Each process counts for its nearest ancestor that has a role. */
function cpuByRole(roles: ReadonlyMap<number, string>): Map<string, number> {
  const all = new Map<number, Process>();
  for (const name of list("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = read(`/proc/${name}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    const ticks = fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
    all.set(Number(name), { parent: Number(fields[1]), microseconds: ticks * microsecondsPerTick });
  }
  const used = new Map<string, number>();
  for (const [pid, { microseconds }] of all) {
    let at: number | undefined = pid;
    while (at !== undefined && at > 1 && !roles.has(at)) at = all.get(at)?.parent;
    const role = at === undefined ? undefined : roles.get(at);
    if (role !== undefined) used.set(role, (used.get(role) ?? 0) + microseconds);
  }
  return used;
}

function diskFlushes(): number | undefined {
  const { dev } = statSync(tmpdir());
  const device = `${(dev >> 8) & 0xfff} ${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
  for (const line of read("/proc/diskstats").split("\n")) {
    const fields = line.trim().split(/\s+/);
    if (`${fields[0]} ${fields[1]}` === device && fields[18] !== undefined) return Number(fields[18]);
  }
  return undefined;
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
