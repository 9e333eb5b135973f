/**
 * The command line: parses, runs one command, answers with an exit code. Owns how errors end a
 * command. Not owned: `start` (given from outside), the environment (src/config.ts reads it).
 */
import { type Command, CommanderError } from "commander";
import { CliError, errorLines, exitCodes, Interrupted, OutputClosed } from "./exit.ts";
import type { CliEnvironment, CliIo } from "./io.ts";
import { createProgram } from "./program.ts";
import type { Handler } from "./program-client.ts";
import type { ToolCall } from "./program-tools.ts";
import { type GlobalFlags, Session } from "./session.ts";

export { exitCodes } from "./exit.ts";
export { type CliEnvironment, type CliIo, processIo } from "./io.ts";

export interface StoreTools {
  /** Declares the flags that say where the store is. */
  configure(command: Command): void;
  run(call: ToolCall, flags: Readonly<Record<string, unknown>>): Promise<number>;
}

export interface CliOptions {
  readonly environment: CliEnvironment;
  readonly version: string;
  /** Runs a node until it stops; the number is the exit code. */
  start(flags: Readonly<Record<string, unknown>>): Promise<number>;
  /** Declares the flags of `start` on its commander command. */
  readonly configureStart?: (command: Command) => void;
  /** Those that work on the store itself; the number is the exit code. */
  readonly tools?: StoreTools;
}

/** Runs one command line (without node and script). Never throws for what a user can cause; the exit code says how it went. */
export async function runCli(argv: readonly string[], io: CliIo, options: CliOptions): Promise<number> {
  let code: number = exitCodes.ok.code;
  // `troupe … | head`: the reader's going away is no error. A session also stops what it does.
  for (const stream of [io.stdout, io.stderr]) stream.on("error", () => undefined);
  const program = createProgram(
    {
      version: options.version,
      configureStart: options.configureStart,
      tools: options.tools && {
        configure: options.tools.configure,
        run: async (call, flags) => {
          code = (await options.tools?.run(call, flags)) ?? code;
        },
      },
      start: async (flags) => {
        code = await options.start(flags);
      },
      client: async (flags, handler) => {
        code = await inSession(io, options.environment, flags, handler);
      },
    },
    (text) => io.stdout.write(text),
  );
  harden(program, io);
  try {
    await program.parseAsync([...argv], { from: "user" });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok.code : exitCodes.usage.code;
    throw error;
  }
}

/** Every command writes to our streams and throws instead of ending the process. */
function harden(command: Command, io: CliIo): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => io.stdout.write(text),
    writeErr: (text) => io.stderr.write(text),
    getOutHelpWidth: () => io.stdout.columns ?? 80,
    getErrHelpWidth: () => io.stderr.columns ?? 80,
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
  for (const child of command.commands) harden(child, io);
}

async function inSession(
  io: CliIo,
  environment: CliEnvironment,
  flags: GlobalFlags,
  handler: Handler,
): Promise<number> {
  let session: Session | null = null;
  try {
    session = new Session(io, environment, flags);
    return await handler(session);
  } catch (error) {
    // What broke off is what the abort says, whatever error it surfaced as.
    const reason: unknown = session?.stop.aborted === true ? session.stop.reason : error;
    if (reason instanceof Interrupted) return exitCodes.interrupted.code;
    if (reason instanceof OutputClosed) return exitCodes.ok.code;
    if (!(reason instanceof CliError)) throw reason;
    for (const line of errorLines(reason)) io.stderr.write(`${line}\n`);
    return exitCodes[reason.exit].code;
  } finally {
    session?.release();
  }
}
