/**
 * A real Troupe on a port that stays, which can be killed (kill -9) and started again over the same
 * data. Ends only what it started.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { lastingPort } from "../support/free-port.ts";

const bin = join(import.meta.dirname, "../../bin/troupe.js");

export class RestartableTroupe {
  readonly base: string;
  private readonly port: number;
  private readonly folder: string;
  private readonly settings: Readonly<Record<string, string>>;
  private child: ChildProcess | undefined;

  private constructor(port: number, folder: string, settings: Readonly<Record<string, string>>) {
    this.port = port;
    this.folder = folder;
    this.settings = settings;
    this.base = `http://127.0.0.1:${port}`;
  }

  static async begin(settings: Readonly<Record<string, string>> = {}): Promise<RestartableTroupe> {
    const folder = await mkdtemp(join(tmpdir(), "troupe-clients-"));
    const troupe = new RestartableTroupe(await lastingPort(), folder, settings);
    await troupe.start();
    return troupe;
  }

  /** Resolves when it is ready. */
  async start(): Promise<void> {
    const argv = [bin, "start", "--port", String(this.port), "--data-dir", join(this.folder, "data")];
    const { PATH, HOME } = process.env;
    const env = { PATH, HOME, LOG_LEVEL: "warn", GRPC_PORT: "off", ...this.settings };
    const child = spawn(process.execPath, argv, { cwd: this.folder, env, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let errors = "";
    child.stderr.on("data", (chunk: Buffer) => {
      errors += chunk.toString();
    });
    for await (const line of createInterface({ input: child.stdout })) if (line.includes("is ready")) return;
    throw new Error(`troupe ended before it was ready: ${errors}`);
  }

  async kill(): Promise<void> {
    await this.end("SIGKILL");
  }

  async stop(): Promise<void> {
    // A server that was left behind by a kill is adopted and ended by the next start.
    if (this.child === undefined) await this.start();
    await this.end("SIGTERM");
    await rm(this.folder, { recursive: true, force: true });
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, "exit");
    child.kill(signal);
    await ended;
  }

  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: Answer }> {
    const headers: Record<string, string> = body === undefined ? {} : { "content-type": "application/json" };
    const answer = await fetch(this.base + path, {
      method,
      headers,
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: answer.status, body: (await answer.json()) as Answer };
  }

  /** Creates a task; gives its id. */
  async task(fields: Record<string, unknown>): Promise<string> {
    const { status, body } = await this.call("POST", "/v1/tasks", fields);
    if (status !== 201) throw new Error(`POST /v1/tasks: ${status} ${JSON.stringify(body)}`);
    return body.task.task_id;
  }

  async get(id: string): Promise<Answer> {
    return (await this.call("GET", `/v1/tasks/${id}`)).body;
  }
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers freely
export type Answer = any;
