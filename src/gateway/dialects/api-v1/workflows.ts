/**
 * Workflows under `/api/v1`: contract 001's begin at their creation, contract 004's when they are executed.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { requireScope } from "../../auth/credential.ts";
import { answer, call, defineRoute } from "../../dialect.ts";
import { invalid } from "../../errors.ts";
import { idFromKey } from "../../idempotency.ts";
import { freeJson, type Operation, type OperationContext } from "../../operation.ts";
import { absent } from "../../operations/values.ts";
import { waitFor } from "../../wait.ts";
import type { Run } from "../002/schema.ts";
import { anyId, metadata, wait } from "./schema.ts";
import {
  isOver,
  type Known,
  runWord,
  toDefinition,
  toWorkflow,
  type WorkflowBody,
  workflowBody,
} from "./workflow-map.ts";

interface Page {
  readonly data: readonly Run[];
}

/** The definition, or null. */
async function definitionOf(ctx: OperationContext, id: string): Promise<JsonObject | null> {
  try {
    return (await ctx.workflows.find(id, undefined)).definition as unknown as JsonObject;
  } catch (error) {
    if (error instanceof TroupeError && error.code === "not_found") return null;
    throw error;
  }
}

async function latestRun(ctx: OperationContext, id: string): Promise<Run | null> {
  const { data } = await call<Page>(ctx, "runs.list", { workflow_name: id, limit: 1 });
  const [run] = data;
  return run === undefined ? null : call<Run>(ctx, "runs.get", { run_id: run.run_id });
}

async function begin(
  ctx: OperationContext,
  id: string,
  input: Json,
  more: Json,
  key: string | undefined,
): Promise<Run> {
  const keyed = { ...ctx, idempotencyKey: key };
  const { run } = await call<{ run: Run }>(keyed, "runs.create", { workflow: { name: id }, input, metadata: more });
  return run;
}

/** The run when it is over, at once without `wait`. Throws `workflow_failed` and `task_timed_out` for who waits. */
async function settled(ctx: OperationContext, id: string, run: Run, seconds: number | undefined): Promise<Run> {
  if (seconds === undefined) return run;
  const { value, done } = await waitFor(ctx, {
    root: run.run_id,
    forMs: seconds * 1000,
    read: () => call<Run>(ctx, "runs.get", { run_id: run.run_id }),
    isDone: isOver,
  });
  const about = { workflow_id: id, execution_id: run.run_id, status: runWord(value.status) };
  if (!done) throw new TroupeError("task_timed_out", `Workflow '${id}' has not ended within ${seconds} s`, about);
  if (value.status !== "failed" && value.status !== "timed_out") return value;
  const failed = value.stages.filter(({ status }) => status === "failed").map(({ name }) => name);
  const why = value.error?.message ?? "it has failed";
  const details = { ...about, error: value.error, failed_stages: failed };
  throw new TroupeError("workflow_failed", `Workflow '${id}' failed: ${why}`, details);
}

async function create(ctx: OperationContext, body: WorkflowBody, waits: number | undefined) {
  const starts = body.stages !== null && body.stages !== undefined;
  if (!starts && (body.steps === null || body.steps === undefined)) {
    throw invalid("The workflow is not valid", [{ path: "stages", message: "give stages, or steps" }]);
  }
  if (starts) requireScope(ctx.credential, "runs:write");
  const key = ctx.idempotencyKey;
  const id =
    body.id ?? `workflow-${key === undefined ? ctx.runtime.newId() : idFromKey(ctx.credential.id, "workflows", key)}`;
  const known = (await definitionOf(ctx, id)) !== null;
  const definition = toDefinition(id, body);
  await call(ctx, "workflows.register", { name: id, definition });
  let run = known ? await latestRun(ctx, id) : null;
  if (starts && run === null) {
    const input = (body.input_data ?? body.parameters ?? {}) as Json;
    run = await begin(ctx, id, input, about(body.project_id, body.metadata), `workflow ${id}`);
  }
  if (run !== null) run = await settled(ctx, id, run, waits);
  return toWorkflow({ id, definition, run });
}

/** What subscribers filter by. */
function about(project: string | null | undefined, more: Record<string, unknown> | null | undefined): Json {
  return { ...(more ?? {}), ...(typeof project === "string" && { project_id: project }) } as Json;
}

async function found(ctx: OperationContext, id: string): Promise<Known> {
  const definition = await definitionOf(ctx, id);
  if (definition === null) throw absent("workflow", id);
  return { id, definition, run: await latestRun(ctx, id) };
}

const both = ["001", "004"] as const;
const createErrors = ["already_exists", "too_large", "task_timed_out", "workflow_failed"] as const;

export const workflowRoutes: readonly Operation[] = [
  defineRoute({
    dialects: both,
    name: "api.workflows.create",
    summary: "Create a workflow: with stages it begins at once, with steps when it is executed",
    method: "POST",
    path: "/api/v1/workflows",
    scope: "workflows:write",
    errors: createErrors,
    query: ["wait"],
    example: { id: "workflow-123", name: "Report", stages: [{ name: "collect", agent_type: "research" }] },
    input: z.object({ ...workflowBody.shape, wait }),
    output: answer,
    handle: (ctx, { wait: waits, ...body }) => create(ctx, body, waits),
  }),
  defineRoute({
    dialects: both,
    name: "api.workflows.get",
    summary: "Read a workflow and how far its latest execution is",
    method: "GET",
    path: "/api/v1/workflows/{workflow_id}",
    scope: "workflows:read",
    errors: ["not_found", "task_timed_out", "workflow_failed"],
    input: z.object({ workflow_id: anyId, wait }),
    output: answer,
    async handle(ctx, { workflow_id: id, wait: waits }) {
      const known = await found(ctx, id);
      const run = known.run === null ? null : await settled(ctx, id, known.run, waits);
      return toWorkflow({ ...known, run });
    },
  }),
  defineRoute({
    dialects: ["004"],
    name: "api.workflows.execute",
    summary: "Execute a workflow",
    method: "POST",
    path: "/api/v1/workflows/{workflow_id}/execute",
    scope: "runs:write",
    errors: ["not_found", "idempotency_conflict", "task_timed_out", "workflow_failed"],
    query: ["wait"],
    example: { parameters: { input_file: "data.csv" }, metadata: { execution_id: "exec-123" } },
    input: z.object({ workflow_id: anyId, parameters: freeJson.optional(), metadata, wait }),
    output: z.object({ execution_id: z.string(), workflow_id: z.string(), status: z.string(), output: freeJson }),
    async handle(ctx, { workflow_id: id, parameters, metadata: more, wait: waits }) {
      if ((await definitionOf(ctx, id)) === null) throw absent("workflow", id);
      const begun = await begin(ctx, id, (parameters ?? {}) as Json, (more ?? {}) as Json, ctx.idempotencyKey);
      const run = await settled(ctx, id, begun, waits);
      return { execution_id: run.run_id, workflow_id: id, status: runWord(run.status), output: run.output };
    },
  }),
];
