/**
 * How an error looks, by where it was asked: each published contract has its own body and, for some codes,
 * its own word. Owns the shapes; which error it is comes from the catalogue.
 */
import { type ErrorCode, errorKinds, type TroupeError } from "../machines/errors.ts";
import { type ErrorBody, errorBody } from "./errors.ts";

export interface ErrorPlace {
  readonly correlationId: string;
  /** ms. */
  readonly now: number;
}

export interface ErrorShape {
  /** Name of its schema in the OpenAPI document. */
  readonly schema: string;
  body(error: TroupeError, place: ErrorPlace): object;
}

/** Codes of contract 001; the others are the catalogue's in capitals. */
const words001: Partial<Record<ErrorCode, string>> = {
  agent_unavailable: "AGENT_UNAVAILABLE",
  task_timed_out: "TASK_TIMEOUT",
  invalid_template: "INVALID_TEMPLATE",
  workflow_failed: "WORKFLOW_FAILED",
  unauthenticated: "AUTHENTICATION_FAILED",
  rate_limited: "RATE_LIMIT_EXCEEDED",
  precondition_failed: "DEPENDENCY_NOT_MET",
};

/** The word of contract 001 for a code. */
export function code001(code: ErrorCode): string {
  return words001[code] ?? code.toUpperCase();
}

export const codes001: readonly string[] = (Object.keys(errorKinds) as ErrorCode[]).map(code001);

/** The inner object of contract 001's errors; on its sockets too. `details.correlation_id` wins over the request's. */
export function error001(error: TroupeError, place: ErrorPlace) {
  const { correlation_id: given, ...details } = error.details ?? {};
  return {
    code: code001(error.code),
    message: messageOf(error, place),
    details,
    correlation_id: typeof given === "string" ? given : place.correlationId,
    timestamp: new Date(place.now).toISOString(),
  };
}

function messageOf(error: TroupeError, place: ErrorPlace): string {
  return errorBody(error, place.correlationId).error.message;
}

const own: ErrorShape = {
  schema: "Error",
  body: (error, place): ErrorBody => errorBody(error, place.correlationId),
};

/** Both shapes under one prefix: contract 001 reads `error`, contract 004 `detail`. */
const apiV1: ErrorShape = {
  schema: "ApiError",
  body: (error, place) => ({ error: error001(error, place), detail: messageOf(error, place) }),
};

const detailOnly: ErrorShape = {
  schema: "DetailError",
  body: (error) => ({ detail: error.message }),
};

const under = (path: string, prefix: string): boolean => path === prefix || path.startsWith(`${prefix}/`);

/** The shape for a path, served or not. */
export function errorShapeOf(path: string): ErrorShape {
  if (under(path, "/api/v1")) return apiV1;
  if (under(path, "/ninja-api")) return detailOnly;
  return own;
}

/** Schemas of the other two shapes for the OpenAPI document. */
export const errorSchemas = {
  ApiError: {
    type: "object",
    required: ["error", "detail"],
    properties: {
      error: {
        type: "object",
        required: ["code", "message", "details", "correlation_id", "timestamp"],
        properties: {
          code: { type: "string", enum: [...new Set(codes001)] },
          message: { type: "string" },
          details: { type: "object", additionalProperties: true },
          correlation_id: { type: "string" },
          timestamp: { type: "string", format: "date-time" },
        },
      },
      detail: { type: "string", description: "The message again, for clients of contract 004." },
    },
  },
  DetailError: { type: "object", required: ["detail"], properties: { detail: { type: "string" } } },
} as const;
