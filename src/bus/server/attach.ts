/**
 * Finds the nats-server that a running Troupe keeps on a data directory, for tools that work beside it.
 * Starts and stops nothing.
 */
import { realpathSync } from "node:fs";
import { z } from "zod";
import { credentialOf, readJson, readOrNull, serverFiles } from "./conf.ts";
import type { NatsServer } from "./options.ts";
import { isAlive } from "./processes.ts";

const stateShape = z.object({ pid: z.number(), startTime: z.string(), port: z.number() });

/** Null when none runs there. */
export function attachServer(dataDir: string): NatsServer | null {
  let files: ReturnType<typeof serverFiles>;
  try {
    files = serverFiles(realpathSync(dataDir));
  } catch {
    return null;
  }
  const state = stateShape.safeParse(readJson(files.state)).data;
  if (state === undefined || !isAlive(state) || readOrNull(files.credential) === null) return null;
  const { user, pass } = credentialOf(files);
  return {
    urls: [`nats://127.0.0.1:${state.port}`],
    user,
    pass,
    version: null,
    owned: false,
    pid: state.pid,
    onRestart: () => {},
    stop: async () => {},
  };
}

/** True when the directory holds a store, running or not. */
export function holdsStore(dataDir: string): boolean {
  try {
    return readOrNull(serverFiles(realpathSync(dataDir)).conf) !== null;
  } catch {
    return false;
  }
}
