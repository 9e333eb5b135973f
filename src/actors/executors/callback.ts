/**
 * Executor of kind `callback`: one attempt to bring a callback to its address, signed, and the report of how it went.
 * Owns the call; whether and when there is another attempt is the delivery's own (machines/callback/delivery).
 */
import { type Address, formatAddress, rootOf } from "../../machines/address.ts";
import type { DeliveryCommand, DeliveryContext } from "../../machines/callback/delivery.ts";
import { callbackSecret, callbackSecretName, webhookHeaders, webhookId } from "../../webhooks.ts";
import { type Outside, type OutsideAnswer, OutsideError } from "../outside.ts";
import type { Executor, Work } from "../work.ts";
import type { ExecutorPort } from "./port.ts";
import { type Ticket, WaitingQueue } from "./queue.ts";
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

interface Job {
  readonly key: string;
  readonly work: Work;
  readonly controller: AbortController;
  ticket: Ticket<Job> | undefined;
}

type Report = Omit<Extract<DeliveryCommand, { type: "delivery.report" }>, "type" | "attempt">;

export class CallbackExecutor implements Executor {
  readonly kind = "callback";
  readonly #port: ExecutorPort;
  readonly #options: CallbackOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting = new WaitingQueue<Job>();
  #running = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(port: ExecutorPort, options: CallbackOptions) {
    this.#port = port;
    this.#options = options;
  }

  start(work: Work): void {
    const key = jobKey(work.address, work.id);
    if (this.#jobs.has(key)) return;
    const job: Job = { key, work, controller: new AbortController(), ticket: undefined };
    this.#jobs.set(key, job);
    job.ticket = this.#waiting.push(job, 5);
    this.#next();
  }

  holds(address: Address, id: string): "running" | "waiting" | undefined {
    const job = this.#jobs.get(jobKey(address, id));
    if (job === undefined) return undefined;
    return job.ticket === undefined ? "running" : "waiting";
  }

  abort(address: Address, id: string, reason: string): void {
    const job = this.#jobs.get(jobKey(address, id));
    if (job === undefined) return;
    job.controller.abort(new Error(reason));
    if (job.ticket !== undefined && this.#waiting.remove(job.ticket)) this.#forget(job);
  }

  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const job of [...this.#jobs.values()]) {
      if (job.ticket !== undefined && this.#waiting.remove(job.ticket)) this.#forget(job);
    }
    if (this.#jobs.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = this.#port.clock.after(graceMs, () => {
      for (const job of this.#jobs.values()) job.controller.abort(new Error("the node stops"));
    });
    await idle;
    timer.cancel();
  }

  #next(): void {
    while (this.#running < atOnceMax && !this.#draining) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      job.ticket = undefined;
      this.#running++;
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    const { signal } = job.controller;
    const { address, spec } = job.work;
    const report = await this.#attempt(job.work, signal).catch((error: unknown) => failure(error));
    // Given up because the delivery no longer wants it, or the node stops: then it is lost, not failed.
    if (!signal.aborted) {
      const command = { type: "delivery.report", attempt: Number(spec.attempt), ...report };
      await deliver(this.#port, address, command, signal);
    }
    this.#running--;
    this.#forget(job);
    this.#next();
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

  #forget(job: Job): void {
    if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
    if (this.#jobs.size === 0) this.#onIdle?.();
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

function jobKey(address: Address, id: string): string {
  return `${formatAddress(address)}#${id}`;
}
