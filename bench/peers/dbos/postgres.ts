/**
 * A PostgreSQL server in a directory of its own, with what makes a commit durable said aloud. It refuses to run as
 * root: then it runs as the user `postgres`.
 */
import { execFileSync } from "node:child_process";
import { chownSync, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Child, freePort, type Started, start } from "../child.ts";
import { Missing } from "../peer.ts";
import { versionOf } from "../versions.ts";

export interface Postgres {
  readonly child: Child;
  readonly url: string;
  readonly version: string;
}

const settings = { fsync: "on", synchronous_commit: "on", full_page_writes: "on", max_connections: "100" };

/** Throws `Missing`. */
export async function startPostgres(started: Started): Promise<Postgres> {
  const bin = programs();
  const user = process.getuid?.() === 0 ? serverUser() : undefined;
  const data = started.directory("postgres");
  if (user !== undefined) chownSync(data, user.uid, user.gid);
  execFileSync(
    join(bin, "initdb"),
    ["--pgdata", data, "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C"],
    { stdio: ["ignore", "ignore", "pipe"], cwd: data, ...user },
  );
  const port = await freePort();
  const child = started.own(
    await start({
      name: "postgres",
      file: join(bin, "postgres"),
      args: [
        ...["-D", data, "-p", String(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="],
        ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]),
      ],
      cwd: data,
      ...(user !== undefined && { user }),
      ready: /database system is ready to accept connections/,
      endSignal: "SIGINT",
    }),
  );
  return {
    child,
    url: `postgresql://postgres@127.0.0.1:${port}/postgres`,
    version: versionOf(join(bin, "postgres"), "--version"),
  };
}

/** PG_BIN, else PATH, else where Debian puts them; the newest. */
function programs(): string {
  const { PG_BIN, PATH = "" } = process.env;
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const places = [PG_BIN ?? "", ...PATH.split(delimiter), ...versions.map((version) => `${debian}/${version}/bin`)];
  const found = places.find((place) => place !== "" && existsSync(join(place, "initdb")));
  if (found !== undefined) return found;
  throw new Missing(
    "There is no PostgreSQL: `apt-get install postgresql`, or set PG_BIN to the directory of `initdb` and `postgres`.",
  );
}

function serverUser(): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync("id", [flag, "postgres"], { stdio: ["ignore", "pipe", "ignore"] }));
  try {
    return { uid: id("-u"), gid: id("-g") };
  } catch {
    throw new Missing("PostgreSQL does not run as root, and there is no user `postgres`: `adduser --system postgres`.");
  }
}
