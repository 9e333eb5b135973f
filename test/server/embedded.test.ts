/** The embedded nats-server, with the real program: started, kept, adopted, refused, stopped. */
import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { describe, expect, test, vi } from "vitest";
import { payloadBytesMax } from "../../src/bus/server/conf.ts";
import { ensureServer } from "../../src/bus/server/ensure.ts";
import type { NatsServer } from "../../src/bus/server/options.ts";
import { identify } from "../../src/bus/server/processes.ts";
import { connectTo, fakeServer, freshDirectory, killHard, optionsFor, recordingLog, runHelper } from "./helpers.ts";

/** Writes one message into a stream that is made when it is missing. */
async function keep(server: NatsServer, text: string): Promise<void> {
  const connection = await connectTo(server);
  const manager = await jetstreamManager(connection);
  await manager.streams.add({ name: "kept", subjects: ["kept.>"] });
  await jetstream(connection).publish("kept.one", text);
  await connection.close();
}

async function kept(server: NatsServer): Promise<number> {
  const connection = await connectTo(server);
  const manager = await jetstreamManager(connection);
  const { state } = await manager.streams.info("kept");
  await connection.close();
  return state.messages;
}

const isGone = (pid: number | null): boolean => pid !== null && identify(pid) === null;

describe("start and stop", () => {
  test("answers with its credential only, keeps data and credential, leaves nothing running", async () => {
    const directory = freshDirectory();
    const first = await ensureServer(optionsFor(directory), recordingLog());
    expect(first).toMatchObject({ owned: true, version: expect.stringMatching(/^2\.\d+\.\d+/) });
    expect(first.urls[0]).toMatch(/^nats:\/\/127\.0\.0\.1:\d+$/);
    const { pid } = first;
    await keep(first, "a");
    await expect(connectTo({ urls: first.urls })).rejects.toThrow(/authorization/i);
    await expect(connectTo({ ...first, pass: "guess" })).rejects.toThrow(/authorization/i);
    for (const name of ["nats.credential.json", "nats.conf", "nats.json", "nats.log"]) {
      expect(statSync(join(directory, name)).mode & 0o777, name).toBe(0o600);
    }
    await first.stop();
    await first.stop();
    expect(isGone(pid)).toBe(true);
    expect(existsSync(join(directory, "troupe.lock"))).toBe(false);

    const second = await ensureServer(optionsFor(directory), recordingLog());
    expect(second).toMatchObject({ user: first.user, pass: first.pass, urls: first.urls });
    expect(await kept(second)).toBe(1);
    await second.stop();
  });

  test("takes large messages, and nothing above its bound", async () => {
    const server = await ensureServer(optionsFor(freshDirectory()), recordingLog());
    const connection = await connectTo(server);
    expect(connection.info?.max_payload).toBe(payloadBytesMax);
    await connection.close();
    await server.stop();
  });

  test("the port asked for; a path with blanks, quotes and dollars; a relaxed sync", async () => {
    const directory = join(freshDirectory(), 'a "b" $HOME \\ é');
    const first = await ensureServer(optionsFor(directory, { sync: 2000 }), recordingLog());
    expect(readFileSync(join(directory, "nats.conf"), "utf8")).toContain('sync_interval: "2000ms"');
    const natsPort = Number(new URL(first.urls[0] ?? "").port);
    await keep(first, "a");
    await first.stop();
    const second = await ensureServer(optionsFor(directory, { natsPort }), recordingLog());
    expect(second.urls).toEqual([`nats://127.0.0.1:${natsPort}`]);
    expect(await kept(second)).toBe(1);
    await second.stop();
  });

  test("a server that does not start: its own words are in the error, and the directory is free again", async () => {
    const directory = freshDirectory();
    const natsServerBin = fakeServer(directory, "nats-server: v2.14.0 cannot open the moon", 0);
    const start = ensureServer(optionsFor(join(directory, "data"), { natsServerBin }), recordingLog());
    await expect(start).rejects.toMatchObject({ code: "start_failed", exitCode: 1 });
    await expect(start).rejects.toThrow(/cannot open the moon/);
    const server = await ensureServer(optionsFor(join(directory, "data")), recordingLog());
    await server.stop();
  });

  test("a port that another program has is named", async () => {
    const other = await ensureServer(optionsFor(freshDirectory()), recordingLog());
    const natsPort = Number(new URL(other.urls[0] ?? "").port);
    await expect(ensureServer(optionsFor(freshDirectory(), { natsPort }), recordingLog())).rejects.toThrow(
      new RegExp(`${natsPort}.*address already in use`),
    );
    await other.stop();
  });
});

describe("death", () => {
  test("a killed server is started again on its port, with its data, as often as it is killed", async () => {
    const log = recordingLog();
    const server = await ensureServer(optionsFor(freshDirectory()), log);
    await keep(server, "a");
    for (let times = 1; times <= 3; times++) {
      const { pid } = server;
      const restarted = new Promise<void>((resolve) => server.onRestart(resolve));
      process.kill(pid ?? 0, "SIGKILL");
      await restarted;
      expect(server.pid).not.toBe(pid);
      expect(await kept(server)).toBe(1);
    }
    expect(log.lines.filter((line) => line.includes("nats-server died"))).toHaveLength(3);
    await server.stop();
    expect(isGone(server.pid)).toBe(true);
  });

  test("stop while a start is due leaves nothing behind", async () => {
    const directory = freshDirectory();
    const server = await ensureServer(optionsFor(directory), recordingLog());
    const restarted = vi.fn();
    server.onRestart(restarted);
    process.kill(server.pid ?? 0, "SIGKILL");
    await vi.waitFor(() => expect(isGone(server.pid)).toBe(true));
    await server.stop();
    expect(restarted).not.toHaveBeenCalled();
    const next = await ensureServer(optionsFor(directory), recordingLog());
    await next.stop();
  });
});

describe("left behind by a killed Troupe", () => {
  test("the same process is adopted, watched and stopped", async () => {
    const directory = freshDirectory();
    const { child, said } = await runHelper("holder.ts", directory);
    await killHard(child);
    const log = recordingLog();
    const server = await ensureServer(optionsFor(directory), log);
    expect({ pid: server.pid, urls: server.urls, user: server.user, pass: server.pass }).toEqual(said);
    expect(log.lines.join()).toContain("adopted");
    await keep(server, "a");
    const restarted = new Promise<void>((resolve) => server.onRestart(resolve));
    process.kill(server.pid ?? 0, "SIGKILL");
    await restarted;
    expect(await kept(server)).toBe(1);
    await server.stop();
    expect(isGone(server.pid)).toBe(true);
  });

  test.each([
    ["another setting", (_: string) => ({ storeBytesMax: 2 ** 29 })],
    [
      "no note of it",
      (directory: string) => {
        rmSync(join(directory, "nats.json"));
        return {};
      },
    ],
  ])("with %s, it is stopped and a new one started", async (_, change) => {
    const directory = freshDirectory();
    const { child, said } = await runHelper("holder.ts", directory);
    await killHard(child);
    const server = await ensureServer(optionsFor(directory, change(directory)), recordingLog());
    expect(server.pid).not.toBe(said.pid);
    expect(isGone(said.pid as number)).toBe(true);
    await server.stop();
  });

  test("one that hangs is ended by force", async () => {
    const directory = freshDirectory();
    const { child, said } = await runHelper("holder.ts", directory);
    await killHard(child);
    rmSync(join(directory, "nats.json"));
    process.kill(said.pid as number, "SIGSTOP");
    const server = await ensureServer(optionsFor(directory), recordingLog());
    expect(isGone(said.pid as number)).toBe(true);
    await server.stop();
  });

  test("a second live Troupe is refused, and the first one's server is left alone", async () => {
    const directory = freshDirectory();
    const { child, said } = await runHelper("holder.ts", directory);
    const second = ensureServer(optionsFor(directory), recordingLog());
    await expect(second).rejects.toMatchObject({ code: "in_use", exitCode: 1 });
    await expect(second).rejects.toThrow(`process ${child.pid}`);
    expect(isGone(said.pid as number)).toBe(false);
  });
});

describe("servers of NATS_URL", () => {
  test("are used as they are, and never stopped", async () => {
    const natsUrls = ["nats://u:p%40ss@a:4222", "nats://b:4222"];
    const server = await ensureServer(optionsFor("/nowhere/at/all", { natsUrls }), recordingLog());
    expect(server).toMatchObject({
      urls: ["nats://a:4222", "nats://b:4222"],
      user: "u",
      pass: "p@ss",
      owned: false,
      pid: null,
    });
    await server.stop();
  });
});
