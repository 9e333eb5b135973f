/**
 * Operations on workflows: list, read, their schemas, register a version. The definition's rules
 * are machines/workflow's; that its JSON Schemas compile is checked here.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { parseWorkflow } from "../../machines/workflow/check.ts";
import type { WorkflowContext } from "../../machines/workflow/machine.ts";
import { type WorkflowDefinition, workflowSchema } from "../../machines/workflow/schema.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { pageOf, schemaBundle, workflow, workflowSummary } from "../dialects/002/schema.ts";
import { invalid } from "../errors.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { readOrMissing } from "../workflows.ts";
import { absent } from "./values.ts";

const name = z.string().min(1).max(200);
const version = z.string().min(1).max(100).optional();

/** A definition's schemas by name: `input`, `output`, `checkpoint.<stage>`. */
function schemasOf(definition: WorkflowDefinition): Record<string, Json> {
  const { input_schema: input, output_schema: output, stages } = definition;
  const schemas: Record<string, Json> = {};
  if (input !== undefined) schemas.input = input;
  if (output !== undefined) schemas.output = output;
  for (const stage of stages) {
    if (stage.kind === "checkpoint" && stage.schema !== undefined) schemas[`checkpoint.${stage.name}`] = stage.schema;
  }
  return schemas;
}

async function describe(
  ctx: OperationContext,
  wanted: string,
  at: string | undefined,
): Promise<z.input<typeof workflow>> {
  const found = await ctx.workflows.find(wanted, at);
  const view = (await readOrMissing(ctx.runtime, "workflow", wanted, () =>
    absent("workflow", wanted),
  )) as unknown as WorkflowContext;
  const { definition } = found;
  const schemas = `/v1/workflows/${encodeURIComponent(wanted)}/schemas?version=${encodeURIComponent(found.version)}#/schemas`;
  return {
    name: found.name,
    version: found.version,
    description: definition.description ?? null,
    tags: [...(definition.tags ?? [])],
    default_timeout_ms: definition.default_timeout_ms ?? null,
    input_schema_ref: definition.input_schema === undefined ? null : `${schemas}/input`,
    output_schema_ref: definition.output_schema === undefined ? null : `${schemas}/output`,
    definition: definition as unknown as Record<string, unknown>,
    versions: view.versions.map((v) => v.version),
  };
}

/** Throws `invalid_input` with the places of everything that is wrong. */
function checked(ctx: OperationContext, given: string, body: unknown): WorkflowDefinition {
  const parsed = parseWorkflow(body);
  if (!parsed.ok) {
    throw invalid(
      "The workflow is not valid",
      parsed.issues.map((i) => ({ path: i.place, message: i.message })),
    );
  }
  const { definition } = parsed;
  if (definition.name !== given) {
    throw invalid("The workflow is not valid", [
      { path: "name", message: `is '${definition.name}', the path says '${given}'` },
    ]);
  }
  if (definition.input_schema !== undefined) ctx.schemas.check(definition.input_schema, "input_schema");
  if (definition.output_schema !== undefined) ctx.schemas.check(definition.output_schema, "output_schema");
  definition.stages.forEach((stage, i) => {
    if (stage.kind === "checkpoint" && stage.schema !== undefined)
      ctx.schemas.check(stage.schema, `stages[${i}].schema`);
  });
  return definition;
}

const common = { tags: ["workflows"], scope: "workflows:read" } as const;

export const workflowOperations = [
  defineOperation({
    ...common,
    name: "workflows.list",
    summary: "List workflows",
    method: "GET",
    path: "/v1/workflows",
    errors: ["invalid_input"],
    input: z.strictObject({ ...pageFields, tag: z.string().min(1).max(64).optional() }),
    output: pageOf(workflowSummary),
    async handle(ctx, input) {
      const page = await ctx.runtime.list({
        type: "workflow",
        limit: input.limit,
        ...(input.tag !== undefined && { where: { tags: input.tag } }),
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("workflows", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => {
        const v = view as unknown as WorkflowContext;
        return { name: at.key, version: v.latest, description: v.description, tags: [...v.tags] };
      });
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("workflows", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "workflows.get",
    summary: "Read a workflow's definition",
    method: "GET",
    path: "/v1/workflows/{name}",
    errors: ["not_found"],
    input: z.strictObject({ name, version }),
    output: workflow,
    handle: (ctx, input) => describe(ctx, input.name, input.version),
  }),
  defineOperation({
    ...common,
    name: "workflows.schemas",
    summary: "A workflow's JSON Schemas",
    method: "GET",
    path: "/v1/workflows/{name}/schemas",
    errors: ["not_found"],
    input: z.strictObject({ name, version }),
    output: schemaBundle,
    async handle(ctx, input) {
      const found = await ctx.workflows.find(input.name, input.version);
      const schemas = schemasOf(found.definition);
      return {
        workflow: { name: found.name, version: found.version },
        schema_hash: `sha256:${hashJson(schemas)}`,
        schemas,
      };
    },
  }),
  defineOperation({
    ...common,
    name: "workflows.register",
    summary: "Register a version of a workflow",
    description:
      "The same version with the same definition again changes nothing; with another definition it is refused.",
    method: "PUT",
    path: "/v1/workflows/{name}",
    scope: "workflows:write",
    errors: ["invalid_input", "already_exists", "too_large"],
    body: "definition",
    example: { name: "hello", version: "1.0.0", stages: [{ name: "say", agent_type: "echo" }] },
    input: z.strictObject({ name, definition: freeObject }),
    output: workflow,
    async handle(ctx, input) {
      const definition = checked(ctx, input.name, input.definition);
      const json = definition as unknown as Json;
      await ctx.runtime.ask(
        address("workflow", definition.name),
        { type: "workflow.register", definition: json, hash: hashJson(json) },
        { timeoutMs: ctx.limits.askTimeoutMs },
      );
      return describe(ctx, definition.name, definition.version);
    },
  }),
];

/** The schema of a definition, for the OpenAPI document. */
export const definitionSchema = workflowSchema;
