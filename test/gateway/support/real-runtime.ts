/** The real runtime, machines, executors and built-in agents over the memory bus, for tests of the gateway. */
import { AgentExecutor } from "../../../src/actors/executors/agent.ts";
import { CallbackExecutor } from "../../../src/actors/executors/callback.ts";
import { ResolveExecutor } from "../../../src/actors/executors/resolve.ts";
import { startHost } from "../../../src/actors/host.ts";
import { Hosting } from "../../../src/actors/hosting.ts";
import { newOutside } from "../../../src/actors/outside.ts";
import type { TroupeRuntime } from "../../../src/actors/runtime.ts";
import { type AnyAgent, builtInAgents, builtInWorkflows } from "../../../src/builtin/index.ts";
import { createMemoryBus } from "../../../src/bus/memory/bus.ts";
import { systemClock } from "../../../src/bus/system-clock.ts";
import { definitions } from "../../../src/machines/index.ts";

export interface Real {
  readonly runtime: TroupeRuntime;
  readonly problems: { fields: object; message: string }[];
  stop(): Promise<void>;
}

/** Built-in workflows are in `workflows`; tests register them over HTTP. */
export const workflows = builtInWorkflows;

/** `announced`: the agents are registered, as a start does it. */
export async function startReal(hosted: readonly AnyAgent[] = builtInAgents(), announced = false): Promise<Real> {
  const problems: Real["problems"] = [];
  const note = (fields: object, message: string) => void problems.push({ fields, message });
  const logger = { debug() {}, info() {}, warn: note, error: note };
  const bus = createMemoryBus({ clock: systemClock, layout: { partitions: 4, streams: 2, replicas: 1 } });
  let executor: AgentExecutor | undefined;
  const host = await startHost({
    bus,
    definitions,
    settings: { leaseMs: 2_000, flushMs: 100, replayBytes: 1 << 20, activeMax: 10_000 },
    logger,
    name: "test",
    executors: (runtime, node) => {
      const port = {
        ask: runtime.ask.bind(runtime),
        announce: runtime.announce.bind(runtime),
        values: runtime.values,
        clock: bus.clock,
        node,
        logger,
      };
      const agents = new AgentExecutor(port);
      for (const agent of hosted) agents.host(agent);
      const outside = newOutside(["127.0.0.1"], bus.clock);
      const callbacks = new CallbackExecutor(port, { outside, secret: (name) => runtime.secret(name) });
      executor = agents;
      return [agents, new ResolveExecutor(port), callbacks];
    },
  });
  executor?.reach(host.runtime);
  const hosting = new Hosting({
    bus,
    runtime: host.runtime,
    logger,
    node: "test",
    definitions: hosted as never,
    stats: () => executor?.stats() ?? [],
  });
  if (announced) await hosting.start();
  return {
    runtime: host.runtime,
    problems,
    async stop() {
      if (announced) await hosting.stop();
      await host.stop(1_000);
      await bus.close();
    },
  };
}
