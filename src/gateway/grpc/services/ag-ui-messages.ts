/** Contract 003's shapes as protobuf messages, and back: messages, tools, events. Pure. */
import { encode } from "@ag-ui/proto";
import type { Json, JsonObject } from "../../../machines/effects.ts";
import type { AgUiEvent } from "../../ag-ui/events.ts";
import { invalid } from "../../errors.ts";
import { type AnyMessage, unpackAny } from "../any.ts";
import { fromStruct, fromValue, type JsonValue, type Struct, toStruct, toValue } from "../json-value.ts";

/** ag_ui.Message as it is read. */
export interface MessageProto {
  readonly id: string;
  readonly role: string;
  readonly content?: string;
  readonly name?: string;
  readonly tool_calls?: readonly {
    readonly id: string;
    readonly type: string;
    readonly function: { readonly name: string; readonly arguments: string } | null;
  }[];
  readonly tool_call_id?: string;
  readonly error?: string;
  readonly content_parts?: readonly Readonly<Record<string, unknown>>[];
  readonly metadata?: Struct | null;
  readonly encrypted_value?: string;
  readonly activity_type?: string;
  readonly activity_content?: Struct | null;
}

export interface ToolProto {
  readonly name: string;
  readonly description: string;
  readonly parameters?: JsonValue | null;
  readonly metadata?: Struct | null;
}

export interface RunAgentProto {
  readonly thread_id: string;
  readonly run_id: string;
  readonly state: AnyMessage | null;
  readonly messages: readonly MessageProto[];
  readonly tools: readonly ToolProto[];
  readonly context: readonly { readonly description: string; readonly value: string }[];
  readonly forwarded_props: AnyMessage | null;
  readonly agent: string;
  readonly resume: readonly {
    readonly interrupt_id: string;
    readonly status: string;
    readonly payload: JsonValue | null;
  }[];
  readonly parent_run_id: string;
  readonly protocol_version: string;
}

const has = (value: string | undefined): value is string => value !== undefined && value !== "";

export function toMessage(message: MessageProto): JsonObject {
  const { id, role } = message;
  const calls = (message.tool_calls ?? []).map((call) => ({
    id: call.id,
    type: "function",
    function: { name: call.function?.name ?? "", arguments: call.function?.arguments ?? "" },
  }));
  const parts = (message.content_parts ?? []).map(toPart);
  const activity = role === "activity" ? fromStruct(message.activity_content) : undefined;
  return {
    id,
    role,
    ...(parts.length > 0 ? { content: parts } : activity !== undefined ? { content: activity } : contentOf(message)),
    ...(has(message.name) ? { name: message.name } : {}),
    ...(calls.length > 0 ? { toolCalls: calls } : {}),
    ...(has(message.tool_call_id) ? { toolCallId: message.tool_call_id } : {}),
    ...(has(message.error) ? { error: message.error } : {}),
    ...(has(message.activity_type) ? { activityType: message.activity_type } : {}),
    ...(has(message.encrypted_value) ? { encryptedValue: message.encrypted_value } : {}),
    ...(message.metadata ? { metadata: fromStruct(message.metadata) as JsonObject } : {}),
  };
}

function contentOf({ role, content }: MessageProto): JsonObject {
  if (role === "assistant" && !has(content)) return {};
  return { content: content ?? "" };
}

/** One of text, image, audio, video, document; media have a source of data, URL or file. */
function toPart(part: Readonly<Record<string, unknown>>): JsonObject {
  const kind = String(part.part ?? Object.keys(part)[0] ?? "text");
  const { source, metadata, ...rest } = (part[kind] ?? {}) as Record<string, unknown>;
  const from = source as Record<string, unknown> | null | undefined;
  const arm = from === null || from === undefined ? undefined : String(from.source ?? Object.keys(from)[0]);
  const inner = arm === undefined ? undefined : (from?.[arm] as Record<string, string>);
  return {
    type: kind,
    ...texts(rest),
    ...(inner === undefined
      ? {}
      : { source: { type: arm, value: inner.value, ...(has(inner.mime_type) ? { mimeType: inner.mime_type } : {}) } }),
    ...(metadata ? { metadata: fromValue(metadata as JsonValue) } : {}),
  };
}

function texts(fields: Record<string, unknown>): Record<string, string> {
  const entries = Object.entries(fields).filter((e): e is [string, string] => typeof e[1] === "string" && e[1] !== "");
  return Object.fromEntries(entries);
}

export function toTool({ name, description, parameters, metadata }: ToolProto): JsonObject {
  const schema = fromValue(parameters);
  return {
    name,
    description,
    ...(schema === undefined || schema === null ? {} : { parameters: schema }),
    ...(metadata ? { metadata: fromStruct(metadata) as JsonObject } : {}),
  };
}

/** Throws `invalid_input` unless thread and run are named: proto3 knows no required fields. */
export function requireIds({ thread_id, run_id }: RunAgentProto): void {
  const missing = [thread_id === "" ? "thread_id" : "", run_id === "" ? "run_id" : ""].filter((name) => name !== "");
  const problems = missing.map((path) => ({ path, message: "is required" }));
  if (problems.length > 0) throw invalid("The run's input is not valid", problems);
}

/** As RunAgentInput; what was not sent is absent. */
export function toRunInput(request: RunAgentProto): JsonObject {
  const state = unpackAny(request.state);
  const forwardedProps = unpackAny(request.forwarded_props);
  const resume = request.resume.map(({ interrupt_id, status, payload }) => {
    const value = fromValue(payload);
    return { interruptId: interrupt_id, status, ...(value === undefined ? {} : { payload: value }) };
  });
  return {
    threadId: request.thread_id,
    runId: request.run_id,
    messages: request.messages.map(toMessage),
    tools: request.tools.map(toTool),
    context: request.context.map(({ description, value }) => ({ description, value })),
    ...(state === undefined ? {} : { state }),
    ...(forwardedProps === undefined ? {} : { forwardedProps }),
    ...(resume.length === 0 ? {} : { resume }),
    ...(has(request.parent_run_id) ? { parentRunId: request.parent_run_id } : {}),
    ...(has(request.protocol_version) ? { protocolVersion: request.protocol_version } : {}),
  };
}

/** EventResponse: the base event with the whole as JSON in raw_event, and the bytes of ag_ui.Event. */
export interface EventResponse {
  readonly event: {
    readonly type: string;
    readonly timestamp?: number;
    readonly raw_event: JsonValue;
    readonly metadata?: Struct;
  };
  readonly typed_event: Uint8Array;
}

export function toEventResponse(event: AgUiEvent): EventResponse {
  const { type, timestamp, metadata } = event as { type: string; timestamp?: number; metadata?: JsonObject };
  return {
    event: {
      type,
      ...(timestamp === undefined ? {} : { timestamp }),
      raw_event: toValue(event as unknown as Json),
      ...(metadata === undefined ? {} : { metadata: toStruct(metadata) }),
    },
    typed_event: encode(event),
  };
}
