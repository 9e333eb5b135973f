/**
 * The run as the runtime sees it: its kind, its list fields, and its view (all that a reader
 * needs, without the outputs of stages).
 */
import type { ActorDefinition } from "../definition.ts";
import type { Json } from "../effects.ts";
import { type Paged, pagedItems, pagedOf } from "../paged.ts";
import { runMachine } from "./machine.ts";
import type { FanOut, RunContext, StageState } from "./schema.ts";

/** Stages that a view names one by one. */
const stagesShownMax = 1_000;

const endedStatuses: ReadonlySet<string> = new Set(["succeeded", "failed", "canceled", "timed_out"]);

/** A stage in a view: its state without inputs and outputs. */
export interface StageView extends Pick<StageState, "status" | "startedAt" | "finishedAt" | "error"> {
  readonly name: string;
  /** Only of a fan-out: its tasks. */
  readonly fan?: Pick<FanOut, "count" | "done" | "failed">;
}

/** What a read of a run gives: the context without what only the planning needs. */
export interface RunView
  extends Pick<
    RunContext,
    | "runId"
    | "workflow"
    | "status"
    | "traceId"
    | "createdBy"
    | "requestHash"
    | "timing"
    | "input"
    | "runContext"
    | "metadata"
    | "labels"
    | "output"
    | "error"
    | "cost"
    | "artifacts"
    | "checkpoints"
  > {
  /** Of the definition no more than the stages' names; the whole is its version actor's. */
  readonly definition: { readonly stages: readonly { readonly name: string }[] };
  /** The first 1,000, in the definition's order. */
  readonly stages: Paged<StageView>;
  readonly stagesTotal: number;
  /** Stages that have not ended. */
  readonly stagesOpen: number;
}

export function runView(context: RunContext): RunView {
  const stages = pagedItems(context.stages)
    .slice(0, stagesShownMax)
    .map((state, i) => viewStage(context.plan.stages[i]?.name ?? "", state));
  const { runId, workflow, status, traceId, createdBy, requestHash, timing, input, runContext } = context;
  const { metadata, labels, output, error, cost, artifacts, checkpoints } = context;
  return {
    ...{ runId, workflow, status, traceId, createdBy, requestHash, timing, input, runContext },
    ...{ metadata, labels, output, error, cost, artifacts, checkpoints },
    definition: { stages: stages.map(({ name }) => ({ name })) },
    stages: pagedOf(stages),
    stagesTotal: context.stages.length,
    stagesOpen: context.open,
  };
}

function viewStage(name: string, state: StageState): StageView {
  const { status, startedAt, finishedAt, error, fan } = state;
  return {
    name,
    status,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(finishedAt === undefined ? {} : { finishedAt }),
    ...(error === undefined ? {} : { error }),
    ...(fan === undefined ? {} : { fan: { count: fan.count, done: fan.done, failed: fan.failed } }),
  };
}

export const runDefinition: ActorDefinition<RunContext> = {
  type: "run",
  version: 1,
  machine: runMachine,
  kind: (context) => context.workflow.name,
  index: ({ context }) => ({
    status: context.status,
    workflow: context.workflow.name,
    created: context.timing.createdAt,
  }),
  view: ({ context }) => runView(context) as unknown as Json,
  ended: ({ context }) => endedStatuses.has(context.status) && !context.continuing,
};
