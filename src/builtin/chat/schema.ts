/**
 * What a chat agent gets and gives: the conversation in AG-UI's message shapes, and what it adds to it. Any
 * agent with this input and output can stand behind a session.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { flattened } from "../../machines/session/messages.ts";

export const functionCallSchema = z.looseObject({
  id: z.string(),
  type: z.literal("function").default("function"),
  function: z.looseObject({ name: z.string(), arguments: z.string() }),
});
export type FunctionCall = z.infer<typeof functionCallSchema>;

export const chatMessageSchema = z.looseObject({
  id: z.string(),
  role: z.string(),
  content: z.unknown().optional(),
  toolCalls: z.array(functionCallSchema).optional(),
  toolCallId: z.string().optional(),
  error: z.string().optional(),
});
export type ChatMessage = z.infer<typeof chatMessageSchema>;

export const toolOfferSchema = z.looseObject({
  name: z.string(),
  description: z.string().optional(),
  parameters: z.unknown().optional(),
});
export type ToolOffer = z.infer<typeof toolOfferSchema>;

const usageSchema = z.object({
  provider: z.string().optional(),
  model: z.string().optional(),
  inputTokens: z.number(),
  outputTokens: z.number(),
  totalTokens: z.number(),
  usd: z.number().optional(),
});
export type Usage = z.infer<typeof usageSchema>;

/** A call that waits for a human's word. */
export const interruptSchema = z.object({
  toolCallId: z.string(),
  tool: z.string(),
  message: z.string(),
  arguments: z.unknown(),
});
export type ChatInterrupt = z.infer<typeof interruptSchema>;

export const chatOutputSchema = z.object({
  /** New ones of this run, in order. */
  messages: z.array(chatMessageSchema),
  /** Absent: unchanged. */
  state: z.unknown().optional(),
  /** Calls of front-end tools: the client answers them in its next run. */
  pending: z.array(z.object({ toolCallId: z.string(), name: z.string(), arguments: z.string() })).default([]),
  interrupt: interruptSchema.nullable().default(null),
  usage: z.array(usageSchema).default([]),
});
export type ChatOutput = z.infer<typeof chatOutputSchema>;

export const chatInputSchema = z.looseObject({
  threadId: z.string(),
  runId: z.string(),
  messages: z.array(z.looseObject({})).transform((list) => z.array(chatMessageSchema).parse(flattened(list as never))),
  state: z.unknown().optional(),
  tools: z.array(toolOfferSchema).default([]),
  context: z.array(z.looseObject({ description: z.string().default(""), value: z.unknown() })).default([]),
  forwardedProps: z.unknown().optional(),
  /** The output of the turn before in this run, when a human has decided on its interrupt. */
  before: chatOutputSchema.nullish(),
  /** What the human decided: a checkpoint's output. */
  answer: z.looseObject({ approved: z.boolean(), note: z.string().nullish(), input: z.unknown().optional() }).nullish(),
});
export type ChatInput = z.infer<typeof chatInputSchema>;

/** The text of a message: a string, or the text parts of a list. */
export function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return content === undefined || content === null ? "" : JSON.stringify(content);
  return content
    .filter((part): part is { type: "text"; text: string } => part?.type === "text" && typeof part.text === "string")
    .map((part) => part.text)
    .join("");
}

/** JSON as the runtime takes it: without undefined members. */
export function plain<T>(value: T): Json & JsonObject {
  return JSON.parse(JSON.stringify(value)) as Json & JsonObject;
}
