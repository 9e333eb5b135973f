/**
 * `troupe status`: how the server is.
 */
import { z } from "zod";
import { exitCodes } from "../exit.ts";
import { brief } from "../format.ts";
import type { Session } from "../session.ts";
import { anyObject } from "../shapes.ts";

const partitionShape = z.looseObject({ state: z.string().nullish(), actors: z.number().nullish() });
const hostedShape = z.looseObject({
  type: z.string(),
  running: z.number().nullish(),
  waiting: z.number().nullish(),
  concurrency: z.number().nullish(),
});
const statusShape = z.looseObject({
  ready: z.boolean().nullish(),
  node: z.string().nullish(),
  version: z.string().nullish(),
  nats: z.looseObject({ connected: z.boolean().nullish(), version: z.string().nullish() }).nullish(),
  partitions: z.array(partitionShape).nullish(),
  hosted: z.array(hostedShape).nullish(),
  counters: anyObject.nullish(),
});

/** Exit code 1 when the server answers but cannot serve. */
export async function status(session: Session, flags: { json?: boolean }): Promise<number> {
  const found = await session.api.get("/v1/status", statusShape);
  const code = found.ready === false ? exitCodes.refused.code : exitCodes.ok.code;
  if (flags.json === true) {
    session.json(found);
    return code;
  }
  const { paint } = session;
  const field = (name: string, value: string): string => `${paint("dim", name.padEnd(10))} ${value}`;
  const partitions = found.partitions ?? [];
  const serving = partitions.filter((partition) => partition.state === "serving").length;
  const actors = partitions.reduce((sum, partition) => sum + (partition.actors ?? 0), 0);
  const version = found.version ? ` (troupe ${brief(found.version)})` : "";
  session.printAll([
    field("server", `${session.api.base.href}${version}`),
    field("ready", found.ready === false ? paint("red", "no") : paint("green", "yes")),
    ...(found.node ? [field("node", brief(found.node))] : []),
    ...(found.nats
      ? [
          field(
            "nats",
            `${found.nats.connected === false ? paint("red", "disconnected") : "connected"} ${found.nats.version ?? ""}`,
          ),
        ]
      : []),
    ...(partitions.length > 0
      ? [field("partitions", `${serving} of ${partitions.length} serving, ${actors} actors in memory`)]
      : []),
    ...(found.hosted ?? []).map((agent, index) =>
      field(
        index === 0 ? "agents" : "",
        `${brief(agent.type)}: ${agent.running ?? 0}/${agent.concurrency ?? "?"} running, ${agent.waiting ?? 0} waiting`,
      ),
    ),
    ...Object.entries(found.counters ?? {}).map(([name, value], index) =>
      field(index === 0 ? "counters" : "", `${brief(name)} ${brief(value)}`),
    ),
  ]);
  return code;
}
