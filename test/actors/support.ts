/** Starts a runtime over a bus for tests. */
import { type Host, startHost } from "../../src/actors/host.ts";
import type { Logger } from "../../src/actors/limits.ts";
import type { Executor } from "../../src/actors/work.ts";
import type { Bus } from "../../src/bus/bus.ts";
import { counter } from "./counter.ts";

export const quiet: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: (fields, message) => {
    if (process.env.TROUPE_TEST_LOG) console.error(message, fields);
  },
};

export function hostOver(
  bus: Bus,
  options: {
    executors?: Executor[];
    flushMs?: number;
    replayBytes?: number;
    activeMax?: number;
    leaseMs?: number;
    format?: number;
    name?: string;
  } = {},
): Promise<Host> {
  const { flushMs = 50, replayBytes = 1 << 20, activeMax = 1000, leaseMs = 2000, name = "test" } = options;
  return startHost({
    bus,
    definitions: [counter],
    settings: { leaseMs, flushMs, replayBytes, activeMax },
    logger: quiet,
    name,
    ...(options.format === undefined ? {} : { format: options.format }),
    ...(options.executors === undefined ? {} : { executors: () => options.executors ?? [] }),
  });
}
