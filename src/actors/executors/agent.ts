/**
 * Executor of kind `agent`: gives a node's ready tasks to the agents that it hosts, and to agents elsewhere, whose
 * actors grant a slot or refuse. Owns the jobs and who gets which; who waits for whom is the pools', the course of
 * one attempt attempt.ts's, its reports reporter.ts's, an offer dispatch/offers.ts's.
 *
 * A function that ignores its signal keeps its slot until it returns: a slot stands for work
 * that goes on, whatever the task thinks of it.
 */
import { type Address, formatAddress } from "../../machines/address.ts";
import type { Amounts } from "../../machines/schema.ts";
import type { AgentDefinition } from "../agent.ts";
import type { RuntimeStatus } from "../client.ts";
import { Directory, type DirectoryOptions } from "../dispatch/directory.ts";
import { needName, needOf } from "../dispatch/need.ts";
import { offer } from "../dispatch/offers.ts";
import { foreignAmounts, type Place, Pools, type Waiter } from "../dispatch/pools.ts";
import { type Offer, Remote } from "../dispatch/remote.ts";
import { Resources } from "../dispatch/resources.ts";
import type { Executor, Work } from "../work.ts";
import { failedOutcome, runAttempt, type TaskFacts } from "./attempt.ts";
import { Host } from "./local.ts";
import type { ExecutorPort } from "./port.ts";
import { Reporter } from "./reporter.ts";

const priorityDefault = 5;

type Definition = AgentDefinition<unknown, unknown>;

interface Job extends Waiter {
  readonly key: string;
  readonly work: Work;
  readonly controller: AbortController;
  /** Where it waits. */
  place: Place<Job, Host | Remote> | undefined;
  /** When an agent elsewhere was found for it. */
  grantedAt: number | undefined;
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
  readonly #resources: Resources;
  readonly #pools: Pools<Job, Host | Remote>;
  readonly #hosts = new Map<string, Host>();
  readonly #jobs = new Map<string, Job>();
  #directory: Directory | undefined;
  #draining = false;
  #onIdle: (() => void) | undefined;

  constructor(port: ExecutorPort) {
    this.#port = port;
    this.#resources = new Resources(port);
    this.#pools = new Pools((amounts) => this.#resources.fits(amounts));
  }

  /** From now on agents elsewhere get work too, and resources are found. */
  reach(runtime: DirectoryOptions["runtime"], isLive: (boot: string) => boolean = () => true): void {
    const { clock, logger } = this.#port;
    this.#resources.start(runtime, () => this.#fillHolding());
    this.#directory = new Directory({
      runtime,
      clock,
      logger,
      isLive,
      lost: (id, instance) => this.#lost(id, instance),
      heard: (id, offer) => this.#heard(id, offer),
      seen: (ids) => this.#seen(ids),
      alongside: async () => {
        await this.#resources.refresh(runtime);
        this.#fillHolding();
      },
    });
    this.#directory.start();
  }

  /** The id of the agent that is hosted here as this type. */
  idOf(type: string): string {
    return `${type}-${this.#port.name ?? this.#port.node}`;
  }

  /** Adds an agent; work that waited for it starts. Throws when its type is hosted already. */
  host<I, O>(definition: AgentDefinition<I, O>): void {
    const { type } = definition;
    if (this.#hosts.has(type)) throw new Error(`an agent of type "${type}" is hosted already`);
    const host = new Host(this.idOf(type), definition as Definition);
    this.#hosts.set(type, host);
    this.#pools.add(host);
    this.#fill(host);
  }

  /** The hosted definitions. */
  definitions(): readonly Definition[] {
    return [...this.#hosts.values()].map((host) => host.definition);
  }

  start(work: Work): void {
    const job = jobOf(work);
    if (this.#jobs.has(job.key)) return;
    this.#jobs.set(job.key, job);
    const worker = this.#draining ? undefined : this.#pools.freeFor(job);
    if (worker !== undefined) this.#give(worker, job, 0);
    else this.#wait(job);
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
    this.#directory?.stop();
    this.#resources.stop();
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

  /** For the status: hosted agents, and what work waits for though nobody known can do it (concurrency 0). */
  stats(): RuntimeStatus["hosted"] {
    const waiting = new Map<string, number>();
    const missing = new Map<string, number>();
    for (const { need, queue, workers } of this.#pools.pools()) {
      if (queue.size === 0) continue;
      const host = [...workers].find((worker) => worker instanceof Host);
      if (host !== undefined) add(waiting, host.type, queue.size);
      else if (workers.size === 0) add(missing, needName(need), queue.size);
    }
    const hosted = [...this.#hosts.values()].map(({ type, running, concurrency }) => ({
      type,
      running,
      waiting: waiting.get(type) ?? 0,
      concurrency,
    }));
    return [...hosted, ...[...missing].map(([type, n]) => ({ type, running: 0, waiting: n, concurrency: 0 }))];
  }

  #wait(job: Job): void {
    job.place = this.#pools.push(job);
    if (job.place.pool.workers.size === 0) this.#directory?.look();
    const { amounts } = job.need;
    if (amounts === undefined) return;
    this.#resources.contend(job.work.address, job.priority, amounts);
    this.#directory?.look();
  }

  /** `order`: its age, should it have to wait again. */
  #give(worker: Host | Remote, job: Job, order: number): void {
    const amounts = job.need.amounts === undefined ? undefined : foreignAmounts(worker, job.need.amounts);
    if (amounts !== undefined) void this.#reserve(worker, job, order, amounts);
    else if (worker instanceof Host) this.#run(worker, job);
    else void this.#offer(worker, job, order);
  }

  /** Resources first, then the slot: whatever fails, what was got goes back. */
  async #reserve(worker: Host | Remote, job: Job, order: number, amounts: Amounts): Promise<void> {
    const { address } = job.work;
    keep(worker, 1);
    const held = await this.#resources.reserve(address, attemptOf(job.work), amounts);
    keep(worker, -1);
    // Gone meanwhile: its task gives back what it was told of, and what it will be told of.
    if (!this.#isOpen(job)) return;
    if (held === undefined) this.#again(job, order);
    else if (worker instanceof Host) this.#run(worker, job);
    else if (!(await this.#offer(worker, job, order))) {
      await this.#resources.release(address, attemptOf(job.work), held);
    }
  }

  #isOpen(job: Job): boolean {
    return this.#jobs.get(job.key) === job && job.reporter === undefined && !this.#draining;
  }

  /** It could not be given after all: back to its place, and to whoever else is free. */
  #again(job: Job, order: number): void {
    if (!this.#isOpen(job)) return;
    job.place = this.#pools.unshift(job, order);
    const { amounts } = job.need;
    if (amounts !== undefined) this.#resources.contend(job.work.address, job.priority, amounts);
    for (const other of [...job.place.pool.workers]) this.#fill(other);
    this.#directory?.look();
  }

  /** Resources have become free: those who wait for some of them. */
  #fillHolding(): void {
    for (const pool of [...this.#pools.pools()]) {
      if (pool.need.amounts === undefined || pool.queue.size === 0) continue;
      for (const worker of [...pool.workers]) this.#fill(worker);
    }
  }

  /** As much of what waits as the worker can take. */
  #fill(worker: Host | Remote): void {
    while (worker.free > 0 && !this.#draining) {
      const next = this.#pools.next(worker);
      if (next === undefined) return;
      next.waiter.place = undefined;
      this.#give(worker, next.waiter, next.order);
    }
  }

  /** True when the agent's actor has granted a slot. */
  async #offer(worker: Remote, job: Job, order: number): Promise<boolean> {
    keep(worker, 1);
    const answer = await offer(this.#port, worker.id, job.work.address, attemptOf(job.work), job.need);
    keep(worker, -1);
    if (answer.kind === "granted") worker.free = Math.max(0, answer.free - worker.asked);
    else if (answer.kind === "full") worker.free = 0;
    else if (answer.kind === "away") this.#pools.remove(worker);
    // The task hears of a grant by mail, and settles the work here; until then it is kept as waiting.
    if (answer.kind === "granted") job.grantedAt = this.#port.clock.monotonic();
    else if (answer.kind === "unknown") this.#port.clock.after(offerPauseMs, () => this.#again(job, order));
    // Not in this turn: what it holds of resources goes back first.
    else this.#port.clock.after(0, () => this.#again(job, order));
    return answer.kind === "granted";
  }

  #heard(id: string, offer: Offer): void {
    if (this.#draining) return;
    const known = this.#pools.worker(id);
    if (known instanceof Host) return;
    if (known?.update(offer) === true) {
      this.#fill(known);
      return;
    }
    const remote = new Remote(id, offer);
    this.#pools.add(remote);
    this.#fill(remote);
  }

  #lost(id: string, instance: string): void {
    const worker = this.#pools.worker(id);
    if (worker instanceof Remote) this.#pools.remove(worker);
    this.#port.ask({ type: "agent", key: id }, { type: "agent.lose", instance }).catch((error: unknown) => {
      this.#port.logger.debug({ agent: id, err: error }, "the actor of an agent whose node is gone was not reached");
    });
  }

  /** Agents that are not in the list have gone; grants whose settling was never heard of are over. */
  #seen(ids: ReadonlySet<string>): void {
    for (const worker of [...this.#pools.workers()]) {
      if (worker instanceof Remote && !ids.has(worker.id) && worker.asked === 0) this.#pools.remove(worker);
    }
    for (const host of this.#hosts.values()) this.#fill(host);
    const before = this.#port.clock.monotonic() - grantKeptMs;
    for (const job of [...this.#jobs.values()]) if ((job.grantedAt ?? before) < before) this.#forget(job);
  }

  #run(host: Host, job: Job): void {
    host.running++;
    const { address } = job.work;
    const facts = factsOf(job, host.definition.type);
    const reporter = new Reporter(this.#port, address, facts.attempt, () =>
      this.#stop(job, "the attempt is out of date"),
    );
    job.reporter = reporter;
    reporter.start(host.id);
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
    if (this.#pools.waiting > 0) this.#port.clock.after(0, () => this.#fill(host));
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
    if (job.place !== undefined) this.#pools.leave(job.place);
    job.place = undefined;
    if (this.#jobs.size === 0) this.#onIdle?.();
  }
}

/** Before a task is offered again whose offer had no answer. */
const offerPauseMs = 500;
/** A granted job that was never settled here is forgotten after so long: its task answers for itself. */
const grantKeptMs = 60_000;

/** A slot kept while its actor, or resources, are asked. */
function keep(worker: Host | Remote, by: 1 | -1): void {
  if (worker instanceof Host) worker.kept += by;
  else worker.keep(by);
}

function add(counts: Map<string, number>, name: string, n: number): void {
  counts.set(name, (counts.get(name) ?? 0) + n);
}

function jobKey(address: Address, id: string): string {
  return `${formatAddress(address)}#${id}`;
}

function jobOf(work: Work): Job {
  const { priority } = work.context;
  return {
    key: jobKey(work.address, work.id),
    work,
    need: needOf(work.context),
    priority: typeof priority === "number" ? priority : priorityDefault,
    controller: new AbortController(),
    place: undefined,
    grantedAt: undefined,
    reporter: undefined,
    returned: false,
  };
}

function attemptOf({ spec, context }: Work): number {
  return Number(spec.attempt ?? context.attempt ?? 1);
}

function factsOf(job: Job, agentType: string): TaskFacts {
  const { address, context } = job.work;
  const { runId, input, outputBytesMax, saved } = context;
  return {
    address,
    agentType,
    attempt: attemptOf(job.work),
    runId: typeof runId === "string" ? runId : undefined,
    input: input ?? null,
    ...(saved === undefined ? {} : { saved }),
    outputBytesMax: typeof outputBytesMax === "number" ? outputBytesMax : undefined,
  };
}
