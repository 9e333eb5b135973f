/** A nats-server for one figure, as `troupe start` sets its own up: same configuration, a directory of its own. */
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect } from "@nats-io/transport-node";
import { ensureServer } from "../src/bus/server/ensure.ts";
import { atExit } from "./process.ts";

/** How another process reaches the store. */
export interface Access {
  readonly url: string;
  readonly user: string;
  readonly pass: string;
}

export interface Stored {
  readonly messages: number;
  readonly bytes: number;
}

export interface Store extends Access {
  readonly pid: number;
  readonly version: string;
  /** What all streams hold whose names begin so. */
  stored(prefix: string): Promise<Stored>;
  stop(): Promise<void>;
}

const silent = { debug() {}, info() {}, warn() {}, error: console.error };

export async function startStore(sync: "always" | number): Promise<Store> {
  const directory = await mkdtemp(join(tmpdir(), "troupe-bench-"));
  const { NATS_SERVER_BIN, PATH = "" } = process.env;
  const server = await ensureServer(
    {
      natsUrls: [],
      natsServerBin: NATS_SERVER_BIN,
      natsPort: 0,
      dataDir: directory,
      sync,
      storeBytesMax: 16 * 2 ** 30,
      searchPath: PATH,
    },
    silent,
  );
  const { pid } = server;
  const stopped = atExit(() => {
    if (pid !== null) process.kill(pid, "SIGKILL");
    try {
      rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 });
    } catch {
      // The server may still be writing as it ends; what else ends with this process must end all the same.
    }
  });
  const access = { url: server.urls[0] ?? "", user: server.user ?? "", pass: server.pass ?? "" };
  const nc = await connect({ servers: access.url, user: access.user, pass: access.pass });
  return {
    ...access,
    pid: pid ?? 0,
    version: server.version ?? "",
    async stored(prefix) {
      const total = { messages: 0, bytes: 0 };
      const reply = await nc.request("$JS.API.STREAM.LIST", "{}");
      const { streams } = reply.json<{
        streams: { config: { name: string }; state: Stored & { last_seq: number } }[];
      }>();
      for (const { config, state } of streams) {
        if (!config.name.startsWith(prefix)) continue;
        total.messages += state.last_seq;
        total.bytes += state.bytes;
      }
      return total;
    },
    async stop() {
      await nc.close();
      await server.stop();
      stopped();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
