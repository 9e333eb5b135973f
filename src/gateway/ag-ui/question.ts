/** A question to a human that belongs to no other run: a run of its own with one checkpoint. Knows no protocol. */
import { createHash } from "node:crypto";
import { address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { describeIssues, parseWorkflow } from "../../machines/workflow/check.ts";
import { idFromKey } from "../idempotency.ts";
import { hashJson } from "../json.ts";
import type { OperationContext } from "../operation.ts";

export const questionCheckpoint = "question";

/** The same request id is the same question, whoever asks. */
export const questionRun = (requestId: string): string => `run_${idFromKey("", "human.question", requestId)}`;

/** Begins the question, or finds it as it is. Throws `idempotency_conflict` when it is another one. */
export async function startQuestion(
  ctx: OperationContext,
  requestId: string,
  question: { readonly title: string; readonly instructions: string; readonly schema?: object },
): Promise<string> {
  const { title, instructions, schema } = question;
  const parsed = parseWorkflow({
    name: "human-question",
    version: "1.0.0",
    stages: [
      {
        kind: "checkpoint",
        name: questionCheckpoint,
        title: title.slice(0, 512),
        instructions: "${input.instructions}",
        on_reject: "continue",
        ...(schema === undefined ? {} : { schema }),
      },
    ],
  });
  if (!parsed.ok) throw new TroupeError("invalid_input", describeIssues(parsed.issues));
  const { definition } = parsed;
  const run = questionRun(requestId);
  const input = { instructions };
  const none = hashJson({});
  await ctx.runtime.ask(
    address("run", run),
    {
      type: "run.create",
      workflow: {
        name: definition.name,
        version: definition.version,
        hash: hashJson(definition as unknown as Json),
        definition,
      },
      input,
      metadata: { request_id: requestId },
      traceId: createHash("sha256").update(`trace:${run}`).digest("hex").slice(0, 32),
      requestHash: {
        workflow: hashJson([title, schema ?? null] as Json),
        input: hashJson(input),
        context: none,
        metadata: none,
        labels: none,
      },
      createdBy: ctx.credential.name,
    },
    { timeoutMs: ctx.limits.askTimeoutMs },
  );
  return run;
}
