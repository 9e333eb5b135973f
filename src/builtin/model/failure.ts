/**
 * Owns what can go wrong with a model's endpoint: which failures are worth another request, and
 * how they read to a task. Sends nothing.
 */
import { TaskError } from "../../actors/agent.ts";

const detailCharsMax = 500;

export type FailureCode =
  | "model_unauthorized"
  | "model_refused"
  | "model_rate_limited"
  | "model_unavailable"
  | "model_timed_out"
  | "model_malformed";

export class ModelFailure extends Error {
  override readonly name = "ModelFailure";
  readonly code: FailureCode;
  readonly retryable: boolean;
  readonly status: number | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: FailureCode,
    message: string,
    options: { retryable: boolean; status?: number; retryAfterMs?: number | undefined; cause?: unknown },
  ) {
    super(message, { cause: options.cause });
    this.code = code;
    this.retryable = options.retryable;
    this.status = options.status;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** What `fetch` throws is a fault of the network. */
  static from(error: unknown): ModelFailure {
    if (error instanceof ModelFailure) return error;
    const { message, cause } = error as Error;
    const why = cause instanceof Error ? `${message}: ${cause.message}` : message;
    return new ModelFailure("model_unavailable", `the model's endpoint cannot be reached: ${why}`, {
      retryable: true,
      cause: error,
    });
  }

  toTaskError(requests: number): TaskError {
    const tried = requests > 1 ? ` (after ${requests} requests)` : "";
    return new TaskError(`${this.message}${tried}`, { code: this.code, retryable: this.retryable, cause: this });
  }
}

/** The failure that an HTTP answer other than 2xx stands for. `nowMs`: for dates in Retry-After. */
export async function refusal(response: Response, nowMs: number): Promise<ModelFailure> {
  const { status } = response;
  const detail = await detailOf(response);
  const message = `the model's endpoint answered ${status}${detail === "" ? "" : `: ${detail}`}`;
  if (status === 401 || status === 403) {
    return new ModelFailure("model_unauthorized", `${message}. Check MODEL_API_KEY.`, { retryable: false, status });
  }
  const retryAfterMs = parseRetryAfter(response.headers.get("retry-after"), nowMs);
  if (status === 429) return new ModelFailure("model_rate_limited", message, { retryable: true, status, retryAfterMs });
  if (status >= 500 || status === 408 || status === 409) {
    return new ModelFailure("model_unavailable", message, { retryable: true, status, retryAfterMs });
  }
  return new ModelFailure("model_refused", message, { retryable: false, status });
}

async function detailOf(response: Response): Promise<string> {
  let text = "";
  try {
    text = (await response.text()).slice(0, 20_000);
    const body = JSON.parse(text) as { error?: { message?: unknown } | string; message?: unknown };
    const message = typeof body.error === "string" ? body.error : (body.error?.message ?? body.message);
    if (typeof message === "string") return message.slice(0, detailCharsMax);
  } catch {
    // Not JSON, or cut: what there is, is shown.
  }
  return text.replace(/\s+/g, " ").trim().slice(0, detailCharsMax);
}

/** Seconds or an HTTP date (RFC 9110, 10.2.3) as milliseconds from now. */
export function parseRetryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+(\.\d+)?\s*$/.test(header)) return Math.ceil(Number(header) * 1_000);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}

/** The optional field that a refused request was refused for. */
export function unsupportedOption(failure: ModelFailure): "stream_options" | "response_format" | undefined {
  if (failure.status !== 400 && failure.status !== 422) return undefined;
  if (failure.message.includes("stream_options")) return "stream_options";
  return failure.message.includes("response_format") ? "response_format" : undefined;
}
