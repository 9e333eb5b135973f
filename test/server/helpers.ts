/** What the tests of the embedded server share: directories that go away, and processes of their own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { connect } from "@nats-io/transport-node";
import { onTestFinished } from "vitest";
import type { NatsServer, ServerLog, ServerOptions } from "../../src/bus/server/options.ts";
import { endProcess, findByArgument } from "../../src/bus/server/processes.ts";
import { systemClock } from "../../src/bus/system-clock.ts";

/** A fresh directory; at the test's end no server of it is left, nor the directory. */
export function freshDirectory(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), "troupe-test-")));
  onTestFinished(async () => {
    for (const one of findByArgument(join(directory, "nats.conf"))) await endProcess(one, 0, systemClock);
    rmSync(directory, { recursive: true, force: true });
  });
  return directory;
}

export function optionsFor(dataDir: string, more: Partial<ServerOptions> = {}): ServerOptions {
  return { natsUrls: [], natsPort: 0, dataDir, sync: "always", storeBytesMax: 2 ** 30, searchPath: "", ...more };
}

/** Keeps what was logged. */
export function recordingLog(): ServerLog & { readonly lines: string[] } {
  const lines: string[] = [];
  const add = (fields: object, message: string): void => {
    lines.push(`${message} ${JSON.stringify(fields)}`);
  };
  return { lines, debug: add, info: add, warn: add, error: add };
}

/** A connection to the server with its credential. */
export async function connectTo(server: Pick<NatsServer, "urls" | "user" | "pass">) {
  return connect({
    servers: [...server.urls],
    ...(server.user === undefined ? {} : { user: server.user, pass: server.pass ?? "" }),
    reconnect: false,
    timeout: 2_000,
  });
}

/** An executable that prints `text`, whatever it is asked. */
export function fakeServer(directory: string, text: string, exitCode = 0): string {
  const path = join(directory, "nats-server");
  writeFileSync(path, `#!/bin/sh\necho '${text}'\nexit ${exitCode}\n`);
  chmodSync(path, 0o755);
  return path;
}

export interface Helper {
  readonly child: ChildProcess;
  /** The first line that it printed, as JSON. */
  readonly said: Record<string, unknown>;
}

/** Runs a TypeScript file of this folder in a process of its own, until the test ends. */
export async function runHelper(file: string, ...args: string[]): Promise<Helper> {
  const path = fileURLToPath(new URL(file, import.meta.url));
  const child = spawn(process.execPath, ["--import", "tsx", path, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [line] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), "line")) as [string];
  return { child, said: JSON.parse(line) as Record<string, unknown> };
}

/** kill -9, and wait until it is gone. */
export async function killHard(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}
