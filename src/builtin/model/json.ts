/** Owns getting a checked JSON object out of a model: one answer, and one chance to repair it. */
import type { ZodType } from "zod";
import { type AgentContext, TaskError } from "../../actors/agent.ts";
import { askModel } from "./ask.ts";
import type { ModelClient } from "./client.ts";
import type { Message } from "./messages.ts";

const shownCharsMax = 8_000;

/**
 * Asks for JSON that fits the schema. Tells the task's events and cost of every answer. Throws
 * TaskError; `model_malformed` when the repaired answer does not fit either.
 */
export async function askForJson<T>(
  ctx: Pick<AgentContext, "event" | "cost" | "signal">,
  client: ModelClient,
  messages: readonly Message[],
  schema: ZodType<T>,
): Promise<T> {
  const first = await askModel(ctx, client, { messages, json: true });
  const parsed = parseAnswer(first.text, schema);
  if ("value" in parsed) return parsed.value;
  const repair: Message[] = [
    ...messages,
    { role: "assistant", content: first.text.slice(0, shownCharsMax) },
    {
      role: "user",
      content: `That is not what was asked for: ${parsed.problem}. Answer with the corrected JSON object only.`,
    },
  ];
  const second = parseAnswer((await askModel(ctx, client, { messages: repair, json: true })).text, schema);
  if ("value" in second) return second.value;
  throw new TaskError(`the model's answer does not fit: ${second.problem}`, { code: "model_malformed" });
}

/** The object in the text, also from inside a code fence or a sentence around it. */
export function parseAnswer<T>(text: string, schema: ZodType<T>): { value: T } | { problem: string } {
  const from = text.indexOf("{");
  const to = text.lastIndexOf("}");
  if (from < 0 || to < from) return { problem: "it holds no JSON object" };
  let value: unknown;
  try {
    value = JSON.parse(text.slice(from, to + 1));
  } catch (error) {
    return { problem: `it is not valid JSON (${(error as Error).message})` };
  }
  const checked = schema.safeParse(value);
  if (checked.success) return { value: checked.data };
  const problems = checked.error.issues
    .slice(0, 5)
    .map((issue) => `${issue.path.join(".") || "the object"}: ${issue.message}`);
  return { problem: problems.join("; ") };
}
