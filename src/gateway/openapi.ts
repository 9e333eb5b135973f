/**
 * The OpenAPI 3.1 document, generated from the table of operations. Owns no facts of its own
 * beyond the server's security schemes and the error shape.
 */
import { z } from "zod";
import { type ErrorCode, errorKinds } from "../machines/errors.ts";
import { dialectDescriptions, tagsOf } from "./dialect.ts";
import { errorSchemas, errorShapeOf } from "./error-shape.ts";
import { bodyOptional, fromQuery, takesBody } from "./http/request.ts";
import { takesKey } from "./once.ts";
import { type Operation, pathParameters } from "./operation.ts";

type Json = Record<string, unknown>;

const errorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "message", "retryable", "correlation_id"],
      properties: {
        code: { type: "string", enum: Object.keys(errorKinds), description: "Stable; made for machines." },
        message: { type: "string", description: "What is wrong, and what to do." },
        retryable: { type: "boolean", description: "The very same request may succeed later." },
        details: { type: "object", additionalProperties: true },
        correlation_id: { type: "string", description: "The logs carry it." },
      },
    },
  },
};

/** The document for these operations. `closed`: credentials are configured. */
export function openApiDocument(operations: readonly Operation[], version: string, serverUrl: string): Json {
  const components = new Components();
  const paths: Record<string, Json> = {};
  const { own, published } = tagsOf(operations);
  for (const operation of operations) {
    const method = operation.method.toLowerCase();
    paths[operation.path] = { ...paths[operation.path], [method]: describe(operation, components) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Troupe",
      version,
      summary: "Durable actors for AI agents, tasks and workflows",
      description:
        "Submit runs of workflows, watch them live, approve at checkpoints, fetch what they made. Without configured API keys the server listens on loopback only and no key is needed. A WebSocket at `/v1/ws` carries live events and every operation.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: serverUrl }],
    tags: [...own, ...published].map((name) => ({
      name,
      description: dialectDescriptions[name] ?? `Operations on ${name}.`,
    })),
    // For viewers that show groups of groups.
    "x-tagGroups": [
      { name: "Troupe", tags: own },
      { name: "Published contracts", tags: published },
    ].filter(({ tags }) => tags.length > 0),
    security: [{ apiKey: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: "apiKey", in: "header", name: "X-API-Key" },
        bearer: { type: "http", scheme: "bearer" },
      },
      schemas: { ...components.schemas, ...usedErrors(operations) },
    },
  };
}

/** The error shapes that these operations answer with. */
function usedErrors(operations: readonly Operation[]): Json {
  const all: Json = { Error: errorSchema, ...errorSchemas };
  const used = new Set(operations.map((one) => errorShapeOf(one.path).schema));
  return Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name)));
}

/** Schemas with an id of their own, collected while operations are described. */
class Components {
  readonly schemas: Record<string, unknown> = {};

  of(schema: z.ZodType, io: "input" | "output"): Json {
    const json = z.toJSONSchema(schema, { io, unrepresentable: "any", target: "draft-2020-12" }) as Json;
    const { $schema: _, $defs, ...rest } = json;
    for (const [name, definition] of Object.entries(($defs as Json | undefined) ?? {})) {
      const { id: __, ...inner } = definition as Json;
      this.schemas[name] = relocated(inner);
    }
    return relocated(rest) as Json;
  }
}

/** References into `$defs` become references into the document's components. */
function relocated(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(relocated);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) =>
      key === "$ref" && typeof inner === "string"
        ? [key, inner.replace("#/$defs/", "#/components/schemas/")]
        : [key, relocated(inner)],
    ),
  );
}

function describe(operation: Operation, components: Components): Json {
  const inPath = pathParameters(operation.path);
  const body = takesBody(operation);
  const fields = Object.entries(operation.input.shape as Record<string, z.ZodType>);
  const parameters: Json[] = fields
    .filter(([name]) => inPath.includes(name) || fromQuery(operation, name))
    .map(([name, schema]) => parameter(name, schema, inPath.includes(name), components));
  if (takesKey(operation))
    parameters.push(
      headerParameter("Idempotency-Key", "The same key and body are done once and answered alike; kept for a day."),
    );
  if (operation.name === "runs.events")
    parameters.push(headerParameter("Last-Event-ID", "Resume a stream after this event."));
  return {
    operationId: operation.name,
    summary: operation.summary,
    ...(operation.description !== undefined && { description: operation.description }),
    tags: [...operation.tags],
    ...(operation.scope === null ? { security: [] } : { "x-scope": operation.scope }),
    ...(parameters.length > 0 && { parameters }),
    ...(body && {
      requestBody: requestBody(
        operation,
        fields.filter(([name]) => !inPath.includes(name) && !fromQuery(operation, name)),
        components,
      ),
    }),
    responses: responses(operation, components),
  };
}

function parameter(name: string, schema: z.ZodType, inPath: boolean, components: Components): Json {
  const { description, ...json } = components.of(schema, "input");
  const required = inPath || !schema.safeParse(undefined).success;
  return {
    name,
    in: inPath ? "path" : "query",
    required,
    ...(description !== undefined && { description }),
    schema: json,
  };
}

function headerParameter(name: string, description: string): Json {
  return { name, in: "header", required: false, description, schema: { type: "string", maxLength: 255 } };
}

function requestBody(operation: Operation, fields: [string, z.ZodType][], components: Components): Json {
  const whole = fields.find(([name]) => name === operation.body);
  const object = operation.lenient === true ? z.looseObject : z.strictObject;
  const schema = whole === undefined ? object(Object.fromEntries(fields)) : whole[1];
  const content = {
    schema: components.of(schema, "input"),
    ...(operation.example !== undefined && { example: operation.example }),
  };
  return { required: !bodyOptional(operation), content: { "application/json": content } };
}

const commonErrors: readonly ErrorCode[] = ["internal", "unavailable", "overloaded", "moved", "timed_out"];
const keyErrors: readonly ErrorCode[] = ["idempotency_conflict", "in_progress"];
const closedErrors: readonly ErrorCode[] = ["unauthenticated", "forbidden"];
const bodyErrors: readonly ErrorCode[] = ["too_large", "unsupported_type", "storage_full"];

function responses(operation: Operation, components: Components): Json {
  const codes = new Set<ErrorCode>([
    "invalid_input",
    ...operation.errors,
    ...(/^\/(v1|api\/v1|ninja-api)\//.test(operation.path) ? commonErrors : []),
    ...(takesKey(operation) ? keyErrors : []),
    ...(operation.scope === null ? [] : closedErrors),
    ...(takesBody(operation) ? bodyErrors : []),
  ]);
  const error = errorShapeOf(operation.path).schema;
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codes) {
    const { status } = errorKinds[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const out: Json = { [String(operation.status ?? 200)]: success(operation, components) };
  for (const [status, description] of Object.entries(operation.statuses ?? {}))
    out[status] = { ...success(operation, components), description };
  for (const [status, of] of [...byStatus].sort(([a], [b]) => a - b)) {
    const description = of.map((code) => `\`${code}\`: ${errorKinds[code].advice}`).join(" ");
    out[String(status)] = {
      description,
      content: { "application/json": { schema: { $ref: `#/components/schemas/${error}` } } },
    };
  }
  return out;
}

function success(operation: Operation, components: Components): Json {
  const content: Json = {};
  if (operation.streams !== "application/octet-stream") {
    content["application/json"] = { schema: components.of(operation.output, "output") };
  }
  if (operation.streams !== undefined) content[operation.streams] = { schema: { type: "string" } };
  return { description: operation.summary, content };
}
