/** What processes use of the machine: CPU and memory by id, from /proc. Elsewhere than on Linux: nothing. */
import { readFileSync } from "node:fs";

/** Cores used on average and resident memory at the end, by the name of the process. */
export type Usage = Readonly<Record<string, { readonly cores: number; readonly bytes: number }>>;

const ticksPerSecond = 100;

/** What operations cost a process. Under a load from elsewhere it says more than their rate does. */
export interface Cost {
  readonly cores: number;
  /** CPU time of one operation. */
  readonly microseconds: number;
  /** Resident memory. */
  readonly bytes: number;
}
export type Costs = Readonly<Record<string, Cost>>;

/** Begins; the function returned ends the measurement. */
export function measureUsage(pids: Readonly<Record<string, number>>): () => Usage {
  const began = performance.now();
  const before = Object.entries(pids).map(([name, pid]) => [name, pid, cpuSeconds(pid)] as const);
  return () => {
    const seconds = (performance.now() - began) / 1000;
    return Object.fromEntries(
      before.map(([name, pid, start]) => [
        name,
        { cores: (cpuSeconds(pid) - start) / seconds, bytes: residentBytes(pid) },
      ]),
    );
  };
}

function cpuSeconds(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticksPerSecond;
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

/** Open files that this process and its children may have; null: unknown. */
export function openFilesMax(): number | null {
  const limit = /^Max open files\s+(\d+)/m.exec(read("/proc/self/limits"))?.[1];
  return limit === undefined ? null : Number(limit);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
