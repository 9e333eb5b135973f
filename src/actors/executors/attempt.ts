/**
 * Owns one attempt's course: load the input, check it, run the function, check and offload the
 * output; and what each failure means to the task. Knows no slots and no delivery.
 */
import type { ZodType } from "zod";
import { rootOf } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { type AgentContext, type AgentDefinition, TaskError } from "../agent.ts";
import { thresholdBytesDefault } from "../values.ts";
import { type AttemptFacts, agentContext, type Leavings, logFields } from "./context.ts";
import type { ExecutorPort } from "./port.ts";
import type { Reporter } from "./reporter.ts";
import { persist } from "./retry.ts";

const messageCharsMax = 4_000;
const issuesMax = 10;

/** What the executor reads of a task's context. */
export interface TaskFacts extends AttemptFacts {
  readonly input: Json;
  readonly outputBytesMax: number | undefined;
}

/**
 * Runs the function once. Returns the outcome to report, or null when the attempt was aborted:
 * then nothing is to be reported. `onReturn` is called as soon as the function has returned or
 * thrown, before its output is stored. Never throws.
 */
export async function runAttempt(
  port: ExecutorPort,
  definition: AgentDefinition<unknown, unknown>,
  facts: TaskFacts,
  reporter: Reporter,
  signal: AbortSignal,
  onReturn: () => void,
): Promise<JsonObject | null> {
  const root = rootOf(facts.address.key);
  const bytesMax = facts.outputBytesMax ?? thresholdBytesDefault;
  const { saved: kept } = facts;
  const load = kept === undefined ? null : persist(port, signal, () => port.values.load(kept)).catch(() => null);
  const saved = load === null ? null : await load;
  const { context, leavings } = agentContext(port, facts, reporter, signal, bytesMax, saved);
  try {
    const input = await persist(port, signal, () => port.values.load(facts.input));
    const result = await callFunction(definition, context, input).finally(onReturn);
    const output = await persist(port, signal, () => offloadOutput(port, root, result, bytesMax));
    if (signal.aborted) return null;
    return { ok: true, output, artifacts: inOrder(leavings.artifacts) as unknown as Json, cost: leavings.cost };
  } catch (error) {
    onReturn();
    if (signal.aborted) return null;
    return failure(port, facts, leavings, error);
  }
}

async function callFunction(
  definition: AgentDefinition<unknown, unknown>,
  context: AgentContext,
  input: Json,
): Promise<Json> {
  const checked = definition.input === undefined ? input : check(definition.input, input, "input", false);
  const output = await definition.run(context, checked);
  const value = definition.output === undefined ? output : check(definition.output, output, "output", true);
  return (value === undefined ? null : value) as Json;
}

/** The parsed value; throws TaskError `invalid_input` or `invalid_output`, which names the places. */
function check(schema: ZodType<unknown>, value: unknown, what: "input" | "output", retryable: boolean): unknown {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const places = parsed.error.issues.slice(0, issuesMax).map((issue) => {
    const place = issue.path.map(String).join(".");
    return place === "" ? issue.message : `${place}: ${issue.message}`;
  });
  throw new TaskError(`the ${what} does not fit the agent: ${places.join("; ")}`, {
    code: `invalid_${what}`,
    retryable,
  });
}

async function offloadOutput(port: ExecutorPort, root: string, output: Json, bytesMax: number): Promise<Json> {
  try {
    return await port.values.offload(root, output, bytesMax);
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "invalid_input") throw error;
    throw new TaskError(`the output cannot be kept: ${error.message}`, { code: "invalid_output", cause: error });
  }
}

/** The outcome of a failed attempt; the stack stays in the log. */
function failure(port: ExecutorPort, facts: TaskFacts, leavings: Leavings, error: unknown): JsonObject {
  port.logger.warn({ ...logFields(facts), err: error }, "an attempt failed");
  return failedOutcome(describe(error), leavings.cost);
}

export function failedOutcome(error: JsonObject, cost: Leavings["cost"]): JsonObject {
  return { ok: false, error, cost };
}

/** `TaskError` says its code and whether to retry; the runtime's own errors by the catalogue; anything else: retry. */
function describe(error: unknown): JsonObject {
  if (error instanceof TroupeError) {
    return { code: error.code, message: clip(error.message), retryable: error.kind.retryable };
  }
  // By name: an agent file may have loaded its own copy of the class.
  if (error instanceof Error && error.name === "TaskError") {
    const { code, retryable } = error as Partial<TaskError>;
    return { code: code ?? "agent_failed", message: clip(error.message), retryable: retryable ?? true };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { code: "agent_failed", message: clip(message || "failed without a message"), retryable: true };
}

function clip(message: string): string {
  return message.length <= messageCharsMax ? message : `${message.slice(0, messageCharsMax)}…`;
}

/** In the order in which they were kept, whichever was stored first. */
function inOrder(artifacts: Leavings["artifacts"]): Leavings["artifacts"] {
  const no = (id: string) => Number(id.slice(id.lastIndexOf("~") + 1));
  return [...artifacts].sort((a, b) => no(a.artifactId) - no(b.artifactId));
}
