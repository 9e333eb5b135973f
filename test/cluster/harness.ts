/**
 * A cluster of processes: one nats-server, any number of `troupe start --role …` against it, and a load over
 * HTTP that counts what failed. Owns processes; ends only those it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort } from "../support/free-port.ts";
import { startNatsCluster, startNatsServer, type TestNatsServer } from "../support/nats-server.ts";
import { until } from "../support/until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const agentsFile = fileURLToPath(new URL("../chaos/agents.ts", import.meta.url));

/** A machine may be busy with other things than this. */
const readyMs = 180_000;

export interface ClusterView {
  readonly members: readonly { boot: string; node: string; role: string; leaving: boolean; partitions: number }[];
  readonly partitions: readonly { partition: number; state: string; node?: string; epoch?: number; actors?: number }[];
}

export class Process {
  readonly base: string;
  constructor(
    readonly name: string,
    readonly port: number,
    readonly child: ChildProcess,
    readonly logFile: string,
  ) {
    this.base = `http://127.0.0.1:${port}`;
  }

  async status(path: string): Promise<number> {
    const answer = await fetch(this.base + path, { signal: AbortSignal.timeout(5000) }).catch(() => null);
    await answer?.body?.cancel();
    return answer?.status ?? 0;
  }

  async ready(): Promise<this> {
    await until(
      async () => {
        if (this.child.exitCode !== null) throw new Error(`${this.name} ended:\n${this.log().slice(-3000)}`);
        return (await this.status("/readyz")) === 200;
      },
      readyMs,
      `${this.name} to be ready`,
    ).catch((error: Error) => {
      throw new Error(`${error.message}\n${this.log().slice(-3000)}`);
    });
    return this;
  }

  async json<T>(path: string): Promise<T> {
    const answer = await fetch(this.base + path, { signal: AbortSignal.timeout(15_000) });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as T;
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    if (this.child.exitCode === null && this.child.signalCode === null) {
      const exited = once(this.child, "exit");
      this.child.kill(signal);
      await exited;
    }
    return this.child.exitCode;
  }

  log(): string {
    return readFileSync(this.logFile, "utf8");
  }
}

export class TestCluster {
  readonly directory = mkdtempSync(join(tmpdir(), "troupe-cluster-"));
  readonly effects = join(this.directory, "effects.jsonl");
  readonly #processes: Process[] = [];
  #count = 0;

  private constructor(
    readonly servers: readonly TestNatsServer[],
    readonly settings: Readonly<Record<string, string>>,
  ) {}

  /** One server, or three that hold three copies; `settings` are every process's. */
  static async create(servers: 1 | 3 = 1, settings: Readonly<Record<string, string>> = {}): Promise<TestCluster> {
    if (servers === 1) return new TestCluster([await startNatsServer()], settings);
    return new TestCluster(await startNatsCluster(3), { TROUPE_REPLICAS: "3", ...settings });
  }

  /** The only server, or the first. */
  get nats(): TestNatsServer {
    return this.servers[0] as TestNatsServer;
  }

  /** Starts a process; does not wait until it is ready. */
  async spawn(
    role: "node" | "gateway" | "all",
    name = `${role}-${++this.#count}`,
    settings: Record<string, string> = {},
  ): Promise<Process> {
    const port = await freePort();
    const logFile = join(this.directory, `${name}.log`);
    const log = openSync(logFile, "a");
    const { PATH, HOME, NATS_SERVER_BIN = "" } = process.env;
    const child = spawn(process.execPath, ["bin/troupe.js", "start", "--role", role, "--name", name], {
      cwd: root,
      stdio: ["ignore", log, log],
      env: {
        PATH,
        HOME,
        NATS_SERVER_BIN,
        PORT: String(port),
        GRPC_PORT: "off",
        NATS_URL: this.servers.map((server) => server.url).join(","),
        CHAOS_EFFECTS: this.effects,
        TROUPE_LEASE_MS: "2000",
        ...(role === "gateway" ? {} : { TROUPE_AGENTS: agentsFile }),
        ...this.settings,
        ...settings,
      },
    });
    closeSync(log);
    const started = new Process(name, port, child, logFile);
    this.#processes.push(started);
    return started;
  }

  /** Phases of a task's attempts, in the order in which they happened. */
  effectsOf(task: string): { attempt: number; phase: string }[] {
    let text = "";
    try {
      text = readFileSync(this.effects, "utf8");
    } catch {
      // Nothing has begun.
    }
    const lines = text.split("\n").filter((line) => line !== "");
    return lines
      .map((line) => JSON.parse(line) as { task: string; attempt: number; phase: string })
      .filter((line) => line.task === task)
      .map(({ attempt, phase }) => ({ attempt, phase }));
  }

  /** At once, when this process ends before `dispose`. */
  abandon(): void {
    for (const { child } of this.#processes) child.kill("SIGKILL");
    for (const { pid } of this.servers) process.kill(pid, "SIGKILL");
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#processes.map((p) => p.end("SIGKILL")));
    await Promise.all(this.servers.map((server) => server.stop()));
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface Reply {
  readonly status: number;
  readonly body: { task?: { task_id: string; status: string; attempt: number }; error?: { code: string } };
  readonly ms: number;
}

export async function post(base: string, path: string, body: unknown, timeoutMs = 30_000): Promise<Reply> {
  const begun = performance.now();
  try {
    const answer = await fetch(base + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const json = (await answer.json()) as Reply["body"];
    return { status: answer.status, body: json, ms: performance.now() - begun };
  } catch (error) {
    return { status: 0, body: { error: { code: String(error) } }, ms: performance.now() - begun };
  }
}

/** Callers that create tasks one after the other, until stopped; nothing is tried again. */
export class Load {
  readonly failed: string[] = [];
  done = 0;
  longestMs = 0;
  #stopped = false;
  readonly #workers: Promise<void>[];

  constructor(base: string, callers = 4) {
    this.#workers = Array.from({ length: callers }, async () => {
      while (!this.#stopped) {
        // Nobody can do it: only the commands count here.
        const reply = await post(base, "/v1/tasks", { task_type: "nobody", input: null });
        this.longestMs = Math.max(this.longestMs, reply.ms);
        if (reply.status === 201) this.done++;
        else this.failed.push(`${reply.status} ${reply.body.error?.code}`);
      }
    });
  }

  /** Forgets what was counted; gives it. */
  take(): { done: number; failed: string[]; longestMs: number } {
    const taken = { done: this.done, failed: this.failed.splice(0), longestMs: Math.round(this.longestMs) };
    this.done = 0;
    this.longestMs = 0;
    return taken;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#workers);
  }
}
