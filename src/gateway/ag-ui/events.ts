/**
 * AG-UI events as this gateway makes them, and what a client of an older protocol can read of them. Pure; the
 * shapes are @ag-ui/core's.
 */
import { type BaseEvent, EventType, type Interrupt, type TokenUsage } from "@ag-ui/core";

export type { Interrupt, TokenUsage };
export type AgUiEvent = BaseEvent;
export { EventType };

/** What the client said of itself. */
export interface Reader {
  /** It sends a protocol version: it knows subagents, the cancelled outcome, pending calls, usage. */
  readonly modern: boolean;
}

export type Outcome =
  | { readonly type: "success"; readonly pendingToolCallIds?: string[] }
  | { readonly type: "interrupt"; readonly interrupts: Interrupt[] }
  | { readonly type: "cancelled" };

export const textStart = (messageId: string, role = "assistant"): AgUiEvent => ({
  type: EventType.TEXT_MESSAGE_START,
  messageId,
  role,
});
export const textContent = (messageId: string, delta: string): AgUiEvent => ({
  type: EventType.TEXT_MESSAGE_CONTENT,
  messageId,
  delta,
});
export const textEnd = (messageId: string): AgUiEvent => ({ type: EventType.TEXT_MESSAGE_END, messageId });

export const reasoningStart = (messageId: string): AgUiEvent[] => [
  { type: EventType.REASONING_START, messageId },
  { type: EventType.REASONING_MESSAGE_START, messageId, role: "reasoning" },
];
export const reasoningContent = (messageId: string, delta: string): AgUiEvent => ({
  type: EventType.REASONING_MESSAGE_CONTENT,
  messageId,
  delta,
});
export const reasoningEnd = (messageId: string): AgUiEvent[] => [
  { type: EventType.REASONING_MESSAGE_END, messageId },
  { type: EventType.REASONING_END, messageId },
];

export function toolCall(id: string, name: string, text: string, parentMessageId?: string): AgUiEvent[] {
  return [
    {
      type: EventType.TOOL_CALL_START,
      toolCallId: id,
      toolCallName: name,
      ...(parentMessageId === undefined ? {} : { parentMessageId }),
    },
    { type: EventType.TOOL_CALL_ARGS, toolCallId: id, delta: text },
    { type: EventType.TOOL_CALL_END, toolCallId: id },
  ];
}

export const toolResult = (messageId: string, toolCallId: string, content: string): AgUiEvent => ({
  type: EventType.TOOL_CALL_RESULT,
  messageId,
  toolCallId,
  content,
  role: "tool",
});

export const stepStarted = (stepName: string): AgUiEvent => ({ type: EventType.STEP_STARTED, stepName });
export const stepFinished = (stepName: string): AgUiEvent => ({ type: EventType.STEP_FINISHED, stepName });

export function runFinished(
  ids: { readonly threadId: string; readonly runId: string },
  reader: Reader,
  outcome: Outcome,
  more: { readonly result?: unknown; readonly usage?: readonly TokenUsage[] },
): AgUiEvent {
  const { result, usage } = more;
  return {
    type: EventType.RUN_FINISHED,
    threadId: ids.threadId,
    runId: ids.runId,
    ...(result === undefined || result === null ? {} : { result }),
    ...(reader.modern || outcome.type === "interrupt" ? { outcome } : {}),
    ...(reader.modern && usage !== undefined && usage.length > 0 ? { usage } : {}),
  };
}

export function runError(message: string, code: string, usage: readonly TokenUsage[], reader: Reader): AgUiEvent {
  return {
    type: EventType.RUN_ERROR,
    message,
    code,
    ...(reader.modern && usage.length > 0 ? { usage } : {}),
  };
}

const subagents: ReadonlySet<string> = new Set(["SUBAGENT_STARTED", "SUBAGENT_FINISHED", "SUBAGENT_ERROR"]);

/** The event as this client can read it, or null. */
export function readable(event: AgUiEvent, reader: Reader): AgUiEvent | null {
  if (reader.modern) return event;
  if (subagents.has(event.type)) return null;
  const { subagentRunId, ...rest } = event;
  return rest as AgUiEvent;
}
