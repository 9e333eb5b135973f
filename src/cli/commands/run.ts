/**
 * `troupe run`: starts a run, and follows it when asked. Owns what is sent to start one.
 */
import { z } from "zod";
import { exitCodes, usageError } from "../exit.ts";
import { type FollowFlags, followRun } from "../follow.ts";
import { idempotencyHeader } from "../http.ts";
import { type InputFlags, readInput, readPairs } from "../input.ts";
import type { Session } from "../session.ts";
import { type Run, runShape } from "../shapes.ts";
import { shellWord } from "../view.ts";

export interface RunFlags extends InputFlags, FollowFlags {
  readonly follow?: boolean;
  readonly label?: readonly string[];
  readonly idempotencyKey?: string;
}

const createdShape = z.looseObject({ run: runShape });
const startRetries = 6;
/** A large document over a slow line. */
const startTimeoutMs = 300_000;

export async function run(session: Session, workflow: string, flags: RunFlags): Promise<number> {
  const labels = readPairs(flags.label ?? [], "--label");
  const input = await readInput(flags, session);
  const body = {
    workflow: parseWorkflow(workflow),
    input: input ?? {},
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  };
  // A key of our own makes it safe to send again when the connection broke before the answer.
  const headers = { [idempotencyHeader]: flags.idempotencyKey ?? session.io.random.id() };
  const options = { body, headers, retries: startRetries, timeoutMs: startTimeoutMs };
  const { run: started } = await session.api.json("POST", "/v1/runs", createdShape, options);
  if (flags.follow !== true && flags.yes !== true && flags.out === undefined) return report(session, started, flags);
  if (flags.json !== true) session.print(`run ${started.run_id}`);
  return followRun(session, started, 0, flags);
}

function report(session: Session, started: Run, flags: RunFlags): number {
  if (flags.json === true) session.json(started);
  else session.print(started.run_id);
  if (session.interactive && flags.json !== true) {
    session.note(session.paint("dim", `follow it: troupe runs follow ${shellWord(started.run_id)}`));
  }
  return exitCodes.ok.code;
}

/** `name` or `name@version`. */
export function parseWorkflow(text: string): { name: string; version?: string } {
  const cut = text.lastIndexOf("@");
  const name = cut < 0 ? text : text.slice(0, cut);
  const version = cut < 0 ? "" : text.slice(cut + 1);
  if (name === "" || (cut >= 0 && version === ""))
    throw usageError(`not a workflow: ${text}`, "Give name or name@version.");
  return version === "" ? { name } : { name, version };
}
