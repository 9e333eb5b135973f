/**
 * Operations on a run's checkpoints: approve, reject, provide input. The run's machine decides;
 * the input is checked here against the checkpoint's schema.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { toCheckpoint } from "../dialects/002/map.ts";
import { type Checkpoint, checkpoint } from "../dialects/002/schema.ts";
import type { CheckpointView, RunView } from "../dialects/002/views.ts";
import { defineOperation, freeJson, type OperationContext } from "../operation.ts";
import { readRun, runId } from "./runs.ts";
import { absent, whole } from "./values.ts";

const at = { run_id: runId, checkpoint_id: z.string().min(1).max(400) };
const note = z.string().max(10_000).nullish();

function find(view: RunView, checkpointId: string): CheckpointView {
  const found = view.checkpoints.find((c) => c.checkpointId === checkpointId);
  if (found === undefined) throw absent("checkpoint", checkpointId);
  return found;
}

interface Decision {
  readonly run_id: string;
  readonly checkpoint_id: string;
  readonly note?: string | null | undefined;
}

async function decide(
  ctx: OperationContext,
  decision: Decision,
  verb: "approve" | "reject" | "provide_input",
  input?: { readonly value: Json },
): Promise<Checkpoint> {
  const { run_id: run, checkpoint_id: id } = decision;
  const open = find(await readRun(ctx, run), id);
  const command: Record<string, unknown> & { type: string } = {
    type: "run.decide",
    checkpointId: id,
    decision: verb,
    by: ctx.credential.name,
  };
  if (typeof decision.note === "string") command.note = decision.note;
  if (input !== undefined) {
    // A decided checkpoint refuses (409) whatever the input is.
    if (open.status === "required" && open.requiredSchema !== null) {
      ctx.schemas.validate(open.requiredSchema, input.value, "input");
    }
    command.input = await ctx.runtime.values.offload(run, input.value);
  }
  const answer = await ctx.runtime.ask(address("run", run), command, { timeoutMs: ctx.limits.askTimeoutMs });
  const decided = find(answer.view as unknown as RunView, id);
  return toCheckpoint(run, { ...decided, providedInput: await whole(ctx.runtime, decided.providedInput) });
}

const common = {
  method: "POST",
  scope: "checkpoints:write",
  tags: ["checkpoints"],
  errors: ["invalid_input", "not_found", "conflict"],
  output: checkpoint,
} as const;

export const checkpointOperations = [
  defineOperation({
    ...common,
    name: "checkpoints.approve",
    summary: "Approve what a run waits for",
    path: "/v1/runs/{run_id}/human/{checkpoint_id}/approve",
    input: z.strictObject({ ...at, note }),
    handle: (ctx, input) => decide(ctx, input, "approve"),
  }),
  defineOperation({
    ...common,
    name: "checkpoints.reject",
    summary: "Reject what a run waits for",
    path: "/v1/runs/{run_id}/human/{checkpoint_id}/reject",
    bodyRequired: true,
    input: z.strictObject({ ...at, note }),
    handle: (ctx, input) => decide(ctx, input, "reject"),
  }),
  defineOperation({
    ...common,
    name: "checkpoints.provide_input",
    summary: "Give the input a run waits for",
    path: "/v1/runs/{run_id}/human/{checkpoint_id}/provide_input",
    bodyRequired: true,
    example: { input: { summary: "An edited summary" }, note: "shortened" },
    input: z.strictObject({ ...at, input: freeJson, note }),
    handle: (ctx, input) => decide(ctx, input, "provide_input", { value: input.input as Json }),
  }),
];
