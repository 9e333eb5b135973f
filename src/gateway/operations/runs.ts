/**
 * Operations on runs: create (idempotent), list, read, cancel. Their events are in
 * `run-events.ts`, their checkpoints in `checkpoints.ts`.
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { toRun } from "../dialects/002/map.ts";
import { pageOf, type Run, run, runProgress, runStatus } from "../dialects/002/schema.ts";
import type { RunView } from "../dialects/002/views.ts";
import { idFromKey } from "../idempotency.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeJson, freeObject, type OperationContext, pageFields } from "../operation.ts";
import type { WorkflowVersion } from "../workflows.ts";
import { brief, named, requireId, whole } from "./values.ts";

const label = z.record(z.string().min(1).max(128), z.string().max(1024));

const createInput = z.strictObject({
  workflow: z.strictObject({
    name: z.string().min(1).max(200),
    version: z.string().min(1).max(100).optional().describe("Default: the latest."),
  }),
  input: freeJson.describe("Any JSON; checked against the workflow's input schema."),
  context: freeObject.nullish(),
  metadata: freeObject.nullish(),
  labels: label.nullish(),
});
type CreateInput = z.output<typeof createInput>;

/** sha256 of each part, so that a repeated key can say what differs. */
function requestHash(input: CreateInput): Record<string, string> {
  const parts = ["workflow", "input", "context", "metadata", "labels"] as const;
  return Object.fromEntries(parts.map((part) => [part, hashJson(input[part] as Json | undefined)]));
}

interface Planned {
  readonly workflow: WorkflowVersion;
}

/** The definition to run and the check of the input. Throws `not_found`, `invalid_input`. */
async function plan(ctx: OperationContext, input: CreateInput): Promise<Planned> {
  const workflow = await ctx.workflows.find(input.workflow.name, input.workflow.version);
  const schema = workflow.definition.input_schema;
  if (schema !== undefined) ctx.schemas.validate(schema, input.input ?? null, "input");
  return { workflow };
}

/** When today's registration refuses what an earlier request with this key got accepted, the earlier run answers. */
async function earlier(ctx: OperationContext, runId: string, hash: Record<string, string>): Promise<Run | null> {
  const key = address("run", runId);
  const answer = await ctx.runtime.read(key).catch((error: unknown) => {
    if (error instanceof TroupeError && error.code === "not_found") return null;
    throw error;
  });
  const known = (answer?.view as { requestHash?: Record<string, string> } | null)?.requestHash;
  if (answer === null || known === undefined || hashJson(known) !== hashJson(hash)) return null;
  return wholeRun(ctx, runId, answer.view as unknown as RunView);
}

async function create(ctx: OperationContext, input: CreateInput): Promise<{ run: Run }> {
  const key = ctx.idempotencyKey;
  const runId = `run_${key === undefined ? ctx.runtime.newId() : idFromKey(ctx.credential.id, "runs.create", key)}`;
  const hash = requestHash(input);
  let planned: Planned;
  try {
    planned = await plan(ctx, input);
  } catch (error) {
    const run = key === undefined ? null : await earlier(ctx, runId, hash);
    if (run === null) throw error;
    ctx.note?.("Idempotency-Replayed", "true");
    return { run };
  }
  const { values } = ctx.runtime;
  const [large, context, metadata] = await Promise.all([
    values.offload(runId, (input.input ?? null) as Json),
    values.offload(runId, (input.context ?? null) as Json),
    values.offload(runId, (input.metadata ?? {}) as Json),
  ]);
  const { name, version, hash: definitionHash, definition } = planned.workflow;
  const answer = await ctx.runtime.ask(
    address("run", runId),
    {
      type: "run.create",
      workflow: { name, version, hash: definitionHash, definition },
      input: large,
      context,
      metadata,
      labels: input.labels ?? {},
      traceId: createHash("sha256").update(`trace:${runId}`).digest("hex").slice(0, 32),
      requestHash: hash,
      createdBy: ctx.credential.name,
    },
    { timeoutMs: ctx.limits.askTimeoutMs },
  );
  const repeated = (answer.reply as { created?: boolean } | null)?.created === false;
  if (repeated) ctx.note?.("Idempotency-Replayed", "true");
  return { run: await wholeRun(ctx, runId, answer.view as unknown as RunView) };
}

/** The run with its large values loaded. */
export async function wholeRun(ctx: OperationContext, runId: string, view: RunView): Promise<Run> {
  const [input, output, runContext, metadata] = await Promise.all(
    [view.input, view.output, view.runContext, view.metadata].map((value) => whole(ctx.runtime, value)),
  );
  return toRun(runId, { ...view, input, output, runContext, metadata } as RunView);
}

export async function readRun(ctx: OperationContext, runId: string): Promise<RunView> {
  const at = address("run", requireId("run", runId));
  const answer = await ctx.runtime.read(at, { timeoutMs: ctx.limits.askTimeoutMs }).catch(named("run", runId));
  return answer.view as unknown as RunView;
}

export const runId = z.string().min(1).max(200);

export const runOperations = [
  defineOperation({
    name: "runs.create",
    summary: "Start a run of a workflow",
    description:
      "With an Idempotency-Key the same key and body give the same run; the same key with another body is refused with what differs.",
    method: "POST",
    path: "/v1/runs",
    status: 201,
    madeByKey: {},
    scope: "runs:write",
    tags: ["runs"],
    errors: ["invalid_input", "not_found", "idempotency_conflict", "too_large"],
    example: { workflow: { name: "echo", version: "0.1.0" }, input: { hello: "world" } },
    input: createInput,
    output: z.object({ run }),
    handle: create,
  }),
  defineOperation({
    name: "runs.list",
    summary: "List runs, newest first",
    description: "Large inputs and outputs are left out here: `{truncated, bytes, sha256}` stands for them.",
    method: "GET",
    path: "/v1/runs",
    scope: "runs:read",
    tags: ["runs"],
    errors: ["invalid_input"],
    input: z.strictObject({
      ...pageFields,
      status: runStatus.optional(),
      workflow_name: z.string().min(1).max(200).optional(),
    }),
    output: pageOf(run),
    async handle(ctx, input) {
      const where: Record<string, string> = {};
      if (input.status !== undefined) where.status = input.status;
      if (input.workflow_name !== undefined) where.workflow = input.workflow_name;
      const page = await ctx.runtime.list({
        type: "run",
        where,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("runs", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => {
        const v = view as unknown as RunView;
        const [shown, output, runContext] = [v.input, v.output, v.runContext].map(brief);
        const metadata = brief(v.metadata);
        return toRun(at.key, { ...v, input: shown, output, runContext, metadata } as RunView);
      });
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("runs", page.nextCursor) };
    },
  }),
  defineOperation({
    name: "runs.get",
    summary: "Read a run",
    method: "GET",
    path: "/v1/runs/{run_id}",
    scope: "runs:read",
    tags: ["runs"],
    errors: ["not_found"],
    input: z.strictObject({ run_id: runId }),
    output: run,
    handle: async (ctx, input) => wholeRun(ctx, input.run_id, await readRun(ctx, input.run_id)),
  }),
  defineOperation({
    name: "runs.stages",
    summary: "How far a run is: status, stages, checkpoints",
    description:
      "The run without input, context, output and metadata: cheap to read again and again, however large they are.",
    method: "GET",
    path: "/v1/runs/{run_id}/stages",
    scope: "runs:read",
    tags: ["runs"],
    errors: ["not_found"],
    input: z.strictObject({ run_id: runId }),
    output: runProgress,
    async handle(ctx, input) {
      const {
        input: _,
        context,
        output,
        metadata,
        labels,
        ...rest
      } = toRun(input.run_id, await readRun(ctx, input.run_id));
      return rest;
    },
  }),
  defineOperation({
    name: "runs.cancel",
    summary: "Ask for a run's cancellation",
    method: "DELETE",
    path: "/v1/runs/{run_id}",
    status: 202,
    scope: "runs:write",
    tags: ["runs"],
    errors: ["not_found", "conflict"],
    input: z.strictObject({ run_id: runId, reason: z.string().max(1000).optional() }),
    output: run,
    async handle(ctx, input) {
      const at = address("run", requireId("run", input.run_id));
      const command = { type: "run.cancel", ...(input.reason !== undefined && { reason: input.reason }) };
      const asked = ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
      const answer = await asked.catch(named("run", input.run_id));
      return wholeRun(ctx, input.run_id, answer.view as unknown as RunView);
    },
  }),
];
