/** Commands that tests of runs share. */
import { createHash } from "node:crypto";
import type { Command, Json } from "../../src/machines/effects.ts";
import { canonicalJson, parseWorkflow, type WorkflowDefinition } from "../../src/machines/index.ts";

export const sha256 = (value: unknown): string => createHash("sha256").update(canonicalJson(value)).digest("hex");

/** A definition with name and version; throws what is wrong with it. */
export function workflow(definition: Record<string, unknown>): WorkflowDefinition {
  const parsed = parseWorkflow({ name: "w", version: "1.0.0", ...definition });
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.issues));
  return parsed.definition;
}

export function createRun(
  definition: Record<string, unknown>,
  input: Json = null,
  more: Record<string, Json> = {},
): Command {
  const parsed = workflow(definition);
  const hash = sha256(parsed);
  return {
    type: "run.create",
    workflow: { name: parsed.name, version: parsed.version, hash, definition: parsed },
    input,
    context: null,
    metadata: {},
    labels: {},
    traceId: "0123456789abcdef0123456789abcdef",
    requestHash: {
      workflow: hash,
      input: sha256(input),
      context: sha256(more.context ?? null),
      metadata: sha256({}),
      labels: sha256({}),
    },
    createdBy: "local",
    ...more,
  };
}
