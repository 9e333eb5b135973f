/**
 * Errors as the edge shows them: one shape for HTTP and WebSocket, the advice of the catalogue
 * at the end of the message, nothing internal inside.
 */
import type { ZodError } from "zod";
import { TroupeError } from "../machines/errors.ts";
import type { GatewayLogger } from "./config.ts";

export interface ErrorBody {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly retryable: boolean;
    readonly details?: Record<string, unknown>;
    readonly correlation_id: string;
  };
}

/** A sentence, then what to do. */
function sentence(message: string, advice: string): string {
  const trimmed = message.trim();
  return `${trimmed}${/[.!?]$/.test(trimmed) ? "" : "."} ${advice}`;
}

export function errorBody(error: TroupeError, correlationId: string): ErrorBody {
  const body = {
    code: error.code,
    message: sentence(error.message, error.kind.advice),
    retryable: error.kind.retryable,
    correlation_id: correlationId,
  };
  return { error: error.details === undefined ? body : { ...body, details: error.details } };
}

/** What is not of the catalogue is logged with the id and shown as `internal`, without a word of it. */
export function asTroupeError(thrown: unknown, correlationId: string, logger: GatewayLogger): TroupeError {
  if (thrown instanceof TroupeError) {
    if (thrown.code !== "internal") return thrown;
    logger.error({ correlation_id: correlationId, err: thrown }, "internal error");
  } else if (thrown instanceof Error && thrown.name === "BusError") {
    // By name: the gateway may not import the bus.
    const { code } = thrown as { code?: unknown };
    logger.warn({ correlation_id: correlationId, err: thrown }, "the store did not answer");
    if (code === "storage_full") return new TroupeError("storage_full", "The store has no room");
    if (code !== "corrupt") return new TroupeError("unavailable", "The store cannot be reached");
  } else {
    logger.error({ correlation_id: correlationId, err: thrown }, "unexpected error");
  }
  return new TroupeError("internal", "Something went wrong inside");
}

export interface Problem {
  /** `stages[2].when`, `limit`; empty for the whole. */
  readonly path: string;
  readonly message: string;
}

/** `["stages", 2, "when"]` → `stages[2].when`. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.map((p, i) => (typeof p === "number" ? `[${p}]` : `${i === 0 ? "" : "."}${String(p)}`)).join("");
}

const problemsMax = 20;

/** `invalid_input` with each problem's place, in the message (first ones) and in `details.problems`. */
export function invalid(what: string, problems: readonly Problem[]): TroupeError {
  const shown = problems.slice(0, problemsMax);
  const text = shown.slice(0, 3).map((p) => (p.path === "" ? p.message : `${p.path}: ${p.message}`));
  return new TroupeError("invalid_input", `${what}: ${text.join("; ")}`, { problems: shown });
}

/** The problems zod found; unknown fields by their names. */
export function zodProblems(error: ZodError): Problem[] {
  return error.issues.flatMap((issue): Problem[] => {
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ path: formatPath([...issue.path, key]), message: "unknown field" }));
    }
    const missing = issue.message.endsWith("received undefined");
    return [{ path: formatPath(issue.path), message: missing ? "is required" : issue.message }];
  });
}
