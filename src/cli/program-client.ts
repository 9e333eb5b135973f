/**
 * The grammar of the commands that talk to a server: their arguments, flags and help texts. Not
 * owned: what they do (commands/).
 */
import type { Command } from "commander";
import * as artifacts from "./commands/artifacts.ts";
import { cluster } from "./commands/cluster.ts";
import * as decisions from "./commands/decisions.ts";
import * as one from "./commands/run.ts";
import * as runs from "./commands/runs.ts";
import { status } from "./commands/status.ts";
import * as follow from "./commands/tail.ts";
import * as tasks from "./commands/tasks.ts";
import * as workflows from "./commands/workflows.ts";
import type { FollowFlags } from "./follow.ts";
import { collectValues, parseCount, parseDuration, parsePriority, parseRunStatus } from "./parse.ts";
import { registerDeadLetters } from "./program-dead-letters.ts";
import { registerKeys } from "./program-keys.ts";
import type { GlobalFlags, Session } from "./session.ts";

/** What a command does in a session; the number is the exit code. */
export type Handler = (session: Session) => Promise<number>;

export interface ClientPort {
  /** Runs a client command in a session made from the global flags. */
  client(flags: GlobalFlags, handler: Handler): Promise<void>;
}

interface JsonFlag {
  readonly json?: boolean;
}

export function registerClient(program: Command, port: ClientPort): void {
  const on: On = (command, handler) => port.client(command.optsWithGlobals<GlobalFlags>(), handler);
  registerRun(program, on);
  registerRuns(program.command("runs").description("runs: list, show, cancel, follow, events"), on);
  registerDecisions(program, on);
  registerWorkflows(program.command("workflows").description("workflows: list, show, register"), on);
  registerTasks(program.command("tasks").description("tasks: list, show, create, cancel"), on);
  registerAgents(program.command("agents").description("agents: list"), on);
  registerArtifacts(program.command("artifacts").description("what runs left behind: show, get"), on);
  registerDeadLetters(program, on);
  registerKeys(program, on);
  registerWatching(program, on);
}

/** Runs a handler in a session made from the command's global flags. */
export type On = (command: Command, handler: Handler) => Promise<void>;

const json = ["--json", "JSON for machines"] as const;
const inputHelp = "JSON, @file, or - for stdin";

function followFlags(command: Command): Command {
  return command
    .option("--json", "one JSON event a line, the run as the last line")
    .option("-y, --yes", "approve every checkpoint")
    .option("--out <dir>", "save file artifacts there at the end")
    .option("--timeout <duration>", "stop following after so long (30s, 5m); exit code 6", parseDuration);
}

function registerRun(program: Command, on: On): void {
  const run = program
    .command("run")
    .description("start a run of a workflow; prints its id")
    .argument("<workflow>", "name or name@version")
    .option("-i, --input <json>", `the input: ${inputHelp}`)
    .option("-f, --file <file>", "a text file (or -) whose content becomes input.text")
    .option("-s, --set <key=value>", "set a field of the input; JSON when it reads as JSON (repeatable)", collectValues)
    .option("-l, --label <key=value>", "label the run (repeatable)", collectValues)
    .option("--idempotency-key <key>", "the same key and input give the same run")
    .option("-F, --follow", "show every step until the end; Ctrl-C detaches, the run goes on");
  followFlags(run).action((workflow: string, flags: one.RunFlags, command: Command) =>
    on(command, (session) => one.run(session, workflow, flags)),
  );
}

function registerRuns(group: Command, on: On): void {
  group
    .command("list")
    .description("list runs, newest first")
    .option("--status <status>", "only those of this status", parseRunStatus)
    .option("--workflow <name>", "only those of this workflow")
    .option("--limit <n>", "at most so many", parseCount, 20)
    .option(...json)
    .action((flags: runs.ListFlags, command: Command) => on(command, (session) => runs.list(session, flags)));
  group
    .command("show <id>")
    .description("show a run")
    .option(...json)
    .action((id: string, flags: JsonFlag, command: Command) => on(command, (session) => runs.show(session, id, flags)));
  group
    .command("cancel <id>")
    .description("ask for a run's cancellation")
    .option(...json)
    .action((id: string, flags: JsonFlag, command: Command) =>
      on(command, (session) => runs.cancel(session, id, flags)),
    );
  followFlags(group.command("follow <id>").description("follow a run to its end")).action(
    (id: string, flags: FollowFlags, command: Command) => on(command, (session) => runs.follow(session, id, flags)),
  );
  group
    .command("events <id>")
    .description("what has happened in a run so far")
    .option("--limit <n>", "at most so many", parseCount, 1000)
    .option("--json", "one JSON event a line")
    .action((id: string, flags: runs.EventsFlags, command: Command) =>
      on(command, (session) => runs.events(session, id, flags)),
    );
}

function registerDecisions(program: Command, on: On): void {
  const words = {
    approve: "approve a checkpoint",
    reject: "reject a checkpoint",
    input: "give a checkpoint its input",
  };
  for (const kind of ["approve", "reject", "input"] as const) {
    const command = program
      .command(kind)
      .description(`${words[kind]} that a run waits at`)
      .argument("<run>", "the run's id")
      .argument("[checkpoint]", "the checkpoint's id; without it, the only one that is open")
      .option("--note <text>", "a note for the record")
      .option(...json);
    if (kind === "input") {
      command
        .option("-i, --input <json>", inputHelp)
        .option("--text <text>", "plain text, when one text field is asked for");
    }
    command.action((run: string, checkpoint: string | undefined, flags: decisions.DecisionFlags, self: Command) =>
      on(self, (session) => decisions.decide(session, kind, run, checkpoint, flags)),
    );
  }
}

function registerWorkflows(group: Command, on: On): void {
  group
    .command("list")
    .description("list workflows")
    .option("--tag <tag>", "only those with this tag")
    .option("--limit <n>", "at most so many", parseCount, 200)
    .option(...json)
    .action((flags: { tag?: string; limit: number; json?: boolean }, command: Command) =>
      on(command, (session) => workflows.list(session, flags)),
    );
  group
    .command("show <workflow>")
    .description("show a workflow, name or name@version")
    .option(...json)
    .action((name: string, flags: JsonFlag, command: Command) =>
      on(command, (session) => workflows.show(session, name, flags)),
    );
  group
    .command("register <file>")
    .description("register the definition in a JSON file (or -)")
    .option(...json)
    .action((file: string, flags: JsonFlag, command: Command) =>
      on(command, (session) => workflows.register(session, file, flags)),
    );
}

function registerTasks(group: Command, on: On): void {
  group
    .command("list")
    .description("list tasks, newest first")
    .option("--status <status>", "only those of this status")
    .option("--type <type>", "only those of this type")
    .option("--limit <n>", "at most so many", parseCount, 20)
    .option(...json)
    .action((flags: tasks.ListFlags, command: Command) => on(command, (session) => tasks.list(session, flags)));
  group
    .command("show <id>")
    .description("show a task (JSON)")
    .action((id: string, _flags: JsonFlag, command: Command) => on(command, (session) => tasks.show(session, id)));
  group
    .command("create")
    .description("create a task outside any run; prints its id")
    .requiredOption("--type <type>", "the task's type: what an agent must be able to do")
    .option("-i, --input <json>", `the input: ${inputHelp}`)
    .option("--priority <1-10>", "10 goes first", parsePriority)
    .option("--title <text>", "a title for people")
    .option("--task-timeout <duration>", "how long an attempt may take", parseDuration)
    .option("--idempotency-key <key>", "the same key and body give the same task")
    .option(...json)
    .action((flags: tasks.CreateFlags, command: Command) => on(command, (session) => tasks.create(session, flags)));
  group
    .command("cancel <id>")
    .description("cancel a task")
    .option(...json)
    .action((id: string, flags: JsonFlag, command: Command) =>
      on(command, (session) => tasks.cancel(session, id, flags)),
    );
}

function registerAgents(group: Command, on: On): void {
  group
    .command("list")
    .description("list agents")
    .option("--limit <n>", "at most so many", parseCount, 200)
    .option(...json)
    .action((flags: { limit: number; json?: boolean }, command: Command) =>
      on(command, (session) => tasks.agents(session, flags)),
    );
}

function registerArtifacts(group: Command, on: On): void {
  group
    .command("show <id>")
    .description("show an artifact (JSON)")
    .action((id: string, _flags: JsonFlag, command: Command) => on(command, (session) => artifacts.show(session, id)));
  group
    .command("get <id>")
    .description("fetch an artifact's content, to stdout or a file")
    .option("-o, --output <file>", "write there; a directory keeps the artifact's name")
    .action((id: string, flags: { output?: string }, command: Command) =>
      on(command, (session) => artifacts.get(session, id, flags)),
    );
}

function registerWatching(program: Command, on: On): void {
  program
    .command("tail")
    .description("live events of everything that matches")
    .argument("<pattern>", "NATS-style: event.<root>.<type>.<kind>.<key>.<name>, * for one part, > for the rest")
    .option("--since <cursor>", "begin right after this cursor instead of now")
    .option("-n, --count <n>", "end after so many events", parseCount)
    .option("--timeout <duration>", "stop after so long; exit code 6", parseDuration)
    .option("--json", "one JSON event a line, with its cursor")
    .addHelpText("after", "\nFor example: troupe tail 'event.>'   troupe tail 'event.*.task.*.*.completed'")
    .action((pattern: string, flags: follow.TailFlags, command: Command) =>
      on(command, (session) => follow.tail(session, pattern, flags)),
    );
  program
    .command("cluster")
    .description("the cluster: members, and each partition with its owner")
    .option(...json)
    .action((flags: JsonFlag, command: Command) => on(command, (session) => cluster(session, flags)));
  program
    .command("status")
    .description("how the server is")
    .option(...json)
    .action((flags: JsonFlag, command: Command) => on(command, (session) => status(session, flags)));
}
