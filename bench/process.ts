/**
 * One child process of the bench and calls into it over IPC. Owns starting and ending by id; what a
 * child does stands in processes/.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

type Handlers = Record<string, (argument: never) => unknown>;
interface Call {
  readonly no: number;
  readonly name: string;
  readonly argument: unknown;
}
type Answer = { readonly no: number; readonly result: unknown } | { readonly no: number; readonly error: string };

/** Typed by the child's handlers: `start<typeof handlers>("load")`. */
export interface Child<H extends Handlers> {
  readonly pid: number;
  call<N extends keyof H & string>(name: N, argument: Parameters<H[N]>[0]): Promise<Awaited<ReturnType<H[N]>>>;
  stop(): Promise<void>;
}

const root = fileURLToPath(new URL("..", import.meta.url));
const endMs = 30_000;

/** In a child: answers the parent's calls, ends with it. */
export function serve(handlers: Handlers): void {
  process.on("message", async ({ no, name, argument }: Call) => {
    try {
      const handler = handlers[name] as (argument: unknown) => unknown;
      process.send?.({ no, result: await handler(argument) });
    } catch (error) {
      process.send?.({ no, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  });
  process.on("disconnect", () => process.exit(0));
}

/** Starts `processes/<name>.ts`. */
export function start<H extends Handlers>(name: string, profileDir?: string): Child<H> {
  const path = fileURLToPath(new URL(`processes/${name}.ts`, import.meta.url));
  const child = fork(path, [], {
    cwd: root,
    execArgv: [...runner(), ...profileFlags(profileDir)],
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const waiting = new Map<number, { resolve(value: never): void; reject(error: Error): void }>();
  let calls = 0;
  child.on("message", (answer: Answer) => {
    const call = waiting.get(answer.no);
    waiting.delete(answer.no);
    if ("error" in answer) call?.reject(new Error(`${name}: ${answer.error}`));
    else call?.resolve(answer.result as never);
  });
  child.on("exit", (code, signal) => {
    for (const call of waiting.values()) call.reject(new Error(`${name} ended (${signal ?? code})`));
  });
  return {
    pid: child.pid ?? 0,
    call: (name, argument) =>
      new Promise((resolve, reject) => {
        const no = calls++;
        waiting.set(no, { resolve, reject });
        child.send({ no, name, argument } satisfies Call);
      }),
    async stop() {
      if (child.connected) child.disconnect();
      await ended(child);
    },
  };
}

/** Children are TypeScript too; a parent that is not run by tsx itself (a test) has other flags. */
function runner(): readonly string[] {
  return process.execArgv.some((flag) => flag.includes("tsx")) ? process.execArgv : ["--import", "tsx"];
}

/** Called when this process ends before `stop` was; the function returned takes it back. */
export function atExit(end: () => void): () => void {
  process.once("exit", end);
  return () => process.off("exit", end);
}

/** Waits for the end; after a while the process is killed. */
export async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const timer = setTimeout(() => child.kill("SIGKILL"), endMs);
  await once(child, "exit");
  clearTimeout(timer);
}

export function profileFlags(directory: string | undefined): string[] {
  return directory === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${directory}`];
}
