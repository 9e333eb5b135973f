/**
 * One process of the cluster, node or gateway, behind relays of its own to each nats-server: killed, frozen, stopped
 * and started again on the same port. Ends only what it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { fetchAll } from "../chaos/http.ts";
import { lastingPort } from "../support/free-port.ts";
import { until } from "../support/until.ts";
import { Relay } from "./relay.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const readyMsMax = 180_000;
const endedMax = 20;

export interface MemberOptions {
  readonly name: string;
  readonly role: "node" | "gateway";
  readonly directory: string;
  /** What to run. */
  readonly entry: string;
  /** Ports of the nats-servers. */
  readonly servers: readonly number[];
  readonly settings: Readonly<Record<string, string>>;
}

export class Member {
  readonly name: string;
  readonly role: "node" | "gateway";
  readonly base: string;
  readonly #options: MemberOptions;
  #child: ChildProcess | undefined;
  /** Times that it ended by itself, such as at its start while NATS was away. */
  ended = 0;

  private constructor(
    options: MemberOptions,
    readonly port: number,
    readonly relays: readonly Relay[],
  ) {
    this.#options = options;
    this.name = options.name;
    this.role = options.role;
    this.base = `http://127.0.0.1:${port}`;
  }

  static async create(options: MemberOptions): Promise<Member> {
    const relays: Relay[] = [];
    for (const port of options.servers) relays.push(await Relay.open(port));
    return new Member(options, await lastingPort(), relays);
  }

  get alive(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  spawn(): void {
    if (this.alive) throw new Error(`${this.name} runs already`);
    const log = openSync(this.logFile, "a");
    const { PATH, HOME } = process.env;
    const { role, name, entry, settings } = this.#options;
    this.#child = spawn(process.execPath, [entry], {
      cwd: root,
      // It ends when the rig does: nobody writes to its standard input, and its end says so.
      stdio: ["pipe", log, log],
      env: {
        PATH,
        HOME,
        TROUPE_ROLE: role,
        TROUPE_NAME: name,
        PORT: String(this.port),
        GRPC_PORT: "off",
        NATS_URL: this.relays.map((relay) => `nats://127.0.0.1:${relay.port}`).join(","),
        ...settings,
      },
    });
    closeSync(log);
  }

  /** Until /readyz answers 200. Throws with the log's end when the process ends by itself, or takes too long. */
  async ready(msMax = readyMsMax): Promise<void> {
    let told = "nothing";
    await until(
      async () => {
        if (!this.alive) this.#again();
        const answer = await fetchAll(`${this.base}/readyz`, { silenceMs: 3_000 }).catch(() => null);
        told = answer === null ? "no answer" : `${answer.status} ${answer.body.toString()}`;
        return answer?.status === 200;
      },
      msMax,
      `${this.name} to be ready`,
      50,
    ).catch((error: Error) => {
      throw new Error(`${error.message} /readyz: ${told}\n${this.logEnd()}`);
    });
  }

  /** As a supervisor would: what ends by itself is started again. Not for ever. */
  #again(): void {
    if (++this.ended > endedMax) throw new Error(`${this.name} ended by itself ${this.ended} times:\n${this.logEnd()}`);
    this.spawn();
  }

  /** Ends it; gives the exit code. A drain that takes longer than `msMax` is ended with SIGKILL and throws. */
  async end(signal: "SIGKILL" | "SIGTERM", msMax = 60_000): Promise<number | null> {
    const child = this.#child;
    if (child === undefined || !this.alive) return child?.exitCode ?? null;
    const exited = once(child, "exit");
    child.kill(signal);
    const timer = setTimeout(() => child.kill("SIGKILL"), msMax);
    await exited;
    clearTimeout(timer);
    if (signal === "SIGTERM" && child.signalCode === "SIGKILL") {
      throw new Error(`${this.name} did not end within ${msMax} ms of SIGTERM:\n${this.logEnd()}`);
    }
    return child.exitCode;
  }

  freeze(): void {
    this.#child?.kill("SIGSTOP");
  }

  thaw(): void {
    this.#child?.kill("SIGCONT");
  }

  async dispose(): Promise<void> {
    this.thaw();
    await this.end("SIGKILL");
    for (const relay of this.relays) relay.close();
  }

  /** When the rig's own process ends before its time. */
  leaveNothing(): void {
    if (this.alive) this.#child?.kill("SIGKILL");
  }

  private get logFile(): string {
    return join(this.#options.directory, `${this.name}.log`);
  }

  private logEnd(): string {
    return readFileSync(this.logFile, "utf8").slice(-4_000);
  }
}
