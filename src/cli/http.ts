/**
 * One client of the HTTP API: addresses, key, time-outs, and how an answer becomes a value or a
 * CliError. Owns requests. Not owned: event streams' resumption (sse.ts), WebSocket (socket.ts).
 */
import type { z } from "zod";
import type { Clock } from "../bus/clock.ts";
import { CliError, type ExitName } from "./exit.ts";
import { pause } from "./io.ts";
import { errorBodyShape } from "./shapes.ts";

export interface RequestOptions {
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  /** Give up when there is no answer after this long. */
  readonly timeoutMs?: number;
  /** How often an answer that says `retryable`, or a broken connection, is tried again; only for what may be repeated. */
  readonly retries?: number;
}

const requestTimeoutMs = 60_000;
const retryMsFirst = 200;
export const idempotencyHeader = "Idempotency-Key";

export interface ApiOptions {
  readonly base: URL;
  readonly key: string | undefined;
  readonly clock: Clock;
  /** Aborts everything: Ctrl-C, or our output's reader is gone. */
  readonly stop: AbortSignal;
}

export class Api {
  constructor(private readonly options: ApiOptions) {}

  get base(): URL {
    return this.options.base;
  }

  /** Headers that carry the credential. */
  credentials(): Record<string, string> {
    return this.options.key === undefined ? {} : { "X-API-Key": this.options.key };
  }

  /** The address of a path below the base. */
  address(path: string, query: RequestOptions["query"] = {}): URL {
    const url = new URL(this.options.base);
    url.pathname = `${url.pathname.replace(/\/+$/, "")}${path}`;
    for (const [name, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(name, `${value}`);
    return url;
  }

  get<T extends z.ZodType>(path: string, shape: T, options: RequestOptions = {}): Promise<z.infer<T>> {
    return this.json("GET", path, shape, { retries: 3, ...options });
  }

  /** Sends a request and reads its JSON answer; throws CliError. */
  async json<T extends z.ZodType>(
    method: string,
    path: string,
    shape: T,
    options: RequestOptions = {},
  ): Promise<z.infer<T>> {
    const { clock, stop } = this.options;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.once(method, path, shape, options);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
        // A server that was there a moment ago is worth waiting for also when it refuses connections now.
        const again = error.facts.retryable === true || (attempt > 0 && error.exit === "unreachable");
        if (!again) throw error;
        if (attempt >= (options.retries ?? 0)) throw unknownOutcome(error, options.headers?.[idempotencyHeader]);
        await pause(clock, retryMsFirst * 2 ** attempt, stop);
      }
    }
  }

  private async once<T extends z.ZodType>(method: string, path: string, shape: T, options: RequestOptions) {
    const limit = this.limit(options.timeoutMs ?? requestTimeoutMs, this.options.stop);
    const headers: Record<string, string> = {
      Accept: "application/json",
      ...this.credentials(),
      ...(options.body === undefined ? {} : { "Content-Type": "application/json" }),
      ...options.headers,
    };
    try {
      const response = await this.fetch(this.address(path, options.query), {
        method,
        headers,
        signal: limit.signal,
        ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
      });
      const text = await response.text().catch((error: unknown) => Promise.reject(this.broken(error, limit.signal)));
      if (!response.ok) throw refusal(response.status, response.headers, text);
      const answer = checked(shape, parseJson(text));
      if (answer !== undefined) return answer;
      throw new CliError("unreachable", `${method} ${path} gave an answer that this client does not understand`, {
        code: "unexpected_answer",
        advice: `Check that a Troupe server of this version stands behind ${this.options.base.href}.`,
      });
    } finally {
      limit.release();
    }
  }

  /** A request whose body is read by the caller; throws CliError unless the answer is 2xx. */
  async open(url: URL, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const response = await this.fetch(url, { headers, signal });
    if (response.ok) return response;
    throw refusal(response.status, response.headers, await response.text().catch(() => ""));
  }

  private async fetch(url: URL, init: RequestInit & { signal: AbortSignal }): Promise<Response> {
    try {
      return await fetch(url, init);
    } catch (error) {
      throw this.broken(error, init.signal);
    }
  }

  /** What a failed transfer means: aborted by us, or the server is not there. */
  private broken(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    return unreachable(this.options.base, error);
  }

  /** A signal that follows `stop` and also fires after `ms`. */
  private limit(ms: number, stop: AbortSignal): { signal: AbortSignal; release(): void } {
    const own = new AbortController();
    const timer = this.options.clock.after(ms, () =>
      own.abort(
        new CliError("unreachable", `no answer from ${this.options.base.href} within ${ms / 1000} s`, {
          code: "unreachable",
          advice: "The outcome is unknown; look before you repeat it.",
        }),
      ),
    );
    return { signal: AbortSignal.any([own.signal, stop]), release: () => timer.cancel() };
  }
}

/** What was sent under a key may have been done; the same key makes it safe to repeat. */
function unknownOutcome(error: CliError, key: string | undefined): CliError {
  if (key === undefined) return error;
  const advice = `The outcome is unknown; repeat it with --idempotency-key ${key}`;
  return new CliError(error.exit, error.message, { ...error.facts, advice });
}

/** The server is not there: refused, reset, no such host. */
export function unreachable(base: URL, error: unknown): CliError {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const why = code !== "" ? code : cause instanceof Error ? cause.message : String(cause);
  return new CliError("unreachable", `cannot reach ${base.href} (${why})`, {
    code: "unreachable",
    retryable: code !== "ECONNREFUSED" && code !== "ENOTFOUND",
    advice: "Start a server with `troupe start`, or name another one with --url or TROUPE_URL.",
  });
}

const exitOfStatus: Readonly<Record<number, ExitName>> = { 401: "denied", 403: "denied", 404: "notFound" };
const advices: Readonly<Partial<Record<ExitName, string>>> = {
  denied: "Give a key with the needed scope by --key or TROUPE_API_KEY.",
  notFound: "Check the id, and that --url names the server that has it.",
};

/** An answer that is not 2xx as an error. */
export function refusal(status: number, headers: { get(name: string): string | null }, text: string): CliError {
  const parsed = errorBodyShape.safeParse(parseJson(text));
  const exit = exitOfStatus[status] ?? "refused";
  const error = parsed.success ? parsed.data.error : undefined;
  const correlationId = error?.correlation_id ?? headers.get("x-correlation-id") ?? headers.get("x-request-id");
  // The server's own messages end with what to do; only it cannot know our flags.
  const advice = exit === "denied" || error === undefined ? advices[exit] : undefined;
  return new CliError(exit, error?.message ?? `the server answered ${status}`, {
    code: error?.code ?? `http_${status}`,
    retryable: error?.retryable ?? status === 503,
    details: error?.details,
    ...(correlationId === null || correlationId === undefined ? {} : { correlationId }),
    ...(advice === undefined ? {} : { advice }),
  });
}

/** The value as it came, when it has the shape (shapes do not change values); undefined otherwise. */
export function checked<T extends z.ZodType>(shape: T, value: unknown): z.infer<T> | undefined {
  return shape.safeParse(value).success ? (value as z.infer<T>) : undefined;
}

export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
