/**
 * The command line's grammar: the program, its global flags, help, `start` (given from outside).
 * Not owned: the commands that talk to a server (program-client.ts).
 */
import { Command } from "commander";
import { exitCodeLines } from "./exit.ts";
import { type ClientPort, registerClient } from "./program-client.ts";
import { registerTools, type ToolPort } from "./program-tools.ts";
import { urlDefault } from "./session.ts";

export interface ProgramPorts extends ClientPort {
  readonly version: string;
  /** Runs a node until it stops. */
  start(flags: Readonly<Record<string, unknown>>): Promise<void>;
  /** Declares the flags of `start`. */
  readonly configureStart: ((command: Command) => void) | undefined;
  readonly tools: ToolPort | undefined;
}

export function createProgram(ports: ProgramPorts, write: (text: string) => void): Command {
  const program = new Command("troupe")
    .description("Durable actors for AI agents, tasks and workflows on NATS.")
    .version(ports.version, "-V, --version", "print the version")
    .option("--url <url>", `the server's address (TROUPE_URL, default ${urlDefault})`)
    .option("--key <key>", "the API key (TROUPE_API_KEY)")
    .option("--no-color", "no colours (NO_COLOR)")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .showSuggestionAfterError(true);
  program.addHelpText("after", () => `\nExit codes:\n${exitCodeLines().join("\n")}`);
  const start = program
    .command("start")
    .description("start a node: a NATS server of its own unless told otherwise, the runtime, and the gateway")
    .action((flags: Record<string, unknown>) => ports.start(flags));
  ports.configureStart?.(start);
  if (ports.tools !== undefined) registerTools(program, ports.tools);
  registerClient(program, ports);
  program
    .command("exit-codes")
    .description("what the exit codes mean")
    .addHelpText("after", () => `\n${exitCodeLines().join("\n")}`)
    .action(() => write(`${exitCodeLines().join("\n")}\n`));
  return program;
}
