/**
 * `troupe approve|reject|input`: decides a run's checkpoint.
 */
import { chooseCheckpoint, sendDecision } from "../decide.ts";
import { exitCodes, usageError } from "../exit.ts";
import { clean } from "../format.ts";
import { readJson } from "../input.ts";
import { formOf } from "../prompt.ts";
import type { Session } from "../session.ts";
import { readRun } from "./runs.ts";

export interface DecisionFlags {
  readonly note?: string;
  /** JSON, `@file` or `-`. */
  readonly input?: string;
  readonly text?: string;
  readonly json?: boolean;
}

export async function decide(
  session: Session,
  kind: "approve" | "reject" | "input",
  runId: string,
  checkpointId: string | undefined,
  flags: DecisionFlags,
): Promise<number> {
  const note = flags.note === undefined ? {} : { note: flags.note };
  const given = flags.input === undefined ? undefined : await readJson(flags.input, session, "--input");
  if (kind === "input" && (given === undefined) === (flags.text === undefined)) {
    throw usageError("give --input JSON or --text TEXT", "See what is asked for with `troupe runs show`.");
  }
  const needsRun = checkpointId === undefined || flags.text !== undefined;
  const run = needsRun ? await readRun(session, runId) : null;
  const id = run === null ? (checkpointId ?? "") : chooseCheckpoint(run, checkpointId);
  const schema = run?.checkpoints?.find((checkpoint) => checkpoint.checkpoint_id === id)?.required_schema;
  const input = flags.text === undefined ? given : (formOf(schema)?.parse(flags.text) ?? flags.text);
  const decision = kind === "input" ? { kind, input, ...note } : { kind, ...note };
  const after = await sendDecision(session.api, runId, id, decision);
  if (flags.json === true) session.json(after);
  else session.print(`${clean(after.title ?? after.checkpoint_id)}: ${after.status}`);
  return exitCodes.ok.code;
}
