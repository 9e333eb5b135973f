/**
 * The closed catalogue of errors: what each code means at the edge (HTTP and gRPC status),
 * whether trying again can help, and what the caller should do. Every refusal, in every
 * protocol, is one of these codes.
 */
export interface ErrorKind {
  /** HTTP status. */
  readonly status: number;
  /** gRPC status code, https://grpc.github.io/grpc/core/md_doc_statuscodes.html */
  readonly grpc: number;
  /** True when the very same request may succeed later. */
  readonly retryable: boolean;
  /** A sentence that says what to do. */
  readonly advice: string;
}

export const errorKinds = {
  invalid_input: {
    status: 400,
    grpc: 3,
    retryable: false,
    advice: "Correct the named fields and send the request again.",
  },
  invalid_template: {
    status: 400,
    grpc: 3,
    retryable: false,
    advice: "Use a registered template, with parameters that its schema permits.",
  },
  unauthenticated: {
    status: 401,
    grpc: 16,
    retryable: false,
    advice: "Send a valid key in X-API-Key or Authorization: Bearer.",
  },
  forbidden: {
    status: 403,
    grpc: 7,
    retryable: false,
    advice: "Use a credential that has the scope this operation needs.",
  },
  not_found: { status: 404, grpc: 5, retryable: false, advice: "Check the id or path; it does not exist here." },
  method_not_allowed: {
    status: 405,
    grpc: 12,
    retryable: false,
    advice: "Use one of the methods in the Allow header.",
  },
  not_acceptable: { status: 406, grpc: 3, retryable: false, advice: "Ask for one of the offered content types." },
  task_timed_out: {
    status: 408,
    grpc: 4,
    retryable: false,
    advice: "Read it; if it has not ended, wait for it again.",
  },
  conflict: {
    status: 409,
    grpc: 9,
    retryable: false,
    advice: "Read the current state; it does not permit this command.",
  },
  idempotency_conflict: {
    status: 409,
    grpc: 6,
    retryable: false,
    advice: "Use a new idempotency key, or send the first body again.",
  },
  in_progress: {
    status: 409,
    grpc: 10,
    retryable: true,
    advice: "The same request is still being done; send it again with the same idempotency key.",
  },
  already_exists: {
    status: 409,
    grpc: 6,
    retryable: false,
    advice: "Choose another id or version, or read the existing one.",
  },
  cursor_expired: {
    status: 410,
    grpc: 11,
    retryable: false,
    advice: "Read the current state, then resume from the oldest cursor given.",
  },
  precondition_failed: {
    status: 412,
    grpc: 9,
    retryable: false,
    advice: "Wait until the named dependencies are done.",
  },
  too_large: { status: 413, grpc: 8, retryable: false, advice: "Send less, or raise the limit in the configuration." },
  unsupported_type: { status: 415, grpc: 3, retryable: false, advice: "Send application/json." },
  rate_limited: { status: 429, grpc: 8, retryable: true, advice: "Wait as long as Retry-After says." },
  workflow_failed: {
    status: 500,
    grpc: 10,
    retryable: false,
    advice: "Read the execution's error and stages; correct the cause and start it again.",
  },
  internal: {
    status: 500,
    grpc: 13,
    retryable: false,
    advice: "Report the correlation id to the operator; the logs carry it.",
  },
  agent_unavailable: { status: 503, grpc: 14, retryable: true, advice: "No agent can answer now; try again later." },
  unavailable: {
    status: 503,
    grpc: 14,
    retryable: true,
    advice: "The runtime cannot reach its store or owner now; try again.",
  },
  overloaded: { status: 503, grpc: 8, retryable: true, advice: "A bound is reached; slow down and try again." },
  moved: {
    status: 503,
    grpc: 14,
    retryable: true,
    advice: "The owner changed and the outcome is unknown; try again with the same command id or idempotency key.",
  },
  storage_full: {
    status: 507,
    grpc: 8,
    retryable: true,
    advice: "The store's limit is reached; free space or raise the limit.",
  },
  timed_out: {
    status: 504,
    grpc: 4,
    retryable: true,
    advice: "No answer in time; the outcome is unknown. Try again with the same idempotency key.",
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** An error of the catalogue. `details` is JSON and safe to show to the caller. */
export class TroupeError extends Error {
  override readonly name = "TroupeError";
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details?: Record<string, unknown>,
  ) {
    super(message);
  }
  get kind(): ErrorKind {
    return errorKinds[this.code];
  }
}

export function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(errorKinds, code);
}
