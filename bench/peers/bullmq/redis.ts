/** A Redis server in a directory of its own. What is synced when is the caller's choice; the rest is BullMQ's advice. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Child, freePort, type Started, start } from "../child.ts";
import { Missing } from "../peer.ts";
import { versionOf } from "../versions.ts";

export interface RedisServer {
  readonly child: Child;
  readonly port: number;
  readonly version: string;
}

export type AppendFsync = "always" | "everysec";

/** Throws `Missing`. */
export async function startRedis(started: Started, appendfsync: AppendFsync): Promise<RedisServer> {
  const program = find();
  const port = await freePort();
  const child = started.own(
    await start({
      name: "redis-server",
      file: program,
      args: [
        ...["--port", String(port), "--bind", "127.0.0.1", "--dir", started.directory("redis")],
        ...["--appendonly", "yes", "--appendfsync", appendfsync, "--save", "", "--maxmemory-policy", "noeviction"],
      ],
      ready: /Ready to accept connections/,
    }),
  );
  return { child, port, version: versionOf(program, "--version") };
}

/** REDIS_SERVER, else the one on PATH. */
function find(): string {
  const { REDIS_SERVER, PATH = "" } = process.env;
  const places = [REDIS_SERVER ?? "", ...PATH.split(delimiter).map((place) => join(place, "redis-server"))];
  const found = places.find((place) => place !== "" && existsSync(place));
  if (found !== undefined) return found;
  throw new Missing("There is no Redis: `apt-get install redis-server`, or set REDIS_SERVER to the program.");
}
