/**
 * The default agent: takes tasks of type `prompt` that no registered agent wants. With a model the model
 * answers; without one the tools do what they can, and the answer says plainly that no model is there.
 */
import { z } from "zod";
import { type AgentContext, defineAgent } from "../../actors/agent.ts";
import { askModel } from "../model/ask.ts";
import type { ModelClient } from "../model/client.ts";
import type { Message } from "../model/messages.ts";
import { type Finding, runTools, toolNames } from "./tools.ts";

/** What the tools look at; a longer text is cut, and the answer says so. */
export const textCharsMax = 100_000;
/** Fields of the context that hold a text to work on, in this order. */
const textFields = ["text", "document", "content"];

export const promptInputSchema = z.object({
  prompt: z.string().min(1),
  context: z.record(z.string(), z.string()).nullish(),
  tools: z.array(z.string()).nullish(),
});
export type PromptInput = z.infer<typeof promptInputSchema>;

export const promptOutputSchema = z.object({
  text: z.string(),
  answered_by: z.enum(["model", "tools", "nobody"]),
  model: z.string().nullable(),
  /** By the tool's name. */
  findings: z.record(z.string(), z.unknown()),
  unknown_tools: z.array(z.string()),
});
export type PromptOutput = z.infer<typeof promptOutputSchema>;

interface Subject {
  readonly where: string;
  readonly text: string;
  readonly cut: boolean;
}

function subjectOf(input: PromptInput): Subject {
  const field = textFields.find((name) => Object.hasOwn(input.context ?? {}, name));
  const text = field === undefined ? input.prompt : (input.context?.[field] ?? "");
  const where = field === undefined ? "the prompt" : `the context's ${field}`;
  return { where, text: text.slice(0, textCharsMax), cut: text.length > textCharsMax };
}

function dataOf(findings: ReadonlyMap<string, Finding>): Record<string, unknown> {
  return Object.fromEntries([...findings].map(([name, { data }]) => [name, data]));
}

const common = {
  type: "prompt",
  description: "Answers prompts that no registered agent of type prompt takes.",
  input: promptInputSchema,
  output: promptOutputSchema,
  fallback: true,
};

/** Without a model. */
export const toolPromptAgent = defineAgent({
  ...common,
  capabilities: ["prompt", "text.tools"],
  concurrency: 16,
  run: (_ctx, input): PromptOutput => answerWithTools(input),
});

/** Pure: the same prompt gives the same answer. */
export function answerWithTools(input: PromptInput): PromptOutput {
  const subject = subjectOf(input);
  const { findings, unknown } = runTools(input.tools ?? [], subject.text);
  const lines = [
    "No model is configured here, so nobody has answered the prompt itself.",
    ...(findings.size === 0 ? [] : ["", `What the tools found in ${subject.where}:`]),
    ...[...findings].map(([name, { line }]) => `- ${name}: ${line}`),
    ...(subject.cut && findings.size > 0 ? [`Only the first ${textCharsMax} characters were looked at.`] : []),
    ...(unknown.length === 0 ? [] : ["", `Tools that are not known here: ${unknown.join(", ")}.`]),
    "",
    `Tools that work without a model: ${toolNames.join(", ")}. For an answer to the prompt itself, set MODEL_BASE_URL and MODEL_NAME, or register an agent of type prompt.`,
  ];
  return {
    text: lines.join("\n"),
    answered_by: findings.size === 0 ? "nobody" : "tools",
    model: null,
    findings: dataOf(findings),
    unknown_tools: [...unknown],
  };
}

export function modelPromptAgent(client: ModelClient) {
  return defineAgent({
    ...common,
    description: `Answers prompts with the model ${client.model}.`,
    capabilities: ["prompt", "model"],
    concurrency: 8,
    run: (ctx, input) => answerWithModel(ctx, client, input),
  });
}

async function answerWithModel(ctx: AgentContext, client: ModelClient, input: PromptInput): Promise<PromptOutput> {
  const { findings, unknown } = runTools(input.tools ?? [], subjectOf(input).text);
  const answer = await askModel(ctx, client, { messages: messagesFor(input, findings, unknown) });
  return {
    text: answer.text,
    answered_by: "model",
    model: answer.model,
    findings: dataOf(findings),
    unknown_tools: [...unknown],
  };
}

/** What the tools counted is given as facts; the others are named as what is wanted. */
function messagesFor(
  input: PromptInput,
  findings: ReadonlyMap<string, Finding>,
  unknown: readonly string[],
): readonly Message[] {
  const context = Object.entries(input.context ?? {}).map(([name, value]) => `${name}: ${value}`);
  const parts = [
    input.prompt,
    ...(context.length === 0 ? [] : [`Context:\n${context.join("\n")}`]),
    ...(unknown.length === 0 ? [] : [`Asked for: ${unknown.join(", ")}`]),
    ...(findings.size === 0 ? [] : [`Counted:\n${[...findings].map(([n, { line }]) => `${n}: ${line}`).join("\n")}`]),
  ];
  const system = "You carry out one task. Answer with the result alone, without talking about how you got there.";
  return [
    { role: "system", content: system },
    { role: "user", content: parts.join("\n\n") },
  ];
}
