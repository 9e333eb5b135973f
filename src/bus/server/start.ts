/**
 * One start of the embedded nats-server: write its configuration, adopt the process that an
 * earlier Troupe left behind or end it, else spawn one, and wait until JetStream answers.
 * Not owned: starting again later (supervise.ts), the directory's lock (lock.ts).
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { z } from "zod";
import type { Clock } from "../clock.ts";
import {
  type Credential,
  confText,
  credentialOf,
  hashOf,
  portOf,
  readJson,
  readOrNull,
  type ServerFiles,
  writeWhole,
} from "./conf.ts";
import type { FoundServer } from "./find.ts";
import { openLog, sizeOf, tail } from "./log-file.ts";
import { ServerError, type ServerLog } from "./options.ts";
import { probe } from "./probe.ts";
import { endProcess, findByArgument, identify, isAlive, type ProcessIdentity } from "./processes.ts";

/** A large store is read before the server listens. */
const readyMsMax = 180_000;
const adoptMsMax = 10_000;
const endGraceMs = 10_000;
const pollMs = 10;
const saySlowMs = 5_000;
const portTriesMax = 5;

export interface StartOptions {
  readonly server: FoundServer;
  readonly files: ServerFiles;
  /** 0: the one used last, if it is free, else a free one. */
  readonly port: number;
  readonly sync: "always" | number;
  readonly storeBytesMax: number;
  readonly log: ServerLog;
  readonly clock: Clock;
}

export interface RunningServer {
  readonly process: ProcessIdentity;
  readonly port: number;
  readonly version: string;
  readonly credential: Credential;
  readonly adopted: boolean;
  /** Calls back once when our own child ends; never for an adopted one. */
  onExit(listener: () => void): void;
}

/** `nats.json`: for people and tools, and the hash that an adopted server must have. */
const stateShape = z.object({ pid: z.number(), startTime: z.string(), port: z.number(), confHash: z.string() });

/** Starts or adopts; throws ServerError with the end of the server's log. The directory must be locked by the caller. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  const { files } = options;
  mkdirSync(files.store, { recursive: true, mode: 0o700 });
  const credential = credentialOf(files);
  const confFor = (port: number) =>
    confText({
      port,
      sync: options.sync,
      storeBytesMax: options.storeBytesMax,
      credential,
      store: files.store,
      server: `${options.server.bin} ${options.server.version}`,
    });
  const lastPort = portOf(readOrNull(files.conf) ?? "");
  const adopted = await adoptOrEnd(options, credential, confFor(options.port || (lastPort ?? 0)));
  if (adopted) return adopted;
  for (let tries = 1; ; tries++) {
    const port = options.port || (await freePort(tries === 1 ? lastPort : null));
    try {
      return await spawnServer(options, credential, port, confFor(port));
    } catch (error) {
      const taken = error instanceof ServerError && /address already in use/.test(error.message);
      if (!taken || options.port !== 0 || tries >= portTriesMax) throw error;
    }
  }
}

/** Ends a server that this directory's Troupe started, and forgets it. */
export async function endServer(process: ProcessIdentity, files: ServerFiles, clock: Clock): Promise<void> {
  await endProcess(process, endGraceMs, clock);
  writeWhole(files.state, "{}\n");
}

/**
 * Servers that run on this directory's configuration file: recognised by that path among their
 * arguments, so that one whose start was not yet noted is seen too. Two on one store destroy it.
 */
async function adoptOrEnd(options: StartOptions, credential: Credential, conf: string): Promise<RunningServer | null> {
  const { files, log, clock } = options;
  const left = findByArgument(files.conf);
  const known = stateShape.safeParse(readJson(files.state)).data;
  const same = left.find((one) => one.pid === known?.pid && one.startTime === known.startTime);
  let keep: RunningServer | null = null;
  if (left.length === 1 && same && known && known.confHash === hashOf(conf)) {
    const version = await waitReady(options, same, known.port, credential, adoptMsMax).catch(() => null);
    if (version !== null) {
      log.info({ pid: same.pid, port: known.port, version }, "adopted the nats-server that was left running");
      keep = { process: same, port: known.port, version, credential, adopted: true, onExit: () => {} };
    }
  }
  for (const one of left) {
    if (one.pid === keep?.process.pid) continue;
    log.info({ pid: one.pid }, "stopping a nats-server that was left running");
    await endProcess(one, endGraceMs, clock);
  }
  return keep;
}

async function spawnServer(
  options: StartOptions,
  credential: Credential,
  port: number,
  conf: string,
): Promise<RunningServer> {
  const { files, server, log } = options;
  writeWhole(files.conf, conf);
  const output = openLog(files.log);
  const logStart = sizeOf(files.log);
  // Detached: a process group of its own, so that Ctrl-C reaches Troupe alone, which drains first.
  const child = spawn(server.bin, ["-c", files.conf], { detached: true, stdio: ["ignore", output, output] });
  closeSync(output);
  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(`it ended with ${signal ?? `code ${code}`}`));
  });
  const started = child.pid === undefined ? null : identify(child.pid);
  const fail = (reason: string): ServerError => {
    const end = tail(files.log, logStart);
    return new ServerError(
      "start_failed",
      `${server.bin} does not start: ${reason}${end && `\nIts log (${files.log}) ends:\n${end}`}`,
    );
  };
  if (!started) throw fail(await ended);
  child.unref();
  writeState(files, { ...started, bin: server.bin, port, url: `nats://127.0.0.1:${port}`, confHash: hashOf(conf) });
  const version = await Promise.race([
    waitReady(options, started, port, credential, readyMsMax),
    ended.then((reason) => Promise.reject(new Error(reason))),
  ]).catch(async (error: Error) => {
    await endProcess(started, endGraceMs, options.clock);
    throw fail(error.message);
  });
  log.info({ pid: started.pid, port, version, bin: server.bin }, "nats-server started");
  return {
    process: started,
    port,
    version,
    credential,
    adopted: false,
    onExit: (listener) => onceEnded(child, listener),
  };
}

function onceEnded(child: ChildProcess, listener: () => void): void {
  if (child.exitCode !== null || child.signalCode !== null) queueMicrotask(listener);
  else child.once("exit", listener);
}

function writeState(files: ServerFiles, state: z.infer<typeof stateShape> & { bin: string; url: string }): void {
  writeWhole(files.state, `${JSON.stringify(state)}\n`);
}

/** Asks again and again until JetStream answers; throws the last reason when the process is gone or time is up. */
async function waitReady(
  options: StartOptions,
  started: ProcessIdentity,
  port: number,
  credential: Credential,
  msMax: number,
): Promise<string> {
  const { clock, log } = options;
  const begin = clock.monotonic();
  let said = begin;
  for (;;) {
    try {
      return await probe(port, credential);
    } catch (error) {
      const now = clock.monotonic();
      if (!isAlive(started)) throw new Error("it ended", { cause: error });
      if (now - begin > msMax) throw new Error(`JetStream does not answer after ${msMax} ms (${String(error)})`);
      if (now - said > saySlowMs) {
        said = now;
        log.info({ waitedMs: Math.round(now - begin), port }, "waiting for the nats-server (it reads its store first)");
      }
    }
    await clock.sleep(pollMs);
  }
}

/** A free loopback port, the preferred one if it is free. */
async function freePort(preferred: number | null): Promise<number> {
  const bound = preferred === null ? null : await tryPort(preferred);
  const port = bound ?? (await tryPort(0));
  if (port === null) throw new ServerError("start_failed", "No free port on 127.0.0.1.");
  return port;
}

function tryPort(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(null));
    server.listen(port, "127.0.0.1", () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound ? bound.port : null));
    });
  });
}
