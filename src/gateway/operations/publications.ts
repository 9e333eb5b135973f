/**
 * Operation to publish to a topic: stored first, then told to every subscriber.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { holdsRef } from "../../machines/json.ts";
import { topicSchema, topicType } from "../../machines/publication/topic.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { invalid } from "../errors.ts";
import { defineOperation, freeJson, freeObject, type OperationContext } from "../operation.ts";
import { scalars } from "../topics.ts";
import { madeId } from "./values.ts";

const attributesMax = 64;
const attributeCharsMax = 1_024;

const publishInput = z.strictObject({
  topic: topicSchema.describe("Words joined by dots: `task.code_generation.completed`."),
  data: freeJson.optional(),
  attributes: freeObject
    .optional()
    .describe(
      "What subscribers filter by, besides the plain members of `data`: text, numbers, booleans, lists of them.",
    ),
  source: z.string().min(1).max(200).optional().describe("The agent that publishes. Default: the caller's own."),
});

async function publish(ctx: OperationContext, input: z.output<typeof publishInput>) {
  const { credential, runtime } = ctx;
  const source = input.source ?? credential.agentId ?? credential.name;
  if (input.source !== undefined && input.source !== credential.name) await requireOwnAgent(ctx, input.source);
  const attributes = input.attributes ?? {};
  const names = Object.keys(attributes);
  const bad = names.find(
    (name) => !Object.hasOwn(scalars(attributes), name) || JSON.stringify(attributes[name]).length > attributeCharsMax,
  );
  if (bad !== undefined || names.length > attributesMax) {
    const message =
      bad === undefined
        ? `at most ${attributesMax} are taken`
        : "must be short text, a number, a boolean or a list of them";
    throw invalid("The request is not valid", [
      { path: bad === undefined ? "attributes" : `attributes.${bad}`, message },
    ]);
  }
  const data = (input.data ?? null) as Json;
  const kept = await runtime.values.offload(input.topic, data);
  const large = holdsRef(kept);
  const id = madeId(ctx, "pub", "publications.publish");
  const command = {
    type: "topic.publish",
    id,
    keyed: ctx.idempotencyKey !== undefined,
    data: kept,
    ...(large && { large: true }),
    // What of the data can be filtered by is told beside it when the data itself lies elsewhere.
    attributes: large ? { ...short(data), ...attributes } : attributes,
    source,
  };
  const at = address(topicType, input.topic);
  await runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
  return { publication_id: id, topic: input.topic };
}

function short(data: Json): Record<string, unknown> {
  const entries = Object.entries(scalars(data)).filter(([, v]) => JSON.stringify(v).length <= attributeCharsMax);
  return Object.fromEntries(entries.slice(0, attributesMax));
}

export const publicationOperations = [
  defineOperation({
    name: "publications.publish",
    summary: "Publish to a topic",
    description:
      "Answered when it is stored. Every subscriber of the topic gets it, those that are away when they are back.",
    method: "POST",
    path: "/v1/publications",
    scope: "publications:write",
    tags: ["publications"],
    errors: ["invalid_input", "forbidden", "too_large"],
    example: { topic: "task.code_generation.completed", data: { task_id: "task-001", result: "success" } },
    input: publishInput,
    output: z.object({ publication_id: z.string(), topic: z.string() }),
    handle: publish,
  }),
];
