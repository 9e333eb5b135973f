/**
 * Operations on templates: the JSON Schema of a template's parameters, registered once and checked wherever a task or
 * request names the template. Owns the rule: once any template is there, an unknown one is refused.
 */
import { z } from "zod";
import type { Runtime } from "../../actors/client.ts";
import { address, isKey } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { inlineBytesMax, isLarger, isObject } from "../../machines/json.ts";
import { type TemplateContext, templateType } from "../../machines/task-template/machine.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { invalid } from "../errors.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeObject, type OperationContext, pageFields } from "../operation.ts";
import { named, requireId } from "./values.ts";

const id = z.string().min(1).max(200);
const time = z.string().meta({ format: "date-time" });

export const template = z
  .object({
    template_id: z.string(),
    parameters_schema: freeObject.describe("JSON Schema (2020-12) of the parameters."),
    description: z.string().nullable(),
    created_at: time,
    updated_at: time,
  })
  .meta({ id: "Template" });

function toTemplate(templateId: string, view: Json): z.input<typeof template> {
  const v = view as unknown as TemplateContext;
  return {
    template_id: templateId,
    parameters_schema: v.schema as Record<string, unknown>,
    description: v.description,
    created_at: rfc3339(v.createdAt),
    updated_at: rfc3339(v.updatedAt),
  };
}

/** Whether any template was ever registered: true stays true, as none is removed. */
const anyKnown = new WeakSet<Runtime>();

async function isAnyRegistered(runtime: Runtime): Promise<boolean> {
  if (anyKnown.has(runtime)) return true;
  const { items } = await runtime.list({ type: templateType, limit: 1 });
  if (items.length > 0) anyKnown.add(runtime);
  return items.length > 0;
}

/**
 * Throws `invalid_template` for a template that is not registered while others are, or for parameters off its schema.
 * Does nothing as long as no template is registered.
 */
export async function checkTemplate(ctx: OperationContext, templateId: string, parameters: Json): Promise<void> {
  const schema = isKey(templateId) ? await schemaOf(ctx, templateId) : undefined;
  if (schema === undefined) {
    if (!(await isAnyRegistered(ctx.runtime))) return;
    throw new TroupeError("invalid_template", `There is no template '${templateId.slice(0, 200)}'`, {
      template_id: templateId.slice(0, 200),
    });
  }
  try {
    ctx.schemas.validate(schema, parameters, "parameters");
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "invalid_input") throw error;
    const problems = error.details?.problems;
    throw new TroupeError("invalid_template", error.message, { template_id: templateId, problems });
  }
}

/** The same for what names a template (`template_id`) together with its `parameters` or `customizations`. */
export async function checkTemplateOf(ctx: OperationContext, data: unknown): Promise<void> {
  if (!isObject(data)) return;
  const { template_id: templateId, parameters, customizations } = data;
  if (typeof templateId === "string") await checkTemplate(ctx, templateId, parameters ?? customizations ?? {});
}

async function schemaOf(ctx: OperationContext, templateId: string): Promise<Json | undefined> {
  try {
    const { view } = await ctx.runtime.read(address(templateType, templateId));
    return (view as unknown as TemplateContext).schema;
  } catch (error) {
    if (error instanceof TroupeError && error.code === "not_found") return undefined;
    throw error;
  }
}

const common = { tags: ["templates"], scope: "templates:read" } as const;

export const templateOperations = [
  defineOperation({
    ...common,
    name: "templates.put",
    summary: "Register a template, or its schema anew",
    description:
      "Once any template is registered, tasks and requests that name an unknown one (`template_id`), or whose `parameters` (or `customizations`) do not fit its schema, are refused.",
    method: "PUT",
    path: "/v1/templates/{template_id}",
    scope: "templates:write",
    errors: ["invalid_input", "too_large"],
    example: { parameters_schema: { type: "object", required: ["entities"] } },
    input: z.strictObject({
      template_id: id,
      parameters_schema: freeObject,
      description: z.string().max(4_096).optional(),
    }),
    output: template,
    async handle(ctx, input) {
      const { template_id: templateId, parameters_schema: schema, description } = input;
      if (!isKey(templateId) || templateId.includes("~"))
        throw invalid("The request is not valid", [{ path: "template_id", message: "may not be an id" }]);
      if (isLarger(schema as Json, inlineBytesMax))
        throw new TroupeError("too_large", `A schema has at most ${inlineBytesMax} bytes`);
      ctx.schemas.check(schema as Json, "parameters_schema");
      const command = {
        type: "template.put",
        schema: schema as Json,
        hash: hashJson({ schema, description } as Json),
        ...(description !== undefined && { description }),
      };
      const at = address(templateType, templateId);
      return toTemplate(templateId, (await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs })).view);
    },
  }),
  defineOperation({
    ...common,
    name: "templates.get",
    summary: "Read a template",
    method: "GET",
    path: "/v1/templates/{template_id}",
    errors: ["not_found"],
    input: z.strictObject({ template_id: id }),
    output: template,
    async handle(ctx, input) {
      const at = address(templateType, requireId("template", input.template_id));
      const answer = await ctx.runtime.read(at).catch(named("template", input.template_id));
      return toTemplate(input.template_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "templates.list",
    summary: "List templates, newest first",
    method: "GET",
    path: "/v1/templates",
    errors: ["invalid_input"],
    input: z.strictObject({ ...pageFields }),
    output: pageOf(template),
    async handle(ctx, input) {
      const page = await ctx.runtime.list({
        type: templateType,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("templates", input.cursor)) }),
      });
      const data = page.items.map(({ address: at, view }) => toTemplate(at.key, view));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("templates", page.nextCursor) };
    },
  }),
];
