/**
 * What an agent's own stored events mean in AG-UI: messages, tool calls, state, activities, anything else. Pure;
 * the names are those of `ctx.event` and `ctx.save`.
 */
import type { StoredEvent } from "../../actors/client.ts";
import type { JsonObject } from "../../machines/effects.ts";
import { type AgUiEvent, EventType, toolCall, toolResult } from "./events.ts";
import { Known } from "./known.ts";
import type { OpenItems } from "./open-items.ts";

export interface Told {
  readonly events: readonly AgUiEvent[];
  /** The conversation as stored has to replace what the client has. */
  readonly replace?: boolean;
}

const nothing: Told = { events: [] };
/** What of an event may come in parts. */
const longMembers: Readonly<Record<string, string>> = {
  message_completed: "text",
  reasoning_completed: "text",
  tool_called: "arguments",
  tool_returned: "content",
};
const text = (value: unknown): string => (typeof value === "string" ? value : "");
const object = (value: unknown): JsonObject =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as JsonObject) : {};

/** A finished message of this run, as AG-UI has it. */
export interface MadeMessage {
  readonly id: string;
  readonly role: "assistant" | "tool";
  content: string;
  toolCalls?: { id: string; type: "function"; function: { name: string; arguments: string } }[];
  toolCallId?: string;
}

export class TaskEvents {
  /** Finished messages by id, in order. */
  readonly made = new Map<string, MadeMessage>();
  readonly #open: OpenItems;
  /** Parts of messages that are told in several events. */
  readonly #parts = new Map<string, string>();

  readonly #known: Known;

  readonly #stateGiven: boolean;

  /** `stateGiven`: the client was given the state that changes begin from, whatever it has. */
  constructor(open: OpenItems, known: Known = new Known(), stateGiven = false) {
    this.#open = open;
    this.#known = known;
    this.#stateGiven = stateGiven;
  }

  tell(given: StoredEvent): Told {
    const event = this.#whole(given);
    if (event === undefined) return nothing;
    const { name, data } = event;
    switch (name) {
      case "message_completed":
        return this.#message("text", data);
      case "reasoning_completed":
        return this.#message("reasoning", data);
      case "tool_called":
        return { events: this.#called(event) };
      case "tool_returned":
        return { events: this.#returned(event) };
      case "state_changed":
        return { events: stateOf(data) };
      case "activity_changed":
        return { events: activityOf(data) };
      case "custom_event":
        return { events: [{ type: EventType.CUSTOM, name: text(data.name), value: data.value ?? null }] };
      case "raw_event":
        return { events: [{ type: EventType.RAW, event: data.event ?? null, ...optional("source", data.source) }] };
      case "reasoning_encrypted":
        return { events: encrypted(data) };
      case "subagent_started":
        return { events: this.#open.startSubagent(text(data.subagentRunId), text(data.name)) };
      case "subagent_finished":
        return { events: this.#open.finishSubagent(text(data.subagentRunId)) };
      case "subagent_failed":
        return { events: this.#open.finishSubagent(text(data.subagentRunId), text(data.message) || "failed") };
      case "progressed":
        return { events: progressOf(event) };
      default:
        return nothing;
    }
  }

  /** Of what is told in parts: the whole with the last of them, nothing before. */
  #whole(event: StoredEvent): StoredEvent | undefined {
    const { name, data } = event;
    const long = longMembers[name];
    if (long === undefined || typeof data.part !== "number") return event;
    const id = `${name} ${text(data.toolCallId) || text(data.messageId)}`;
    const whole = (data.part === 1 ? "" : (this.#parts.get(id) ?? "")) + text(data[long]);
    this.#parts.set(id, whole);
    if (data.part < Number(data.parts)) return undefined;
    this.#parts.delete(id);
    return { ...event, data: { ...data, [long]: whole } };
  }

  #message(kind: "text" | "reasoning", data: JsonObject): Told {
    const id = text(data.messageId);
    const whole = text(data.text);
    if (kind === "text") this.made.set(id, { id, role: "assistant", content: whole });
    return this.#open.commit(kind, id, whole);
  }

  /** Agents that name no call get one from the event's number. */
  #called({ data, no }: StoredEvent): AgUiEvent[] {
    const name = text(data.tool) || text(data.name) || "tool";
    const given = data.arguments ?? data.input ?? {};
    const args = typeof given === "string" ? given : JSON.stringify(given);
    const id = text(data.toolCallId) || `call_${no}`;
    const parent = text(data.messageId);
    const message = this.made.get(parent || id) ?? { id: parent || id, role: "assistant", content: "" };
    message.toolCalls = [...(message.toolCalls ?? []), { id, type: "function", function: { name, arguments: args } }];
    this.made.set(message.id, message);
    const lacking = this.#known.lacks(id, args);
    return lacking === undefined ? [] : toolCall(id, name, lacking, parent === "" ? undefined : parent);
  }

  #returned({ data, no }: StoredEvent): AgUiEvent[] {
    const toolCallId = text(data.toolCallId);
    if (toolCallId === "") return [];
    const given = data.content ?? data.output ?? data.result ?? data.error ?? "";
    const content = typeof given === "string" ? given : JSON.stringify(given);
    const id = text(data.messageId) || `result_${no}`;
    this.made.set(id, { id, role: "tool", toolCallId, content });
    const known = this.#known.has(id);
    // What the call changed in the shared state comes with its result.
    const state = known && !this.#stateGiven ? [] : stateOf(object(data.state));
    return known ? state : [...state, toolResult(id, toolCallId, content)];
  }
}

function optional(name: string, value: unknown): Record<string, unknown> {
  return value === undefined || value === null ? {} : { [name]: value };
}

function stateOf(data: JsonObject): AgUiEvent[] {
  if (Array.isArray(data.delta)) return [{ type: EventType.STATE_DELTA, delta: data.delta }];
  if (data.snapshot === undefined) return [];
  return [{ type: EventType.STATE_SNAPSHOT, snapshot: data.snapshot }];
}

function activityOf(data: JsonObject): AgUiEvent[] {
  const common = { messageId: text(data.messageId), activityType: text(data.activityType) };
  if (Array.isArray(data.patch)) return [{ type: EventType.ACTIVITY_DELTA, ...common, patch: data.patch }];
  return [
    { type: EventType.ACTIVITY_SNAPSHOT, ...common, content: object(data.content), replace: data.replace !== false },
  ];
}

function encrypted(data: JsonObject): AgUiEvent[] {
  const { subtype, entityId, encryptedValue } = data;
  return [{ type: EventType.REASONING_ENCRYPTED_VALUE, subtype, entityId, encryptedValue }];
}

/** A task's progress is an activity of its step. */
function progressOf({ key, data }: StoredEvent): AgUiEvent[] {
  const { stage, fraction, message } = data;
  const content = { ...optional("step", stage), ...optional("fraction", fraction), ...optional("message", message) };
  return [
    {
      type: EventType.ACTIVITY_SNAPSHOT,
      messageId: `activity_${key}`,
      activityType: "PROGRESS",
      content,
      replace: true,
    },
  ];
}
