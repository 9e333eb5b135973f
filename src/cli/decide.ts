/**
 * A checkpoint's decision over the API, and which checkpoint is meant. Owns the three calls.
 */
import { CliError, usageError } from "./exit.ts";
import type { Api } from "./http.ts";
import type { Decision } from "./prompt.ts";
import { type Checkpoint, checkpointShape, openCheckpoints, type Run } from "./shapes.ts";

const actions = { approve: "approve", reject: "reject", input: "provide_input" } as const;

/** Sends a decision; the answer is the checkpoint as it stands then. */
export function sendDecision(
  api: Api,
  runId: string,
  checkpointId: string,
  decision: Exclude<Decision, { kind: "later" }>,
): Promise<Checkpoint> {
  const note = decision.note === undefined ? {} : { note: decision.note };
  const body = decision.kind === "input" ? { input: decision.input, ...note } : note;
  const path = `/v1/runs/${encodeURIComponent(runId)}/human/${encodeURIComponent(checkpointId)}/${actions[decision.kind]}`;
  return api.json("POST", path, checkpointShape, { body });
}

/** The checkpoint that is named, or the only one that is open. */
export function chooseCheckpoint(run: Run, named: string | undefined): string {
  if (named !== undefined) return named;
  const open = openCheckpoints(run);
  if (open.length === 1 && open[0] !== undefined) return open[0].checkpoint_id;
  if (open.length > 1) {
    const ids = open.map((checkpoint) => checkpoint.checkpoint_id).join(", ");
    throw usageError(
      `run ${run.run_id} has ${open.length} open checkpoints: ${ids}`,
      "Name one of them after the run.",
    );
  }
  throw new CliError("refused", `run ${run.run_id} (${run.status}) waits for no decision`, {
    code: "conflict",
    advice: `Look at it with \`troupe runs show ${run.run_id}\`.`,
  });
}
