/**
 * The grammar of the commands that work on the store itself (audit, backup, restore). Not owned: what they
 * do; they are given from outside, since they see the store and not the HTTP API.
 */
import type { Command } from "commander";

export interface ToolCall {
  readonly name: "audit" | "backup" | "restore";
  readonly file?: string;
  readonly deep?: boolean;
  readonly json?: boolean;
}

export interface ToolPort {
  configure(command: Command): void;
  run(call: ToolCall, flags: Readonly<Record<string, unknown>>): Promise<void>;
}

type Flags = Readonly<Record<string, unknown>> & { readonly json?: boolean; readonly deep?: boolean };

export function registerTools(program: Command, port: ToolPort): void {
  const audit = program
    .command("audit")
    .description("walk the whole store, online, and say whether it is sound; exit code 1 when it is not")
    .option("--deep", "also read every large value and compare its digest")
    .option("--json", "JSON for machines")
    .action((flags: Flags) => port.run({ name: "audit", deep: flags.deep === true, json: flags.json === true }, flags));
  const backup = program
    .command("backup <file>")
    .description("write everything stored into one file, consistent, while nodes work")
    .option("--json", "JSON for machines")
    .action((file: string, flags: Flags) => port.run({ name: "backup", file, json: flags.json === true }, flags));
  const restore = program
    .command("restore <file>")
    .description("bring a backup into an empty store; start nodes afterwards")
    .option("--json", "JSON for machines")
    .action((file: string, flags: Flags) => port.run({ name: "restore", file, json: flags.json === true }, flags));
  for (const command of [audit, backup, restore]) port.configure(command);
}
