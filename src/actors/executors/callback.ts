/**
 * Executor of kind `callback`: one attempt to bring a callback to its address, signed, and the report of how it went.
 * Owns the call; whether and when there is another attempt is the delivery's own (machines/callback/delivery).
 */
import { type Address, rootOf } from "../../machines/address.ts";
import type { DeliveryCommand, DeliveryContext } from "../../machines/callback/delivery.ts";
import { callbackSecret, callbackSecretName, webhookHeaders, webhookId } from "../../webhooks.ts";
import { type Outside, type OutsideAnswer, OutsideError } from "../outside.ts";
import type { Executor, Work } from "../work.ts";
import { Jobs } from "./jobs.ts";
import type { ExecutorPort } from "./port.ts";
import { deliver, persist } from "./retry.ts";

/** Calls at once; the others wait their turn. */
const atOnceMax = 32;
/** As the specification of Standard Webhooks advises: 15–30 s. */
const callMsMax = 20_000;
const errorCharsMax = 500;

export interface CallbackOptions {
  readonly outside: Outside;
  secret(name: string): Promise<Uint8Array>;
}

type Report = Omit<Extract<DeliveryCommand, { type: "delivery.report" }>, "type" | "attempt">;

export class CallbackExecutor implements Executor {
  readonly kind = "callback";
  readonly #port: ExecutorPort;
  readonly #options: CallbackOptions;
  readonly #jobs: Jobs;

  constructor(port: ExecutorPort, options: CallbackOptions) {
    this.#port = port;
    this.#jobs = new Jobs({
      clock: port.clock,
      atOnceMax,
      perform: (work, signal) => this.#perform(work, signal),
    });
    this.#options = options;
  }

  start(work: Work): void {
    this.#jobs.start(work);
  }

  holds(address: Address, id: string): "running" | "waiting" | undefined {
    return this.#jobs.holds(address, id);
  }

  abort(address: Address, id: string, reason: string): void {
    this.#jobs.abort(address, id, reason);
  }

  drain(graceMs: number): Promise<void> {
    return this.#jobs.drain(graceMs);
  }

  async #perform(work: Work, signal: AbortSignal): Promise<void> {
    const { address, spec } = work;
    const report = await this.#attempt(work, signal).catch((error: unknown) => failure(error));
    // Given up because the delivery no longer wants it, or the node stops: then it is lost, not failed.
    if (!signal.aborted) {
      const command = { type: "delivery.report", attempt: Number(spec.attempt), ...report };
      await deliver(this.#port, address, command, signal);
    }
  }

  async #attempt(work: Work, signal: AbortSignal): Promise<Report> {
    const { url, payload, owner } = work.context as unknown as DeliveryContext;
    const { values, clock } = this.#port;
    const body = JSON.stringify(await persist(this.#port, signal, () => values.load(payload)));
    const secret = await persist(this.#port, signal, () => this.#options.secret(callbackSecretName));
    // The same id for every attempt: receivers tell repetitions by it.
    const signed = webhookHeaders(
      callbackSecret(secret, owner),
      webhookId(rootOf(work.address.key)),
      clock.now(),
      body,
    );
    const headers = { "content-type": "application/json", ...signed };
    const answer = await this.#options.outside.call({
      method: "POST",
      url,
      headers,
      body,
      timeoutMs: callMsMax,
      signal,
    });
    return judged(answer);
  }
}

/** 2xx: taken. 410: never again. Everything else, redirects too: not taken, try later. */
function judged({ status, headers }: OutsideAnswer): Report {
  if (status >= 200 && status < 300) return { ok: true, status };
  const seconds = Number(headers["retry-after"]);
  return {
    ok: false,
    status,
    error: `the receiver answered ${status}`,
    ...(status === 410 && { permanent: true }),
    ...(Number.isFinite(seconds) && seconds > 0 && { retryAfterMs: Math.round(seconds * 1_000) }),
  };
}

function failure(error: unknown): Report {
  const message = error instanceof Error ? error.message : String(error);
  const permanent = error instanceof OutsideError && error.reason === "refused";
  return { ok: false, error: message.slice(0, errorCharsMax), ...(permanent && { permanent }) };
}
