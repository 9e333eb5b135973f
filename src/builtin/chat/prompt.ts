/**
 * From a conversation in AG-UI's shapes to a model's request. Pure. What a model cannot take (activities,
 * reasoning, parts of unknown kinds) is left out.
 */
import { isObject } from "../../machines/json.ts";
import type { ContentPart, Message } from "../model/messages.ts";
import { type ChatInput, type ChatMessage, textOf } from "./schema.ts";

/** Context and state come first, as the application's word; then the conversation, old and new. */
export function toModelMessages(input: ChatInput, made: readonly ChatMessage[]): Message[] {
  const messages: Message[] = [];
  const preface = prefaceOf(input);
  if (preface !== "") messages.push({ role: "system", content: preface });
  for (const message of [...input.messages, ...made]) {
    const mapped = toModelMessage(message);
    if (mapped !== undefined) messages.push(mapped);
  }
  return answeredOnly(messages);
}

function prefaceOf(input: ChatInput): string {
  const lines = input.context.map(({ description, value }) => {
    const text = typeof value === "string" ? value : JSON.stringify(value);
    return description === "" ? text : `${description}: ${text}`;
  });
  const { state } = input;
  const empty = state === null || state === undefined || (isObject(state) && Object.keys(state).length === 0);
  if (!empty) lines.push(`The application's state, as JSON: ${JSON.stringify(state)}`);
  return lines.join("\n");
}

function toModelMessage(message: ChatMessage): Message | undefined {
  const { role, content, toolCalls, toolCallId } = message;
  if (role === "system" || role === "developer") return { role: "system", content: textOf(content) };
  if (role === "user") return { role: "user", content: partsOf(content) };
  if (role === "tool") {
    const text = message.error === undefined ? textOf(content) : `Error: ${message.error}\n${textOf(content)}`;
    return { role: "tool", tool_call_id: toolCallId ?? "", content: text };
  }
  if (role !== "assistant") return undefined;
  const calls = (toolCalls ?? []).map(({ id, function: called }) => ({
    id,
    type: "function" as const,
    function: { name: called.name, arguments: called.arguments },
  }));
  const text = textOf(content);
  if (calls.length === 0) return { role: "assistant", content: text };
  return { role: "assistant", content: text === "" ? null : text, tool_calls: calls };
}

/** A plain string stays one; media go along where the protocol has a part for them. */
function partsOf(content: unknown): string | ContentPart[] {
  if (!Array.isArray(content) || content.every((part) => part?.type === "text")) return textOf(content);
  const parts: ContentPart[] = [];
  for (const part of content as Record<string, unknown>[]) {
    const source = isObject(part.source) ? part.source : undefined;
    if (part.type === "text" && typeof part.text === "string") parts.push({ type: "text", text: part.text });
    else if (part.type === "image" && source !== undefined) {
      const url = source.type === "data" ? `data:${source.mimeType};base64,${source.value}` : String(source.value);
      if (source.type !== "file") parts.push({ type: "image_url", image_url: { url } });
    } else if (part.type === "audio" && source?.type === "data") {
      const format = String(source.mimeType ?? "audio/wav").split("/")[1] ?? "wav";
      parts.push({ type: "input_audio", input_audio: { data: String(source.value), format } });
    }
  }
  return parts;
}

/** Endpoints refuse a tool's answer without its call, and a call without its answer. */
function answeredOnly(messages: readonly Message[]): Message[] {
  const answered = new Set(messages.flatMap((m) => (m.role === "tool" ? [m.tool_call_id] : [])));
  const called = new Set<string>();
  return messages.flatMap((message): Message[] => {
    if (message.role === "tool") return called.has(message.tool_call_id) ? [message] : [];
    if (message.role !== "assistant" || message.tool_calls === undefined) return [message];
    const calls = message.tool_calls.filter(({ id }) => answered.has(id));
    for (const { id } of calls) called.add(id);
    if (calls.length > 0) return [{ ...message, tool_calls: calls }];
    return message.content === null ? [] : [{ role: "assistant", content: message.content }];
  });
}
