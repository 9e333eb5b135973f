/** The grammar of `troupe keys`. Not owned: what its commands do (commands/keys.ts). */
import type { Command } from "commander";
import * as keys from "./commands/keys.ts";
import { parseCount, parseRateLimit } from "./parse.ts";
import type { On } from "./program-client.ts";

export function registerKeys(program: Command, on: On): void {
  const group = program.command("keys").description("API keys that are kept in the store: create, list, revoke");
  group
    .command("create <name>")
    .description("make a key; the key itself is shown this once, alone on stdout")
    .option("--scopes <list>", "what it may do, comma-separated: runs:read,tasks:* (default: everything)")
    .option("--rate-limit <n>", "requests a minute, or none (default: the server's)", parseRateLimit)
    .option("--json", "JSON for machines")
    .addHelpText("after", "\nThe first key closes a server that was open: make that one with --scopes '*'.")
    .action((name: string, flags: keys.CreateFlags, command: Command) =>
      on(command, (session) => keys.create(session, name, flags)),
    );
  group
    .command("list")
    .description("list keys, newest first; never the keys themselves")
    .option("--status <status>", "only those active or revoked")
    .option("--limit <n>", "at most so many", parseCount, 50)
    .option("--json", "JSON for machines")
    .action((flags: keys.ListFlags, command: Command) => on(command, (session) => keys.list(session, flags)));
  group
    .command("revoke <id>")
    .description("revoke a key: within a second it is refused everywhere")
    .option("--json", "JSON for machines")
    .action((id: string, flags: { json?: boolean }, command: Command) =>
      on(command, (session) => keys.revoke(session, id, flags)),
    );
}
