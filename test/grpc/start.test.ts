/** gRPC of a real Troupe: where it says that it listens, what a taken port does, and how it stops. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { until } from "../support/until.ts";
import { Inbox, jsonValue, type Stub, stub } from "./support/client.ts";

const bin = join(import.meta.dirname, "../../bin/troupe.js");

let folder: string;
let taken: Server;
let takenPort: number;
const children: ChildProcess[] = [];
const stubs: Stub[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "troupe-grpc-"));
  taken = createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  takenPort = (taken.address() as { port: number }).port;
});
afterEach(async () => {
  for (const one of stubs.splice(0)) one.close();
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});
afterAll(async () => {
  taken.close();
  await rm(folder, { recursive: true, force: true });
});

interface Launched {
  readonly child: ChildProcess;
  said(): string;
  complained(): string;
  /** `host:port` after what matches. */
  find(pattern: RegExp): Promise<string>;
}

function launch(settings: Record<string, string>): Launched {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, LOG_LEVEL: "info", ...settings };
  const argv = [bin, "start", "--port", "0", "--data-dir", join(folder, "data")];
  const child = spawn(process.execPath, argv, { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => {
    out += chunk.toString();
  });
  child.stderr.on("data", (chunk: Buffer) => {
    err += chunk.toString();
  });
  return {
    child,
    said: () => out,
    complained: () => err,
    async find(pattern) {
      await until(() => pattern.test(out) || child.exitCode !== null, 180_000, String(pattern), 20);
      const found = pattern.exec(out)?.[1];
      if (found === undefined) throw new Error(`troupe said: ${out}${err}`);
      return found;
    },
  };
}

test("it says where it listens, serves there, and a stop ends streams and closes it", {
  timeout: 400_000,
}, async () => {
  const troupe = launch({ GRPC_PORT: "0" });
  const at = await troupe.find(/gRPC: (\S+)/);
  expect(troupe.complained()).toContain(`"grpc":"${at}"`);
  const runs = stub("agent.runtime.v1.AgentRuntime", at);
  stubs.push(runs);
  const { run } = await runs.call("CreateRun", {
    workflow: { name: "document-brief" },
    input: jsonValue({ text: "# Bees\n\nBees fly." }),
  });
  const inbox = new Inbox(runs.stream("StreamEvents", { run_id: run.run_id }));
  await inbox.next(({ type }) => type === "EVENT_TYPE_HITL_REQUIRED");
  troupe.child.kill("SIGTERM");
  expect((await inbox.end())?.code).toBe(status.UNAVAILABLE);
  const [code] = troupe.child.exitCode === null ? await once(troupe.child, "exit") : [troupe.child.exitCode];
  expect(code).toBe(0);
  // The run was not cancelled by its watcher's end.
  const second = launch({ GRPC_PORT: "0" });
  const again = stub("agent.runtime.v1.AgentRuntime", await second.find(/gRPC: (\S+)/));
  stubs.push(again);
  expect((await again.call("GetRun", { run_id: run.run_id })).run.status).toBe("RUN_STATUS_WAITING_HUMAN");
});

test("a chosen port that is taken ends the start with a clear error", { timeout: 200_000 }, async () => {
  const troupe = launch({ GRPC_PORT: String(takenPort) });
  const [code] = await once(troupe.child, "exit");
  expect(code).toBe(1);
  const said = troupe.complained();
  expect(said).toMatch(`error: gRPC cannot listen on 127.0.0.1:${takenPort}; is the port taken? Set GRPC_PORT`);
  expect(said).not.toContain("at async");
});

test("the port of HTTP that is taken ends it in the same way", { timeout: 200_000 }, async () => {
  const env = { PATH: process.env.PATH, HOME: process.env.HOME, GRPC_PORT: "off" };
  const argv = [bin, "start", "--port", String(takenPort), "--data-dir", join(folder, "data")];
  const child = spawn(process.execPath, argv, { cwd: folder, env, stdio: ["ignore", "ignore", "pipe"] });
  children.push(child);
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const [code] = await once(child, "exit");
  expect(code).toBe(1);
  expect(said).toContain(`error: HTTP cannot listen on 127.0.0.1:${takenPort}; is the port taken? Set PORT`);
});
