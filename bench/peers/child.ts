/**
 * Servers and applications as child processes: started on free loopback ports with data directories of their own,
 * awaited, and ended by their ids, whatever ends this process.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export interface Child {
  readonly pid: number;
  /** What `ready` matched, when it is a pattern. */
  readonly said: RegExpExecArray | null;
  stop(): Promise<void>;
}

export interface Command {
  readonly name: string;
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Another user, where a server refuses to run as this one. */
  readonly user?: { readonly uid: number; readonly gid: number };
  /** A pattern that it prints, or a question that is asked until it answers true. */
  readonly ready: RegExp | (() => Promise<boolean>);
  readonly endSignal?: NodeJS.Signals;
}

const here = fileURLToPath(new URL(".", import.meta.url));
const readyMs = 60_000;
const endMs = 10_000;
const saidCharsMax = 4_000;

export async function start(command: Command): Promise<Child> {
  const { name, file, args, cwd = here, env = {}, user, ready, endSignal = "SIGTERM" } = command;
  const child = spawn(file, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    ...user,
  });
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  let said = "";
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-saidCharsMax);
  };
  child.stdout.on("data", hear);
  child.stderr.on("data", hear);
  let failed: string | undefined;
  child.once("error", (error) => {
    failed = error.message;
  });
  const found = async () => (ready instanceof RegExp ? ready.exec(said) : await ready().catch(() => false));
  const deadline = performance.now() + readyMs;
  for (let answer = await found(); ; answer = await found()) {
    if (answer !== null && answer !== false) {
      return { pid: child.pid ?? 0, said: answer === true ? null : answer, stop: () => stop(child, endSignal, kill) };
    }
    if (failed !== undefined || child.exitCode !== null || performance.now() > deadline) {
      kill();
      throw new Error(`${name} did not start: ${failed ?? said}`);
    }
    await sleep(50);
  }
}

/** An application in TypeScript of this folder; it prints `ready`. */
export function startApp(name: string, file: string, env: Readonly<Record<string, string>>): Promise<Child> {
  return start({ name, file: process.execPath, args: ["--import", "tsx", file], env, ready: /^ready\b/m });
}

async function stop(child: ChildProcess, signal: NodeJS.Signals, kill: () => void): Promise<void> {
  process.off("exit", kill);
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill(signal);
  const timer = setTimeout(kill, endMs);
  await once(child, "exit");
  clearTimeout(timer);
}

/** What was started, to be ended in the opposite order; also when a later start fails. */
export class Started {
  readonly #ends: (() => unknown)[] = [];

  own<T extends { stop(): Promise<unknown> }>(one: T): T {
    this.#ends.push(() => one.stop());
    return one;
  }

  onStop(end: () => unknown): void {
    this.#ends.push(end);
  }

  /** A directory that is gone afterwards. */
  directory(name: string): string {
    const path = mkdtempSync(join(tmpdir(), `troupe-peers-${name}-`));
    const remove = () => rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
    process.once("exit", remove);
    this.onStop(() => {
      process.off("exit", remove);
      remove();
    });
    return path;
  }

  async stop(): Promise<void> {
    for (const end of this.#ends.reverse()) await end();
    this.#ends.length = 0;
  }
}

/** Runs `begin`; when it fails, what it has started so far is ended. */
export async function starting<T>(begin: (started: Started) => Promise<T>): Promise<T> {
  const started = new Started();
  try {
    return await begin(started);
  } catch (error) {
    await started.stop();
    throw error;
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
