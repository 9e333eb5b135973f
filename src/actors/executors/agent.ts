/**
 * Executor of kind `agent`: the TypeScript agents hosted by this node. Owns which definition
 * takes a task, the slots (attempts at once per definition) and who waits for one; the course of
 * one attempt is attempt.ts's, its reports are reporter.ts's.
 *
 * A function that ignores its signal keeps its slot until it returns: a slot stands for work
 * that goes on, whatever the task thinks of it.
 */
import { type Address, formatAddress } from "../../machines/address.ts";
import type { AgentDefinition } from "../agent.ts";
import type { RuntimeStatus } from "../client.ts";
import type { Executor, Work } from "../work.ts";
import { failedOutcome, runAttempt, type TaskFacts } from "./attempt.ts";
import type { ExecutorPort } from "./port.ts";
import { type Ticket, WaitingQueue } from "./queue.ts";
import { Reporter } from "./reporter.ts";

const priorityDefault = 5;
/** A task's type when capabilities alone decide. */
const anyType = "any";

type Definition = AgentDefinition<unknown, unknown>;

interface Host {
  readonly definition: Definition;
  readonly concurrency: number;
  readonly waiting: WaitingQueue<Job>;
  running: number;
}

interface Job {
  readonly key: string;
  readonly work: Work;
  readonly taskType: string;
  readonly capabilities: readonly string[];
  readonly priority: number;
  readonly controller: AbortController;
  host: Host | undefined;
  ticket: Ticket<Job> | undefined;
  reporter: Reporter | undefined;
  /** True once the function has returned: its slot is free, and its signal is left alone. */
  returned: boolean;
}

/** Why a signal was aborted; `message` says it. */
export class WorkAborted extends Error {
  override readonly name = "AbortError";
}

export class AgentExecutor implements Executor {
  readonly kind = "agent";
  readonly #port: ExecutorPort;
  readonly #hosts = new Map<string, Host>();
  readonly #jobs = new Map<string, Job>();
  /** Work that no hosted agent can do, in order of arrival. */
  readonly #unhosted = new Set<Job>();
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(port: ExecutorPort) {
    this.#port = port;
  }

  /** Adds an agent; work that waited for it starts. Throws when its type is hosted already. */
  host<I, O>(definition: AgentDefinition<I, O>): void {
    const { type } = definition;
    if (this.#hosts.has(type)) throw new Error(`an agent of type "${type}" is hosted already`);
    const concurrency = Math.max(1, Math.floor(definition.concurrency ?? 1));
    const host: Host = { definition: definition as Definition, concurrency, waiting: new WaitingQueue(), running: 0 };
    this.#hosts.set(type, host);
    for (const job of [...this.#unhosted]) {
      if (!canDo(host, job)) continue;
      this.#unhosted.delete(job);
      this.#admit(host, job);
    }
  }

  /** The hosted definitions. */
  definitions(): readonly Definition[] {
    return [...this.#hosts.values()].map((host) => host.definition);
  }

  start(work: Work): void {
    const job = jobOf(work);
    if (this.#jobs.has(job.key)) return;
    this.#jobs.set(job.key, job);
    const host = this.#choose(job);
    if (host === undefined) this.#unhosted.add(job);
    else this.#admit(host, job);
  }

  holds(address: Address, id: string): "running" | "waiting" | undefined {
    const job = this.#jobs.get(jobKey(address, id));
    if (job === undefined) return undefined;
    return job.reporter === undefined ? "waiting" : "running";
  }

  abort(address: Address, id: string, reason: string): void {
    const job = this.#jobs.get(jobKey(address, id));
    if (job !== undefined) this.#stop(job, reason);
  }

  /** Starts nothing more, waits for what runs and its reports, then aborts the rest. */
  async drain(graceMs: number): Promise<void> {
    this.#draining = true;
    for (const job of [...this.#jobs.values()]) if (job.reporter === undefined) this.#forget(job);
    if (this.#jobs.size === 0) return;
    const idle = new Promise<void>((resolve) => {
      this.#onIdle = resolve;
    });
    const timer = this.#port.clock.after(graceMs, () => {
      for (const job of [...this.#jobs.values()]) this.#stop(job, "the node stops");
    });
    await idle;
    timer.cancel();
  }

  /** For the status: hosted agents, and types that work waits for though nobody hosts them (concurrency 0). */
  stats(): RuntimeStatus["hosted"] {
    const hosted = [...this.#hosts.values()].map((host) => ({
      type: host.definition.type,
      running: host.running,
      waiting: host.waiting.size,
      concurrency: host.concurrency,
    }));
    const missing = new Map<string, number>();
    for (const job of this.#unhosted) {
      const name = job.taskType === anyType ? job.capabilities.join("+") : job.taskType;
      missing.set(name, (missing.get(name) ?? 0) + 1);
    }
    return [...hosted, ...[...missing].map(([type, waiting]) => ({ type, running: 0, waiting, concurrency: 0 }))];
  }

  /** By type; without a type the least busy of those that offer all capabilities. */
  #choose(job: Job): Host | undefined {
    if (job.taskType !== anyType) {
      const host = this.#hosts.get(job.taskType);
      return host !== undefined && canDo(host, job) ? host : undefined;
    }
    let best: Host | undefined;
    for (const host of this.#hosts.values()) {
      if (canDo(host, job) && (best === undefined || load(host) < load(best))) best = host;
    }
    return best;
  }

  #admit(host: Host, job: Job): void {
    job.host = host;
    // Behind those that wait for the next turn already.
    const free = host.running < host.concurrency && host.waiting.size === 0;
    if (free && !this.#draining) this.#run(host, job);
    else job.ticket = host.waiting.push(job, job.priority);
  }

  #run(host: Host, job: Job): void {
    host.running++;
    const { address } = job.work;
    const facts = factsOf(job, host.definition.type);
    const reporter = new Reporter(this.#port, address, facts.attempt, () =>
      this.#stop(job, "the attempt is out of date"),
    );
    job.reporter = reporter;
    reporter.start(`${host.definition.type}-${this.#port.node}`);
    void this.#follow(host, job, reporter, facts);
  }

  async #follow(host: Host, job: Job, reporter: Reporter, facts: TaskFacts): Promise<void> {
    const onReturn = () => this.#release(host, job);
    const outcome = await runAttempt(this.#port, host.definition, facts, reporter, job.controller.signal, onReturn);
    if (outcome !== null) {
      const delivery = await reporter.report(outcome);
      if (delivery.kind === "refused") {
        const error = { code: "report_refused", message: delivery.error.message, retryable: false };
        await reporter.report(failedOutcome(error, { promptTokens: 0, completionTokens: 0, usd: 0 }));
      }
    }
    this.#forget(job);
  }

  /** The function has returned: its slot goes to the next. */
  #release(host: Host, job: Job): void {
    if (job.returned) return;
    job.returned = true;
    host.running--;
    // Not in this turn: a chain of quick functions must not keep the process from its sockets.
    if (host.waiting.size > 0) this.#port.clock.after(0, () => this.#next(host));
  }

  #next(host: Host): void {
    while (host.running < host.concurrency && !this.#draining) {
      const job = host.waiting.shift();
      if (job === undefined) return;
      job.ticket = undefined;
      this.#run(host, job);
    }
  }

  /** Ends a job's reports and, while its function runs, its signal. */
  #stop(job: Job, reason: string): void {
    if (job.reporter === undefined) {
      this.#forget(job);
      return;
    }
    job.reporter.close();
    if (!job.returned) job.controller.abort(new WorkAborted(reason));
    // Its function may never return; the job is nobody's from now on, only its slot stays taken.
    this.#forget(job);
  }

  #forget(job: Job): void {
    if (this.#jobs.get(job.key) === job) this.#jobs.delete(job.key);
    this.#unhosted.delete(job);
    if (job.ticket !== undefined) job.host?.waiting.remove(job.ticket);
    job.ticket = undefined;
    if (this.#jobs.size === 0) this.#onIdle?.();
  }
}

function jobKey(address: Address, id: string): string {
  return `${formatAddress(address)}#${id}`;
}

function jobOf(work: Work): Job {
  const { taskType, capabilities, priority } = work.context;
  return {
    key: jobKey(work.address, work.id),
    work,
    taskType: typeof taskType === "string" ? taskType : anyType,
    capabilities: Array.isArray(capabilities) ? (capabilities as readonly string[]) : [],
    priority: typeof priority === "number" ? priority : priorityDefault,
    controller: new AbortController(),
    host: undefined,
    ticket: undefined,
    reporter: undefined,
    returned: false,
  };
}

function factsOf(job: Job, agentType: string): TaskFacts {
  const { address, spec, context } = job.work;
  const { runId, input, outputBytesMax } = context;
  return {
    address,
    agentType,
    attempt: Number(spec.attempt ?? context.attempt ?? 1),
    runId: typeof runId === "string" ? runId : undefined,
    input: input ?? null,
    outputBytesMax: typeof outputBytesMax === "number" ? outputBytesMax : undefined,
  };
}

function canDo(host: Host, job: Job): boolean {
  const { type, capabilities = [] } = host.definition;
  if (job.taskType !== anyType && job.taskType !== type) return false;
  if (job.taskType === anyType && job.capabilities.length === 0) return false;
  return job.capabilities.every((capability) => capabilities.includes(capability));
}

function load(host: Host): number {
  return (host.running + host.waiting.size) / host.concurrency;
}
