/**
 * A real nats-server for tests: loopback, a free port, a directory of its own, JetStream with every
 * commit synced. Can be killed and started again on the same port and data.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as connectSocket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findServer, howToGet } from "../../src/bus/server/find.ts";
import { freePort } from "./free-port.ts";

export interface TestNatsServer {
  readonly url: string;
  readonly port: number;
  readonly directory: string;
  /** 0 once it has ended. */
  readonly pid: number;
  /** Ends it in good order and removes its data. */
  stop(): Promise<void>;
  /** Ends it as a crash would; its data stays. */
  kill9(): Promise<void>;
  /** Ends it in good order; its data stays. */
  end(): Promise<void>;
  /** Starts it again on the same port and data (after `kill9` or `end`, or kills it first). */
  restart(): Promise<void>;
}

export interface TestNatsOptions {
  /** `always` or an interval. Default `always`. */
  readonly sync?: string;
  readonly maxPayloadBytes?: number;
  /** Further lines of nats.conf. */
  readonly extra?: string;
  readonly jetstream?: boolean;
  /** Default: any free one. */
  readonly port?: number;
}

const READY_MS = 20_000;

let found: Promise<string> | undefined;

/** The nats-server that Troupe itself would start: NATS_SERVER_BIN, PATH, the packaged one. */
export function natsServerBinary(): Promise<string> {
  found ??= (async () => {
    const { NATS_SERVER_BIN = "", PATH = "" } = process.env;
    const search = await findServer({ natsServerBin: NATS_SERVER_BIN, searchPath: PATH });
    if (!search.found) throw new Error(howToGet(search.skipped));
    return search.found.bin;
  })();
  return found;
}

export async function startNatsServer(options: TestNatsOptions = {}): Promise<TestNatsServer> {
  const directory = await mkdtemp(join(tmpdir(), "troupe-nats-"));
  const port = options.port ?? (await freePort());
  const config = join(directory, "nats.conf");
  await writeFile(config, configuration(port, directory, options));
  let child = await launch(config, port);
  const end = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  };
  return {
    url: `nats://127.0.0.1:${port}`,
    port,
    directory,
    get pid() {
      return child.exitCode === null && child.signalCode === null ? (child.pid ?? 0) : 0;
    },
    async stop() {
      await end("SIGTERM");
      await rm(directory, { recursive: true, force: true });
    },
    kill9: () => end("SIGKILL"),
    end: () => end("SIGTERM"),
    async restart() {
      await end("SIGKILL");
      child = await launch(config, port);
    },
  };
}

/** Three servers with JetStream and routes between them, on loopback. */
export async function startNatsCluster(size = 3): Promise<TestNatsServer[]> {
  const ports: number[] = [];
  for (let i = 0; i < size; i++) ports.push(await freePort());
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  return Promise.all(
    ports.map((port, i) =>
      startNatsServer({
        extra: `server_name: n${i}
cluster {
  name: troupe-test
  listen: "127.0.0.1:${port}"
  routes: [${routes}]
}`,
      }),
    ),
  );
}

function configuration(port: number, directory: string, options: TestNatsOptions): string {
  const jetstream = `jetstream {
  store_dir: ${JSON.stringify(join(directory, "data"))}
  sync_interval: ${JSON.stringify(options.sync ?? "always")}
  max_mem: 256MB
  max_file: 8GB
}`;
  return `listen: "127.0.0.1:${port}"
max_payload: ${options.maxPayloadBytes ?? 8 * 1024 * 1024}
max_pending: 256MB
write_deadline: "10s"
${options.jetstream === false ? "" : jetstream}
${options.extra ?? ""}
`;
}

async function launch(config: string, port: number): Promise<ChildProcess> {
  const child = spawn(await natsServerBinary(), ["-c", config], { stdio: ["ignore", "ignore", "pipe"] });
  let log = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4_000);
  });
  const deadline = performance.now() + READY_MS;
  while (!(await accepts(port))) {
    if (child.exitCode !== null) throw new Error(`nats-server ended at once (${child.exitCode}): ${log}`);
    if (performance.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`nats-server did not start within ${READY_MS} ms: ${log}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return child;
}

/** True when a server greets there. */
function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectSocket({ host: "127.0.0.1", port });
    const end = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once("data", () => end(true));
    socket.once("error", () => end(false));
    socket.setTimeout(1_000, () => end(false));
  });
}
