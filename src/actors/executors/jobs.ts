/**
 * Jobs of an executor that does a bounded number at once: who waits, who runs, who is given up. Owns their turn;
 * what a job does and reports is its executor's.
 */
import type { Clock } from "../../bus/clock.ts";
import { type Address, formatAddress } from "../../machines/address.ts";
import type { Work } from "../work.ts";
import { type Ticket, WaitingQueue } from "./queue.ts";

interface Job {
  readonly key: string;
  readonly work: Work;
  readonly controller: AbortController;
  ticket: Ticket<Job> | undefined;
}

/** All wait alike: in order of arrival. */
const priority = 5;

export interface JobsOptions {
  readonly clock: Clock;
  readonly atOnceMax: number;
  /** Does the work and reports it; must not throw. Aborted: nothing more is wanted. */
  perform(work: Work, signal: AbortSignal): Promise<void>;
}

export class Jobs {
  readonly #options: JobsOptions;
  readonly #jobs = new Map<string, Job>();
  readonly #waiting = new WaitingQueue<Job>();
  #running = 0;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(options: JobsOptions) {
    this.#options = options;
  }

  start(work: Work): void {
    const key = jobKey(work.address, work.id);
    if (this.#jobs.has(key)) return;
    const job: Job = { key, work, controller: new AbortController(), ticket: undefined };
    this.#jobs.set(key, job);
    job.ticket = this.#waiting.push(job, priority);
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

  /** Starts nothing more; what runs has `graceMs` to end, then it is aborted. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const job of [...this.#jobs.values()]) {
      if (job.ticket !== undefined && this.#waiting.remove(job.ticket)) this.#forget(job);
    }
    if (this.#jobs.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = this.#options.clock.after(graceMs, () => {
      for (const job of this.#jobs.values()) job.controller.abort(new Error("the node stops"));
    });
    await idle;
    timer.cancel();
  }

  #next(): void {
    while (this.#running < this.#options.atOnceMax && !this.#draining) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      job.ticket = undefined;
      this.#running++;
      void this.#run(job);
    }
  }

  async #run(job: Job): Promise<void> {
    await this.#options.perform(job.work, job.controller.signal);
    this.#running--;
    this.#forget(job);
    // Not in this turn: a chain of quick jobs must not keep the process from its sockets.
    if (this.#waiting.size > 0) this.#options.clock.after(0, () => this.#next());
  }

  #forget(job: Job): void {
    if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
    if (this.#jobs.size === 0) this.#onIdle?.();
  }
}

function jobKey(address: Address, id: string): string {
  return `${formatAddress(address)}#${id}`;
}
