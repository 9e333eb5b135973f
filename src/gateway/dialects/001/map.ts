/**
 * Contract 001's messages as inputs of core operations, and their results in its shapes. Pure.
 */
import { TroupeError } from "../../../machines/errors.ts";
import { secondsToMs } from "../api-v1/words.ts";
import type { PublicationMessage, RequestMessage, ResponseMessage } from "./schema.ts";

/** Only what was given: a field that is null was left out. */
function given(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));
}

/** The input of `requests.create`. */
export function toRequestInput(message: RequestMessage): Record<string, unknown> {
  return {
    data: message.data ?? {},
    ...given({
      request_id: message.id,
      request_type: message.type,
      source: message.source,
      target: message.target,
      correlation_id: message.correlation_id,
      timeout_ms: typeof message.timeout === "number" ? secondsToMs(message.timeout) : null,
      callback_url: message.callback_url,
    }),
  };
}

/** The input of `requests.respond`. */
export function toResponseInput(requestId: string, message: ResponseMessage): Record<string, unknown> {
  return {
    request_id: requestId,
    data: message.data ?? {},
    ...given({ response_id: message.id, status: message.status, errors: message.errors }),
  };
}

/** The input of `publications.publish`. */
export function toPublicationInput(message: PublicationMessage): Record<string, unknown> {
  const { topic, data, attributes, source } = message;
  return { topic, data: data ?? {}, ...given({ attributes, source }) };
}

/** What the core tells of a request. */
export interface CoreRequest {
  readonly request_id: string;
  readonly status: string;
  readonly source: string;
  readonly target: string;
  readonly request_type: string;
  readonly data: unknown;
  readonly correlation_id: string | null;
  readonly timeout_ms: number;
  readonly callback_url: string | null;
  readonly response: {
    readonly response_id: string;
    readonly status: string;
    readonly data: unknown;
    readonly errors: readonly unknown[];
  } | null;
}

/** As the target is given it. */
export function toRequest(one: CoreRequest) {
  return {
    id: one.request_id,
    type: one.request_type,
    source: one.source,
    target: one.target,
    correlation_id: one.correlation_id,
    data: one.data,
    timeout: one.timeout_ms / 1000,
    callback_url: one.callback_url?.replace(/^\/v1\//, "/api/v1/") ?? null,
  };
}

/** `{id, request_id, status, data, errors}`; null while there is none. */
export function toResponse(one: CoreRequest) {
  if (one.response === null) return null;
  const { response_id: id, status, data, errors } = one.response;
  return { id, request_id: one.request_id, correlation_id: one.correlation_id, status, data, errors: [...errors] };
}

/** How long a client may wait before it asks an unavailable agent again, seconds: two heartbeats. */
const retryAfter = 60;

/**
 * A refusal of a request in the contract's words: no response in time is the task's time-out, and it tells the
 * request's correlation id and when to try an agent again.
 */
export function requestRefusal(error: TroupeError, message: RequestMessage): TroupeError {
  const late = error.code === "timed_out" && error.details?.request_id !== undefined;
  return new TroupeError(late ? "task_timed_out" : error.code, error.message, {
    ...(error.code === "agent_unavailable" && { agent_id: message.target, retry_after: retryAfter }),
    ...error.details,
    ...(typeof message.correlation_id === "string" && { correlation_id: message.correlation_id }),
  });
}
