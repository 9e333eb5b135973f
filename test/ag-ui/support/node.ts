/** `troupe start` as a process of its own, with its own nats-server; killed and started again on the same data. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { freePort } from "../../support/free-port.ts";

const bin = join(import.meta.dirname, "../../../bin/troupe.js");

export class TroupeProcess {
  url = "";
  readonly #folder: string;
  readonly #port: number;
  readonly #env: Readonly<Record<string, string>>;
  #child: ChildProcess | undefined;

  private constructor(folder: string, port: number, env: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#port = port;
    this.#env = env;
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<TroupeProcess> {
    const folder = await mkdtemp(join(tmpdir(), "troupe-agui-"));
    const made = new TroupeProcess(folder, await freePort(), env);
    await made.up();
    return made;
  }

  /** Starts it on its data; resolves when it is ready. `env` adds to what it was made with. */
  async up(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const { PATH = "", HOME = "" } = process.env;
    const child = spawn(
      process.execPath,
      [bin, "start", "--port", String(this.#port), "--data-dir", join(this.#folder, "data")],
      {
        cwd: this.#folder,
        env: { PATH, HOME, LOG_LEVEL: "warn", ...this.#env, ...env },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    this.#child = child;
    for await (const line of createInterface({ input: child.stdout as NodeJS.ReadableStream })) {
      const found = /ready on (http:\S+)/.exec(line);
      if (found?.[1] === undefined) continue;
      this.url = found[1];
      return;
    }
    throw new Error("the node ended before it was ready");
  }

  async down(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    await once(child, "exit");
  }

  /** Stops it and forgets its data. */
  async end(): Promise<void> {
    await this.down("SIGTERM");
    await rm(this.#folder, { recursive: true, force: true });
  }
}
