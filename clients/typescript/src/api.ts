/**
 * Calls of Troupe's HTTP API: credentials, errors, and trying again for as long as trying helps. Knows
 * neither tasks nor agents; uses nothing but fetch.
 */

/** An API key, an agent's own id and secret (traded for tokens), or nothing: a Troupe on this machine without keys. */
export type Credentials =
  | { readonly apiKey: string }
  | { readonly clientId: string; readonly clientSecret: string }
  | undefined;

/** What the server refused, in its words. `code` is of its catalogue, such as `conflict`. */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly code: string;
  readonly details: unknown;

  constructor(status: number, code: string, message: string, details?: unknown) {
    super(message);
    this.status = status;
    this.code = code;
    this.details = details;
  }

  /** The very same request may succeed later. */
  get passing(): boolean {
    return this.status === 429 || this.status >= 500 || this.code === "in_progress";
  }
}

export interface CallOptions {
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
  /** How long to wait for an answer. Default 30 000. */
  readonly timeoutMs?: number;
  readonly idempotencyKey?: string;
}

const timeoutMsDefault = 30_000;
const pauseMsMin = 100;
const pauseMsMax = 5_000;
/** A token is renewed this long before it expires. */
const tokenMarginMs = 60_000;

export class Api {
  readonly #url: string;
  readonly #credentials: Credentials;
  #token: { readonly value: string; readonly until: number } | undefined;

  constructor(url: string, credentials?: Credentials) {
    this.#url = url.replace(/\/+$/, "");
    this.#credentials = credentials;
  }

  /** One call. Throws ApiError for a refusal, what fetch throws when there is no answer. */
  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    return this.#send<T>(method, path, textOf(options.body), options);
  }

  /** Calls again, with growing pauses, while there is no answer or one that may pass; until it is aborted. */
  async persist<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    // Throws here what JSON cannot hold: trying again would not help.
    const text = textOf(options.body);
    for (let pauseMs = pauseMsMin; ; pauseMs = Math.min(pauseMsMax, pauseMs * 2)) {
      try {
        return await this.#send<T>(method, path, text, options);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof ApiError && !error.passing) throw error;
        // Not all at once after an outage.
        await pause(pauseMs * (0.5 + Math.random() / 2), options.signal);
      }
    }
  }

  async #send<T>(method: string, path: string, text: string | null, options: CallOptions): Promise<T> {
    const headers: Record<string, string> = await this.#authorization();
    if (text !== null) headers["content-type"] = "application/json";
    if (options.idempotencyKey !== undefined) headers["idempotency-key"] = options.idempotencyKey;
    const answer = await this.#fetch(method, path, headers, text, options);
    // The next try trades for another token.
    if (answer.status === 401) this.#token = undefined;
    return this.#read<T>(answer);
  }

  async #authorization(): Promise<Record<string, string>> {
    const credentials = this.#credentials;
    if (credentials === undefined) return {};
    if ("apiKey" in credentials) return { "x-api-key": credentials.apiKey };
    return { authorization: `Bearer ${await this.#tokenFor(credentials.clientId, credentials.clientSecret)}` };
  }

  async #tokenFor(clientId: string, clientSecret: string): Promise<string> {
    if (this.#token !== undefined && Date.now() < this.#token.until) return this.#token.value;
    const text = textOf({ client_id: clientId, client_secret: clientSecret });
    const headers = { "content-type": "application/json" };
    const answer = await this.#fetch("POST", "/v1/auth/token", headers, text, {});
    const { access_token, expires_in } = await this.#read<{ access_token: string; expires_in: number }>(answer);
    this.#token = { value: access_token, until: Date.now() + expires_in * 1000 - tokenMarginMs };
    return access_token;
  }

  #fetch(
    method: string,
    path: string,
    headers: Record<string, string>,
    body: string | null,
    options: CallOptions,
  ): Promise<Response> {
    const timeout = AbortSignal.timeout(options.timeoutMs ?? timeoutMsDefault);
    const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout]);
    return fetch(this.#url + path, { method, headers, body, signal });
  }

  async #read<T>(answer: Response): Promise<T> {
    const text = await answer.text();
    let body: unknown;
    try {
      body = text === "" ? null : JSON.parse(text);
    } catch {
      body = null;
    }
    if (answer.ok) return body as T;
    const error = (body as { error?: { code?: string; message?: string; details?: unknown } } | null)?.error;
    const message = error?.message ?? `${answer.status} ${text.slice(0, 200)}`;
    throw new ApiError(answer.status, error?.code ?? "unknown", message, error?.details);
  }
}

function textOf(body: unknown): string | null {
  return body === undefined ? null : JSON.stringify(body);
}

/** Resolves after `ms`; rejects when it is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(signal.reason as Error);
      return;
    }
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, ms);
    signal?.addEventListener("abort", onAbort, { once: true });
  });
}
