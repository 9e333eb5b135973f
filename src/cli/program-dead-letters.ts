/** The grammar of `troupe dead-letters`. Not owned: what its commands do (commands/dead-letters.ts). */
import type { Command } from "commander";
import * as letters from "./commands/dead-letters.ts";
import { parseCount } from "./parse.ts";
import type { On } from "./program-client.ts";

export function registerDeadLetters(program: Command, on: On): void {
  const group = program
    .command("dead-letters")
    .description("commands that their actors could not carry out: list, show, retry, drop");
  group
    .command("list")
    .description("list dead letters, newest first")
    .option("--status <status>", "only those waiting, retried or dropped")
    .option("--limit <n>", "at most so many", parseCount, 50)
    .option("--json", "JSON for machines")
    .action((flags: letters.ListFlags, command: Command) => on(command, (session) => letters.list(session, flags)));
  group
    .command("show <id>")
    .description("show a dead letter with its command and cause (JSON)")
    .action((id: string, _flags: object, command: Command) => on(command, (session) => letters.show(session, id)));
  for (const [verb, what] of [
    ["retry", "send the command to its actor again"],
    ["drop", "give the command up"],
  ] as const) {
    group
      .command(`${verb} <id>`)
      .description(what)
      .option("--json", "JSON for machines")
      .action((id: string, flags: { json?: boolean }, command: Command) =>
        on(command, (session) => letters.act(session, verb, id, flags)),
      );
  }
}
