/** A Troupe node under test: `troupe start` in a process of its own, over the store that a figure gives it. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { atExit, ended, profileFlags } from "./process.ts";
import type { Access } from "./store.ts";

export interface TroupeNode {
  readonly pid: number;
  readonly port: number;
  /** Waits for the answer's JSON; throws when it is an error. */
  api<T>(method: string, path: string, body?: unknown): Promise<T>;
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL("..", import.meta.url));
/** A machine may be busy, and a figure may start it with very many actors. */
const readyMs = 180_000;

/** `settings`: further variables of its environment. */
export async function startNode(
  store: Access,
  profileDir?: string,
  settings: Readonly<Record<string, string>> = {},
): Promise<TroupeNode> {
  const child = spawn(process.execPath, [...profileFlags(profileDir), "bin/troupe.js", "start"], {
    cwd: root,
    env: {
      ...process.env,
      NATS_URL: store.url,
      NATS_USER: store.user,
      NATS_PASSWORD: store.pass,
      HOST: "127.0.0.1",
      PORT: "0",
      GRPC_PORT: "off",
      LOG_LEVEL: process.env.BENCH_LOG_LEVEL ?? "error",
      TROUPE_WS_CLIENTS_MAX: "20000",
      TROUPE_DRAIN_MS: "0",
      TROUPE_API_KEYS: "",
      TROUPE_AGENTS: "",
      ...settings,
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stopped = atExit(() => child.kill("SIGKILL"));
  const port = await new Promise<number>((resolve, reject) => {
    let said = "";
    const timer = setTimeout(
      () => reject(new Error(`troupe start is not ready after ${readyMs} ms: ${said}`)),
      readyMs,
    );
    child.once("exit", (code) => reject(new Error(`troupe start ended (${code}): ${said}`)));
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      const found = /ready on http:\/\/[^:]+:(\d+)/.exec(said)?.[1];
      if (found === undefined) return;
      clearTimeout(timer);
      resolve(Number(found));
    });
  });
  return {
    pid: child.pid ?? 0,
    port,
    async api<T>(method: string, path: string, body?: unknown) {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
      if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
      return (await response.json()) as T;
    },
    async stop() {
      child.kill("SIGINT");
      await ended(child);
      stopped();
    },
  };
}
