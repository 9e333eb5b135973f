/**
 * `troupe runs …`: list, show, cancel, follow, events.
 */
import { exitCodes } from "../exit.ts";
import { type FollowFlags, followRun } from "../follow.ts";
import { brief, duration, instant, table } from "../format.ts";
import { collect } from "../pages.ts";
import { decideLines } from "../present.ts";
import type { Session } from "../session.ts";
import { eventShape, isEnded, openCheckpoints, type Run, runShape } from "../shapes.ts";
import { artifactLines, checkpointLines, eventLine, outputLines, statusText, workflowText } from "../view.ts";

export interface ListFlags {
  readonly status?: string;
  readonly workflow?: string;
  readonly limit: number;
  readonly json?: boolean;
}

export async function list(session: Session, flags: ListFlags): Promise<number> {
  const query = { status: flags.status, workflow_name: flags.workflow };
  const runs = await collect(session, "/v1/runs", runShape, query, flags.limit);
  if (flags.json === true) return printJson(session, runs);
  if (runs.length === 0) session.note("no runs");
  else {
    const rows = runs.map((run) => [
      run.run_id,
      workflowText(run),
      run.status,
      instant(run.timing?.created_at),
      took(run),
    ]);
    session.printAll(table(["RUN", "WORKFLOW", "STATUS", "CREATED (UTC)", "TOOK"], rows, session.paint));
  }
  return exitCodes.ok.code;
}

function took(run: Run): string {
  const ms = run.timing?.wall_ms;
  return typeof ms === "number" && isEnded(run) ? duration(ms) : "-";
}

function printJson(session: Session, value: unknown): number {
  session.json(value);
  return exitCodes.ok.code;
}

export function readRun(session: Session, id: string): Promise<Run> {
  return session.api.get(`/v1/runs/${encodeURIComponent(id)}`, runShape);
}

export async function show(session: Session, id: string, flags: { json?: boolean }): Promise<number> {
  const run = await readRun(session, id);
  if (flags.json === true) return printJson(session, run);
  session.printAll(runDetails(run, session));
  return exitCodes.ok.code;
}

const valueCharsMax = 200;

function runDetails(run: Run, session: Session): string[] {
  const { paint } = session;
  const field = (name: string, value: string): string => `${paint("dim", name.padEnd(9))} ${value}`;
  const timing = run.timing;
  const lines = [
    field("run", run.run_id),
    field("workflow", workflowText(run)),
    field("status", statusText(run.status, paint)),
    field("created", instant(timing?.created_at)),
    ...(timing?.finished_at ? [field("finished", `${instant(timing.finished_at)} (${took(run)})`)] : []),
    ...(run.input === undefined ? [] : [field("input", brief(run.input, valueCharsMax))]),
    ...(run.error ? [field("error", `${brief(run.error.code ?? "")}: ${brief(run.error.message ?? "", 1000)}`)] : []),
    ...(run.cost?.total_tokens ? [field("cost", `${run.cost.total_tokens} tokens, $${run.cost.total_usd ?? 0}`)] : []),
  ];
  if (run.output !== null && run.output !== undefined) {
    lines.push(field("output", ""), ...outputLines(run).map((line) => `  ${line}`));
  }
  if (run.stages && run.stages.length > 0) {
    lines.push(field("stages", ""));
    for (const stage of run.stages) {
      const count = (stage.count ?? 0) > 1 ? `  ${stage.done ?? 0}/${stage.count}` : "";
      lines.push(`  ${brief(stage.name)}  ${brief(stage.status)}${count}`);
    }
  }
  for (const checkpoint of openCheckpoints(run)) {
    lines.push(...checkpointLines(checkpoint, session.canvas), ...decideLines(run, checkpoint));
  }
  if (run.artifacts && run.artifacts.length > 0) lines.push(field("artifacts", ""), ...artifactLines(run.artifacts));
  return lines;
}

export async function cancel(session: Session, id: string, flags: { json?: boolean }): Promise<number> {
  const run = await session.api.json("DELETE", `/v1/runs/${encodeURIComponent(id)}`, runShape);
  if (flags.json === true) return printJson(session, run);
  session.print(`${run.run_id}  ${run.status === "canceled" ? "canceled" : "cancellation asked for"}`);
  return exitCodes.ok.code;
}

export async function follow(session: Session, id: string, flags: FollowFlags): Promise<number> {
  const run = await readRun(session, id);
  const created = Date.parse(run.timing?.created_at ?? "");
  const aged = Number.isNaN(created) ? 0 : Math.max(0, session.io.clock.now() - created);
  return followRun(session, run, aged, flags);
}

export interface EventsFlags {
  readonly limit: number;
  readonly json?: boolean;
}

/** What has happened so far; one event a line. */
export async function events(session: Session, id: string, flags: EventsFlags): Promise<number> {
  const path = `/v1/runs/${encodeURIComponent(id)}/events`;
  const found = await collect(session, path, eventShape, {}, flags.limit);
  const first = Date.parse(found[0]?.ts ?? "");
  for (const event of found) {
    const since = Date.parse(event.ts ?? "") - first;
    if (flags.json === true) session.print(JSON.stringify(event));
    else session.print(eventLine(event, Number.isNaN(since) ? 0 : since, session.paint));
  }
  return exitCodes.ok.code;
}
