/**
 * The real thing as a child: `node bin/troupe.js start` on a data directory of its own, killed and
 * started again at will. Owns processes and nothing else; ends only those it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/free-port.ts";
import { fetchAll } from "./http.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const agentsFile = fileURLToPath(new URL("./agents.ts", import.meta.url));
const readyMsMax = 150_000;

export interface End {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Waits on a timer: for the moments at which something is done to Troupe, never for Troupe itself. */
export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks again and again until there is a value; throws after the deadline. */
export async function eventually<T>(
  what: string,
  look: () => T | null | undefined | false | Promise<T | null | undefined | false>,
  msMax = 30_000,
  everyMs = 20,
): Promise<T> {
  const deadline = performance.now() + msMax;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    if (performance.now() > deadline) throw new Error(`waited ${msMax} ms for ${what} in vain`);
    await pause(everyMs);
  }
}

/** One Troupe: a data directory and a port that outlive its processes. */
export class Troupe {
  readonly base: string;
  readonly effects: string;
  /** How long each start took until it was ready, ms. */
  readonly startsMs: number[] = [];
  private child: ChildProcess | undefined;
  private spawned: number | null = null;

  private constructor(
    readonly directory: string,
    readonly data: string,
    readonly port: number,
  ) {
    this.base = `http://127.0.0.1:${port}`;
    this.effects = join(directory, "effects.jsonl");
  }

  static async create(): Promise<Troupe> {
    const directory = await mkdtemp(join(tmpdir(), "troupe-chaos-"));
    const troupe = new Troupe(directory, join(directory, "data"), await freePort());
    for (const end of ["exit", "disconnect", "SIGTERM"]) process.once(end, () => troupe.leaveNothing());
    return troupe;
  }

  /** Spawns; does not wait until it is ready. */
  spawn(settings: Readonly<Record<string, string>> = {}): ChildProcess {
    if (this.alive) throw new Error("it runs already");
    this.child = this.launch(settings);
    this.spawned = performance.now();
    return this.child;
  }

  /** A process on the same directory and port, which is not the one that `kill` ends. */
  launch(settings: Readonly<Record<string, string>> = {}): ChildProcess {
    const log = openSync(this.logFile, "a");
    const child = spawn(process.execPath, ["bin/troupe.js", "start", "--agents", agentsFile], {
      cwd: root,
      stdio: ["ignore", log, log],
      // As a terminal would: a process group of its own, so that Ctrl-C can be sent to all of it.
      detached: true,
      env: {
        ...Object.fromEntries(
          Object.entries(process.env).filter(([name]) => !/^(TROUPE|NATS|MODEL|VITEST)_/.test(name)),
        ),
        NATS_SERVER_BIN: process.env.NATS_SERVER_BIN ?? "",
        HOST: "127.0.0.1",
        PORT: String(this.port),
        GRPC_PORT: "off",
        TROUPE_DATA: this.data,
        LOG_LEVEL: "info",
        CHAOS_EFFECTS: this.effects,
        ...settings,
      },
    });
    closeSync(log);
    return child;
  }

  async start(settings: Readonly<Record<string, string>> = {}): Promise<void> {
    this.spawn(settings);
    await this.ready();
  }

  /** Until /readyz answers 200; throws with the log's end when the process ends or time is up. */
  async ready(msMax = readyMsMax): Promise<void> {
    await eventually(
      "/readyz",
      async () => {
        if (!this.alive) throw new Error(`troupe ended by itself:\n${this.log().slice(-4_000)}`);
        const answer = await fetchAll(`${this.base}/readyz`, { silenceMs: 5_000 }).catch(() => null);
        return answer?.status === 200;
      },
      msMax,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.log().slice(-4_000)}`);
    });
    if (this.spawned !== null) this.startsMs.push(performance.now() - this.spawned);
    this.spawned = null;
  }

  get alive(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** SIGKILL, and its end. */
  async kill(): Promise<void> {
    const { child } = this;
    if (child === undefined || !this.alive) throw new Error(`troupe ended by itself:\n${this.log().slice(-4_000)}`);
    child.kill("SIGKILL");
    await endOf(child);
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Ctrl-C: to everything in its process group. */
  async interrupt(): Promise<End> {
    const { child } = this;
    if (child?.pid === undefined || !this.alive) throw new Error("it does not run");
    const exited = endOf(child);
    process.kill(-child.pid, "SIGINT");
    return exited;
  }

  /** The nats-server's process, when it lives and is this directory's. */
  natsPid(): number | null {
    try {
      const { pid } = JSON.parse(readFileSync(join(this.data, "nats.json"), "utf8")) as { pid?: number };
      if (pid === undefined) return null;
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.data) ? pid : null;
    } catch {
      return null;
    }
  }

  /** SIGKILL to the nats-server; waits until the process is gone. */
  async killNats(): Promise<void> {
    // With troupe dead too there may be none, and nobody who would start one.
    if (!this.alive && this.natsPid() === null) return;
    const pid = await eventually("the nats-server's pid", () => this.natsPid());
    process.kill(pid, "SIGKILL");
    await eventually("the nats-server's end", () => this.natsPid() !== pid);
  }

  log(): string {
    try {
      return readFileSync(this.logFile, "utf8");
    } catch {
      return "";
    }
  }

  /** Ends what still runs; removes the directory unless the test failed (then it is named). */
  async dispose(keep = false): Promise<void> {
    if (this.alive) await this.kill();
    if (this.natsPid() !== null) await this.killNats();
    if (keep || process.env.TROUPE_KEEP) console.log(`kept: ${this.directory}`);
    else await rm(this.directory, { recursive: true, force: true });
  }

  /** When the test's own process ends before its time. */
  private leaveNothing(): void {
    if (this.alive) this.child?.kill("SIGKILL");
    const nats = this.natsPid();
    if (nats !== null) process.kill(nats, "SIGKILL");
  }

  private get logFile(): string {
    return join(this.directory, "troupe.log");
  }
}

export async function endOf(child: ChildProcess): Promise<End> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return { code: child.exitCode, signal: child.signalCode };
}
