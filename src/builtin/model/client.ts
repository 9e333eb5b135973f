/**
 * Owns speaking to an OpenAI-compatible chat endpoint: requests, time-outs, retries and counts.
 * Knows no prompt; the stream's syntax is stream.ts's.
 *
 * Protocol: `POST {base}/chat/completions` with `stream: true`,
 * https://platform.openai.com/docs/api-reference/chat/create
 */
import { TaskError } from "../../actors/agent.ts";
import { ModelFailure, refusal, unsupportedOption } from "./failure.ts";
import { lengthOf, type Message, type ToolOffer } from "./messages.ts";
import { type Completion, type Delta, readCompletion, type ToolCall } from "./stream.ts";
import { Watchdog } from "./watchdog.ts";

/** The part of the bus's clock that is used here. */
export interface ModelTimers {
  now(): number;
  monotonic(): number;
  after(ms: number, fn: () => void): { cancel(): void };
}

export interface ModelSettings {
  /** Up to and with the version: `https://api.example.com/v1`. */
  readonly baseUrl: string;
  readonly apiKey?: string;
  readonly model: string;
  /** USD per million tokens; without them the cost has no money. */
  readonly promptUsdPerMillion?: number;
  readonly completionUsdPerMillion?: number;
  readonly temperature?: number;
  /** Connection and response headers. Default 30 s. */
  readonly headersTimeoutMs?: number;
  /** From the request to the first token. Default 120 s. */
  readonly firstTokenTimeoutMs?: number;
  /** Between tokens. Default 30 s. */
  readonly idleTimeoutMs?: number;
  /** One whole request. Default 300 s. */
  readonly totalTimeoutMs?: number;
  /** Requests for one answer. Default 5. */
  readonly requestsMax?: number;
  /** Wait before the second request, doubled for each further one up to 30 s. Default 500 ms. */
  readonly backoffMs?: number;
  /** Longest `Retry-After` that is waited for. Default 60 s. */
  readonly retryAfterMaxMs?: number;
}

export interface ModelRequest {
  readonly messages: readonly Message[];
  /** Asks for a JSON object. */
  readonly json?: boolean;
  readonly completionTokensMax?: number;
  readonly tools?: readonly ToolOffer[];
  /** Hears the answer as it comes; `request` counts this answer's requests from 1: after a broken stream all comes anew. */
  onDelta?(delta: Delta, request: number): void;
}

export interface ModelAnswer {
  readonly text: string;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  /** As the endpoint names it. */
  readonly model: string;
  readonly finishReason: string;
  readonly usage: { readonly promptTokens: number; readonly completionTokens: number; readonly estimated: boolean };
  readonly usd: number;
  /** How many requests it took. */
  readonly requests: number;
  readonly firstTokenMs: number;
  readonly durationMs: number;
}

export interface ModelClient {
  readonly model: string;
  /**
   * One answer. Repeats on 408, 409, 429, 5xx, network faults, cut streams and time-outs, with
   * exponential backoff or as `Retry-After` says. Throws TaskError (`model_…`), or the signal's
   * reason.
   */
  complete(request: ModelRequest, signal: AbortSignal): Promise<ModelAnswer>;
}

const backoffMaxMs = 30_000;
/** Where an endpoint counts no tokens: about so many characters make one. */
const charsPerToken = 4;

type Options = { readonly usage: boolean; readonly json: boolean };

export function createModelClient(settings: ModelSettings, timers: ModelTimers): ModelClient {
  const url = `${settings.baseUrl.replace(/\/+$/, "")}/chat/completions`;
  const requestsMax = settings.requestsMax ?? 5;
  return {
    model: settings.model,
    async complete(request, signal) {
      const began = timers.monotonic();
      let options: Options = { usage: true, json: request.json === true };
      for (let requests = 1; ; requests++) {
        signal.throwIfAborted();
        try {
          const completion = await requestOnce(url, settings, timers, request, options, signal, requests);
          return answerOf(settings, request, completion, requests, timers.monotonic() - began);
        } catch (error) {
          signal.throwIfAborted();
          const failure = ModelFailure.from(error);
          const without = withoutOption(failure, options);
          if (without !== undefined) {
            options = without;
            continue;
          }
          if (!failure.retryable || requests >= requestsMax) throw failure.toTaskError(requests);
          await pause(timers, waitMs(settings, failure, requests), signal);
        }
      }
    },
  };
}

/** Some endpoints know neither `stream_options` nor `response_format`, and say so: then without. */
function withoutOption(failure: ModelFailure, options: Options): Options | undefined {
  const named = unsupportedOption(failure);
  if (named === "stream_options" && options.usage) return { ...options, usage: false };
  if (named === "response_format" && options.json) return { ...options, json: false };
  return undefined;
}

async function requestOnce(
  url: string,
  settings: ModelSettings,
  timers: ModelTimers,
  request: ModelRequest,
  options: Options,
  signal: AbortSignal,
  no: number,
): Promise<Completion> {
  const watchdog = new Watchdog(timers, signal);
  watchdog.total(settings.totalTimeoutMs ?? 300_000);
  watchdog.expect("response headers", settings.headersTimeoutMs ?? 30_000);
  const began = timers.monotonic();
  try {
    const response = await fetch(url, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        accept: "text/event-stream, application/json",
        ...(settings.apiKey === undefined ? {} : { authorization: `Bearer ${settings.apiKey}` }),
      },
      body: JSON.stringify(bodyOf(settings, request, options)),
      signal: watchdog.signal,
      redirect: "error",
    });
    if (!response.ok) throw await refusal(response, timers.now());
    const firstMs = (settings.firstTokenTimeoutMs ?? 120_000) - (timers.monotonic() - began);
    watchdog.expect("the first token", Math.max(1, firstMs));
    return await readCompletion(response, {
      onToken: () => watchdog.expect("the next token", settings.idleTimeoutMs ?? 30_000),
      elapsedMs: () => timers.monotonic() - began,
      onDelta: (delta) => request.onDelta?.(delta, no),
    });
  } finally {
    // Ends the connection too when the answer was not read to its end.
    watchdog.stop();
  }
}

function bodyOf(settings: ModelSettings, request: ModelRequest, options: Options): Record<string, unknown> {
  return {
    model: settings.model,
    messages: request.messages,
    stream: true,
    ...(options.usage ? { stream_options: { include_usage: true } } : {}),
    ...((request.tools ?? []).length > 0
      ? { tools: request.tools?.map((tool) => ({ type: "function", function: tool })) }
      : {}),
    ...(options.json ? { response_format: { type: "json_object" } } : {}),
    ...(settings.temperature === undefined ? {} : { temperature: settings.temperature }),
    ...(request.completionTokensMax === undefined ? {} : { max_tokens: request.completionTokensMax }),
  };
}

function answerOf(
  settings: ModelSettings,
  request: ModelRequest,
  completion: Completion,
  requests: number,
  durationMs: number,
): ModelAnswer {
  const sent = request.messages.reduce((sum, message) => sum + lengthOf(message), 0);
  const { promptTokens, completionTokens } = completion.usage ?? {
    promptTokens: Math.ceil(sent / charsPerToken),
    completionTokens: Math.ceil(completion.text.length / charsPerToken),
  };
  const micro =
    promptTokens * (settings.promptUsdPerMillion ?? 0) + completionTokens * (settings.completionUsdPerMillion ?? 0);
  return {
    text: completion.text,
    reasoning: completion.reasoning,
    toolCalls: completion.toolCalls,
    model: completion.model ?? settings.model,
    finishReason: completion.finishReason,
    usage: { promptTokens, completionTokens, estimated: completion.usage === undefined },
    usd: micro / 1_000_000,
    requests,
    firstTokenMs: Math.round(completion.firstTokenMs),
    durationMs: Math.round(durationMs),
  };
}

function waitMs(settings: ModelSettings, failure: ModelFailure, requests: number): number {
  const backoff = Math.min(backoffMaxMs, (settings.backoffMs ?? 500) * 2 ** (requests - 1));
  if (failure.retryAfterMs === undefined) return backoff;
  return Math.min(Math.max(failure.retryAfterMs, backoff), settings.retryAfterMaxMs ?? 60_000);
}

function pause(timers: ModelTimers, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      timer.cancel();
      reject(signal.reason as Error);
    };
    const timer = timers.after(ms, () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** True for errors of this client that say so themselves. */
export function isModelError(error: unknown): error is TaskError {
  return error instanceof TaskError && error.code.startsWith("model_");
}
