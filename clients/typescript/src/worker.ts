/**
 * A worker: registers an agent, takes its tasks, runs them, beats, and goes on through outages of the
 * server. Owns the loops; what is told of a task is the task's (task.ts).
 *
 * Taking is a long poll; the server grants no more than `concurrency` tasks at once. The process is
 * named by an `instance`, so that registering again after an outage keeps the tasks that it has.
 */
import { Api, ApiError, type Credentials, pause } from "./api.ts";
import { Task, TaskFailure, type TaskShape } from "./task.ts";

export interface WorkerOptions<I = unknown, O = unknown> {
  /** Such as `http://127.0.0.1:8000`. */
  readonly url: string;
  readonly credentials?: Credentials;
  /** Default: the agent's own id when it comes with its own credentials, else one that the server makes. Choose one to be the same agent after a restart. */
  readonly agentId?: string;
  /** Which tasks it does: those of this type. */
  readonly agentType: string;
  readonly name?: string;
  readonly version?: string;
  readonly capabilities?: readonly string[];
  /** Tasks at once. Default 1. */
  readonly concurrency?: number;
  /** Amounts per unit that its tasks may hold together: `{ cpu: 2, memory: "1Gi" }`. */
  readonly resources?: Readonly<Record<string, string | number>>;
  readonly metadata?: Readonly<Record<string, unknown>>;
  /** What the server expects; the worker beats three times as often. Silent for three of these, its tasks go to others. Default 30 000. */
  readonly heartbeatMs?: number;
  /** How long running tasks may go on when it stops. Default 10 000. */
  readonly drainMs?: number;
  /** What the heartbeat tells of the process. */
  metrics?(): Record<string, unknown>;
  /** Does the task; what it returns is the output. Watch `task.signal`. */
  run(task: Task<I>): Promise<O> | O;
  /** What went wrong on the way (the worker goes on), for logs. */
  onProblem?(error: unknown, doing: string): void;
}

interface Registered {
  readonly agent: { readonly agent_id: string };
  readonly client_id: string;
  readonly client_secret: string | null;
}

const waitS = 25;
/** Beyond the poll itself. */
const pollMarginMs = 10_000;
const heartbeatMsDefault = 30_000;
const drainMsDefault = 10_000;
const problemPauseMs = 1_000;

export class Worker<I = unknown, O = unknown> {
  readonly #options: WorkerOptions<I, O>;
  readonly #api: Api;
  readonly #instance = crypto.randomUUID();
  /** Comes with the agent's own id and secret, which would be worth nothing any more when it deregistered. */
  readonly #isItself: boolean;
  #registrations = 0;
  readonly #running = new Map<string, { readonly task: Task<I>; readonly done: Promise<void> }>();
  /** Ends polling. */
  readonly #polling = new AbortController();
  /** Ends everything. */
  readonly #life = new AbortController();
  #agentId: string | undefined;
  #secret: string | null = null;
  #loops: Promise<unknown> | undefined;
  #freed: (() => void) | undefined;

  constructor(options: WorkerOptions<I, O>) {
    this.#options = options;
    this.#api = new Api(options.url, options.credentials);
    const { credentials } = options;
    this.#isItself = credentials !== undefined && "clientId" in credentials;
    if (credentials !== undefined && "clientId" in credentials) this.#agentId = credentials.clientId;
  }

  /** Known once it has registered. */
  get agentId(): string {
    if (this.#agentId === undefined) throw new Error("The worker has not registered yet.");
    return this.#agentId;
  }

  /** The agent's own secret, given once, at its first registration by an operator's key; null otherwise. */
  get clientSecret(): string | null {
    return this.#secret;
  }

  /** Tasks in hand. */
  get running(): number {
    return this.#running.size;
  }

  /** Resolves when it is registered and takes tasks. Throws ApiError when it is refused; waits for a server that is away. */
  async start(): Promise<void> {
    if (this.#loops !== undefined) throw new Error("The worker has been started already.");
    await this.#register();
    this.#loops = Promise.all([this.#take(), this.#beat()]);
  }

  /**
   * Takes no more, gives running tasks their time, and deregisters: what is left goes to others. With the agent's
   * own credentials it only gives back what it has, so that it may come again.
   */
  async stop(): Promise<void> {
    this.#polling.abort();
    const { drainMs = drainMsDefault } = this.#options;
    const all = Promise.all([...this.#running.values()].map(({ done }) => done));
    await Promise.race([all, pause(drainMs, this.#life.signal).catch(() => undefined)]);
    for (const { task } of this.#running.values()) task.withdraw("the worker stops");
    this.#life.abort();
    await this.#loops;
    if (this.#agentId === undefined) return;
    if (this.#isItself) return this.#giveBack();
    const path = this.#path("");
    await this.#api.call("DELETE", path, { timeoutMs: 5_000 }).catch((error) => this.#problem(error, "deregister"));
  }

  async #giveBack(): Promise<void> {
    const tasks = [...this.#running.values()].map(({ task }) => task);
    await Promise.all(tasks.map((task) => task.giveBack().catch((error) => this.#problem(error, "give back"))));
  }

  async #register(): Promise<void> {
    const { agentId, agentType, name, version, capabilities, concurrency, resources, metadata, heartbeatMs } =
      this.#options;
    const id = this.#agentId ?? agentId;
    const body = {
      ...(id !== undefined && { agent_id: id }),
      agent_type: agentType,
      ...(name !== undefined && { name }),
      ...(version !== undefined && { version }),
      capabilities: capabilities ?? [],
      max_concurrent_tasks: concurrency ?? 1,
      heartbeat_ms: heartbeatMs ?? heartbeatMsDefault,
      instance: this.#instance,
      ...(resources !== undefined && { resources }),
      ...(metadata !== undefined && { metadata }),
    };
    // Without an id of one's own, the key keeps a repeated try from making a second agent.
    const idempotencyKey = `${this.#instance}-${++this.#registrations}`;
    const options = { body, signal: this.#life.signal, idempotencyKey };
    const registered = await this.#api.persist<Registered>("POST", "/v1/agents", options);
    this.#agentId = registered.agent.agent_id;
    this.#secret = registered.client_secret ?? this.#secret;
  }

  async #take(): Promise<void> {
    const { concurrency = 1 } = this.#options;
    const { signal } = this.#polling;
    while (!signal.aborted) {
      try {
        if (this.#running.size >= concurrency) {
          await this.#room(signal);
          continue;
        }
        const path = this.#path(`/tasks/next?wait=${waitS}`);
        const timeoutMs = waitS * 1000 + pollMarginMs;
        const { task } = await this.#api.call<{ task: TaskShape | null }>("GET", path, { signal, timeoutMs });
        if (task !== null) this.#accept(task);
      } catch (error) {
        if (!signal.aborted) await this.#recover(error, "take a task");
      }
    }
  }

  /** Resolves when a task has ended. */
  #room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        signal.removeEventListener("abort", done);
        this.#freed = undefined;
        resolve();
      };
      this.#freed = done;
      signal.addEventListener("abort", done, { once: true });
    });
  }

  #accept(shape: TaskShape): void {
    const known = this.#running.get(shape.task_id);
    if (known !== undefined) {
      // Handed out again: the same attempt goes on; a newer one means that the old one is over.
      if (known.task.attempt === shape.attempt) return;
      known.task.withdraw("another attempt began");
    }
    const task = new Task<I>(this.#api, this.agentId, shape, this.#life.signal);
    const done = this.#perform(task).finally(() => {
      if (this.#running.get(task.id)?.task === task) this.#running.delete(task.id);
      this.#freed?.();
    });
    this.#running.set(task.id, { task, done });
  }

  async #perform(task: Task<I>): Promise<void> {
    try {
      if (!(await task.begin()).wanted) return;
      let outcome: { readonly output: O } | { readonly error: unknown };
      try {
        outcome = { output: await this.#options.run(task) };
      } catch (error) {
        outcome = { error };
      }
      if (task.signal.aborted) return;
      const { wanted } = "output" in outcome ? await task.complete(outcome.output) : await task.fail(outcome.error);
      if (!wanted) this.#problem(new Error("the attempt was not this worker's any more"), `report ${task.id}`);
    } catch (error) {
      if (this.#life.signal.aborted) return;
      this.#problem(error, `report ${task.id}`);
      // Refused for what it is (too large, not JSON…): say so instead, rather than leave it to time out.
      const failure = new TaskFailure("report_refused", error instanceof Error ? error.message : String(error));
      await task.fail(failure).catch((again) => this.#problem(again, `report ${task.id}`));
    }
  }

  async #beat(): Promise<void> {
    const { heartbeatMs = heartbeatMsDefault, metrics } = this.#options;
    const { signal } = this.#life;
    while (!signal.aborted) {
      await pause(heartbeatMs / 3, signal).catch(() => undefined);
      if (signal.aborted) return;
      const tasks = [...this.#running.keys()];
      const body = { current_tasks: tasks.length, tasks, ...(metrics !== undefined && { metrics: metrics() }) };
      try {
        const path = this.#path("/heartbeat");
        const timeoutMs = Math.max(1_000, heartbeatMs);
        const { cancelled } = await this.#api.call<{ cancelled: string[] }>("POST", path, { body, signal, timeoutMs });
        for (const id of cancelled) await this.#check(id);
      } catch (error) {
        if (!signal.aborted) await this.#recover(error, "beat");
      }
    }
  }

  /** An older attempt may be meant: the task itself says. */
  async #check(id: string): Promise<void> {
    const task = this.#running.get(id)?.task;
    if (task === undefined) return;
    try {
      if (!(await task.current())) task.withdraw("the task is not wanted any more");
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) task.withdraw("the task is gone");
      else this.#problem(error, `look after ${id}`);
    }
  }

  /** The server is away: wait. It does not know the agent any more: register again. */
  async #recover(error: unknown, doing: string): Promise<void> {
    this.#problem(error, doing);
    try {
      const forgotten = error instanceof ApiError && (error.status === 404 || error.code === "agent_unavailable");
      if (forgotten) await this.#register();
      await pause(problemPauseMs * (0.5 + Math.random() / 2), this.#life.signal);
    } catch (again) {
      if (!this.#life.signal.aborted) this.#problem(again, "register again");
    }
  }

  #path(rest: string): string {
    return `/v1/agents/${encodeURIComponent(this.agentId)}${rest}`;
  }

  #problem(error: unknown, doing: string): void {
    this.#options.onProblem?.(error, doing);
  }
}
