/**
 * What a followed run looks like: pure functions from its state to lines. Not owned: drawing them
 * in place (live.ts), fetching the state (follow.ts).
 */
import {
  brief,
  bytes,
  clean,
  cleanLines,
  clip,
  duration,
  type Paint,
  pad,
  type Style,
  stopwatch,
  wrap,
} from "./format.ts";
import type { Artifact, ArtifactRef, Checkpoint, Run, RunEvent, Stage } from "./shapes.ts";

export interface RunView {
  readonly run: Run;
  readonly elapsedMs: number;
  /** Counts redraws; turns the spinner. */
  readonly frame: number;
  readonly away: boolean;
}

export interface Canvas {
  readonly columns: number;
  readonly rows: number;
  readonly paint: Paint;
}

const spinner = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"] as const;
const barColumnsMax = 30;
const nameColumnsMax = 32;
/** Longer lines are hard to read. */
const textColumnsMax = 88;

type Kind = "done" | "active" | "failed" | "skipped" | "waiting" | "idle";

const kindOfStatus: Readonly<Record<string, Kind>> = {
  completed: "done",
  succeeded: "done",
  approved: "done",
  resolved: "done",
  compensated: "done",
  running: "active",
  active: "active",
  started: "active",
  ready: "active",
  resolving: "active",
  compensating: "active",
  retrying: "active",
  failed: "failed",
  rejected: "failed",
  timed_out: "failed",
  cancelled: "failed",
  canceled: "failed",
  skipped: "skipped",
  waiting_human: "waiting",
  required: "waiting",
};

function kindOf(status: string): Kind {
  return kindOfStatus[status] ?? "idle";
}

const looks: Readonly<Record<Kind, { mark: string; style: Style }>> = {
  done: { mark: "✔", style: "green" },
  active: { mark: "▸", style: "cyan" },
  failed: { mark: "✘", style: "red" },
  skipped: { mark: "–", style: "dim" },
  waiting: { mark: "?", style: "yellow" },
  idle: { mark: "·", style: "dim" },
};

/** A status word in its colour. */
export function statusText(status: string, paint: Paint): string {
  const style: Style =
    status === "succeeded" ? "green" : status === "waiting_human" ? "yellow" : status === "running" ? "cyan" : "dim";
  return paint(["failed", "timed_out", "canceled"].includes(status) ? "red" : style, clean(status));
}

/** `━━━━━╌╌╌` with the part that is done in front. */
export function bar(done: number, count: number, columns: number, paint: Paint): string {
  const width = Math.max(1, columns);
  const full = count <= 0 ? 0 : Math.min(width, Math.floor((done / count) * width));
  return paint("cyan", "━".repeat(full)) + paint("dim", "╌".repeat(width - full));
}

function stageLine(stage: Stage, view: RunView, nameColumns: number, canvas: Canvas): string {
  const { paint, columns } = canvas;
  const open = (view.run.checkpoints ?? []).some((c) => c.status === "required");
  const kind = stage.status === "waiting" && open ? "waiting" : kindOf(stage.status);
  const mark = kind === "active" ? (spinner[view.frame % spinner.length] ?? "▸") : looks[kind].mark;
  const name = pad(clip(clean(stage.name), nameColumnsMax), nameColumns);
  const head = `  ${paint(looks[kind].style, mark)} ${kind === "idle" || kind === "skipped" ? paint("dim", name) : name}`;
  const count = stage.count ?? null;
  const done = stage.done ?? 0;
  if (count === null || count <= 1)
    return kind === "waiting" ? `${head}  ${paint("yellow", "waits for you")}` : head.trimEnd();
  const failed = (stage.failed ?? 0) > 0 ? paint("red", ` (${stage.failed} failed)`) : "";
  const figures = `${done}/${count}`;
  if (kind !== "active") return `${head}  ${figures}${failed}`;
  const room = Math.min(barColumnsMax, columns - nameColumns - 12 - 2 * String(count).length);
  return room >= 5 ? `${head}  ${bar(done, count, room, paint)} ${figures}${failed}` : `${head}  ${figures}${failed}`;
}

/** The live view: a header and a line per stage, never wider or higher than the canvas. */
export function runLines(view: RunView, canvas: Canvas): string[] {
  const { run } = view;
  const { paint } = canvas;
  const status = view.away ? paint("yellow", "reconnecting…") : statusText(run.status, paint);
  const header = `${paint("bold", workflowText(run))}  ${status}  ${paint("dim", stopwatch(view.elapsedMs))}`;
  const stages = run.stages ?? [];
  const nameColumns = Math.min(nameColumnsMax, Math.max(0, ...stages.map((stage) => clean(stage.name).length)));
  const room = Math.max(1, canvas.rows - 3);
  const lines = choose(stages, room).map((entry) =>
    typeof entry === "string" ? paint("dim", `    ${entry}`) : stageLine(entry, view, nameColumns, canvas),
  );
  return [header, ...lines].map((line) => clip(line, canvas.columns));
}

/** All stages when they fit; else those around the first one that is not done, and how many are left out. */
function choose(stages: readonly Stage[], room: number): (Stage | string)[] {
  if (stages.length <= room) return [...stages];
  const shown = Math.max(1, room - 2);
  const first = stages.findIndex((stage) => !["done", "skipped"].includes(kindOf(stage.status)));
  const from = Math.max(0, Math.min((first < 0 ? stages.length : first) - 1, stages.length - shown));
  const after = stages.length - from - shown;
  return [
    ...(from > 0 ? [`… ${from} before`] : []),
    ...stages.slice(from, from + shown),
    ...(after > 0 ? [`… ${after} more`] : []),
  ];
}

export function workflowText(run: Run): string {
  const version = run.workflow.version ?? "";
  return clean(version === "" ? run.workflow.name : `${run.workflow.name}@${version}`);
}

/** One line for one event, for logs and pipes: time since the run began, type, step, what matters of the payload. */
export function eventLine(event: RunEvent, sinceMs: number, paint: Paint): string {
  const time = pad(`+${duration(sinceMs)}`, 9);
  const parts = [
    paint("dim", time),
    pad(clean(event.type), 17),
    clean(event.step_id ?? ""),
    clean(event.tool_name ?? ""),
  ];
  return [...parts, payloadText(event.payload)]
    .filter((part) => part !== "")
    .join("  ")
    .trimEnd();
}

function payloadText(payload: unknown): string {
  if (payload === null || payload === undefined) return "";
  if (typeof payload !== "object") return brief(payload);
  const left = Object.entries(payload).filter(([name, value]) => value !== null && !omitted.has(name));
  return left.map(([name, value]) => `${clean(name)}=${brief(value, 80)}`).join(" ");
}

/** Said elsewhere on the line, or too long for it. */
const omitted = new Set(["run_id", "step_id", "stage", "required_schema", "instructions", "checkpoint"]);

/** What is asked of a human. */
export function checkpointLines(checkpoint: Checkpoint, canvas: Canvas): string[] {
  const title = clean(checkpoint.title ?? "A decision is needed");
  const rule = canvas.paint("dim", "─".repeat(Math.min(canvas.columns, textColumnsMax)));
  const width = Math.min(canvas.columns, textColumnsMax);
  const text = cleanLines((checkpoint.instructions ?? "").trim()).flatMap((line) => wrap(line, width));
  return [rule, canvas.paint("bold", title), ...(text.length === 1 && text[0] === "" ? [] : ["", ...text]), rule];
}

const outputLinesMax = 24;

/** How the run ended: status, time, cost, error, artifacts and where to get them. */
export function endLines(run: Run, paint: Paint): string[] {
  const ms = run.timing?.wall_ms;
  const took = typeof ms === "number" ? ` in ${duration(ms)}` : "";
  const ok = run.status === "succeeded";
  const lines = [
    `${ok ? paint("green", "✔") : paint("red", "✘")} ${statusText(run.status, paint)}${took}${costText(run)}`,
  ];
  if (run.error !== null && run.error !== undefined) {
    lines.push(`  ${clean(run.error.code ?? "error")}: ${clean(run.error.message ?? "")}`);
  }
  const artifacts = run.artifacts ?? [];
  if (artifacts.length > 0) lines.push(...artifactLines(artifacts));
  else if (ok && run.output !== null && run.output !== undefined) lines.push(...outputLines(run));
  return lines;
}

function costText(run: Run): string {
  const tokens = run.cost?.total_tokens ?? 0;
  const usd = run.cost?.total_usd ?? 0;
  if (tokens === 0 && usd === 0) return "";
  return `, ${tokens} tokens${usd > 0 ? `, $${usd.toFixed(4)}` : ""}`;
}

export function artifactLines(artifacts: readonly ArtifactRef[]): string[] {
  const names = artifacts.map((artifact) => clean(artifact.name ?? artifact.artifact_id));
  const columns = Math.max(...names.map((name) => name.length));
  return artifacts.map((artifact, index) => {
    const name = names[index] ?? "";
    const to = artifact.type === "file" ? ` -o ${shellWord(name)}` : "";
    return `  ${pad(name, columns)}  ${pad(artifact.type ?? "", 6)}  troupe artifacts get ${shellWord(artifact.artifact_id)}${to}`;
  });
}

/** The run's output as JSON, cut to what a terminal can show. */
export function outputLines(run: Run): string[] {
  const lines = cleanLines(typeof run.output === "string" ? run.output : JSON.stringify(run.output, null, 2));
  const shown = lines.slice(0, outputLinesMax).map((line) => brief(line, 500));
  const more = lines.length > outputLinesMax || lines.some((line) => line.length > 500);
  return [...shown, ...(more ? [`  … all of it: troupe runs show ${run.run_id} --json`] : [])];
}

export function artifactText(artifact: Artifact): string {
  const size = artifact.file?.size_bytes;
  return [clean(artifact.name ?? ""), artifact.type, typeof size === "number" ? bytes(size) : ""]
    .filter((part) => part !== "")
    .join(", ");
}

/** Quoted for a shell when it needs to be. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-][\w@%+=:,./~-]*$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
