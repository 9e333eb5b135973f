/**
 * `troupe cluster`: members and partitions, from any gateway.
 */
import { z } from "zod";
import { exitCodes } from "../exit.ts";
import { brief } from "../format.ts";
import type { Session } from "../session.ts";

const memberShape = z.looseObject({
  boot: z.string(),
  node: z.string(),
  role: z.string(),
  format: z.number().nullish(),
  leaving: z.boolean().nullish(),
  partitions: z.number().nullish(),
});
const partitionShape = z.looseObject({
  partition: z.number(),
  state: z.string(),
  node: z.string().nullish(),
  epoch: z.number().nullish(),
  last_seq: z.number().nullish(),
  actors: z.number().nullish(),
  dirty: z.number().nullish(),
  lag: z.number().nullish(),
});
const clusterShape = z.looseObject({ members: z.array(memberShape), partitions: z.array(partitionShape) });

/** Exit code 1 when a partition has no owner that answers. */
export async function cluster(session: Session, flags: { json?: boolean }): Promise<number> {
  const found = await session.api.get("/v1/cluster", clusterShape);
  const unowned = found.partitions.some((p) => p.state !== "serving");
  const code = unowned ? exitCodes.refused.code : exitCodes.ok.code;
  if (flags.json === true) {
    session.json(found);
    return code;
  }
  const names = new Map(found.members.map((m) => [m.boot, m.node]));
  const { paint } = session;
  const members = found.members.map((m) => [
    brief(m.node),
    m.leaving === true ? `${m.role}, leaving` : m.role,
    String(m.partitions ?? 0),
    String(m.format ?? ""),
    brief(m.boot),
  ]);
  const partitions = found.partitions.map((p) => [
    String(p.partition),
    p.state,
    brief(names.get(p.node ?? "") ?? p.node ?? ""),
    ...[p.epoch, p.last_seq, p.actors, p.dirty, p.lag].map((n) => String(n ?? "")),
  ]);
  session.printAll([
    ...table(["node", "role", "partitions", "format", "boot"], members, (line) => paint("dim", line)),
    "",
    ...table(["partition", "state", "node", "epoch", "last", "actors", "dirty", "lag"], partitions, (line) =>
      paint("dim", line),
    ),
  ]);
  return code;
}

function table(head: readonly string[], rows: readonly string[][], dim: (line: string) => string): string[] {
  const widths = head.map((name, i) => Math.max(name.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, i) => cell.padEnd(widths[i] ?? 0))
      .join("  ")
      .trimEnd();
  return [dim(line(head)), ...rows.map(line)];
}
