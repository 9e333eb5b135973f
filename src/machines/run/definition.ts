/**
 * The run as the runtime sees it: its kind, its list fields, and its view (all that a reader
 * needs, without the outputs of stages).
 */
import type { ActorDefinition } from "../definition.ts";
import type { Json } from "../effects.ts";
import { pagedItems } from "../paged.ts";
import { runMachine } from "./machine.ts";
import type { RunContext, StageState } from "./schema.ts";

/** Stages that a view names one by one. */
const stagesShownMax = 1_000;

const endedStatuses: ReadonlySet<string> = new Set(["succeeded", "failed", "canceled", "timed_out"]);

/** What a read of a run gives. */
export function runView(context: RunContext): Json {
  const stages = pagedItems(context.stages)
    .slice(0, stagesShownMax)
    .map((state, i) => ({ name: context.plan.stages[i]?.name ?? "", ...summary(state) }));
  return {
    runId: context.runId,
    workflow: context.workflow,
    status: context.status,
    traceId: context.traceId,
    timing: context.timing,
    input: context.input,
    context: context.runContext,
    output: context.output,
    error: context.error,
    cost: context.cost,
    artifacts: pagedItems(context.artifacts),
    checkpoints: context.checkpoints,
    metadata: context.metadata,
    labels: context.labels,
    createdBy: context.createdBy,
    stages,
    stagesTotal: context.stages.length,
    stagesOpen: context.open,
  } as unknown as Json;
}

/** A stage's status and counts: a single task counts as one. */
function summary(state: StageState) {
  const { status, fan, startedAt = null, finishedAt = null, error = null } = state;
  const single = { count: 1, done: status === "completed" ? 1 : 0, failed: status === "failed" ? 1 : 0 };
  const { count, done, failed } = fan ?? single;
  return { status, count, done, failed, startedAt, finishedAt, error };
}

export const runDefinition: ActorDefinition<RunContext> = {
  type: "run",
  version: 1,
  machine: runMachine,
  kind: (context) => context.workflow.name,
  index: ({ context }) => ({
    status: context.status,
    workflow_name: context.workflow.name,
    created: context.timing.createdAt,
  }),
  view: ({ context }) => runView(context),
  ended: ({ context }) => endedStatuses.has(context.status) && !context.continuing,
};
