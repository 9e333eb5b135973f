/**
 * A task in a worker's hands: what is asked, whether it is still wanted, and how to tell of it. Each
 * attempt is reported once; a report that got no answer is sent again until there is one.
 */
import { type Api, ApiError } from "./api.ts";

/** A task as the server shows it; the fields that workers need most. */
export interface TaskShape {
  readonly task_id: string;
  readonly task_type: string;
  readonly status: string;
  readonly attempt: number;
  readonly agent: string | null;
  readonly input: unknown;
  readonly title: string | null;
  readonly description: string | null;
  readonly priority: number;
  readonly deadline: string | null;
  readonly timeout_ms: number | null;
  readonly metadata: Record<string, unknown>;
  readonly [field: string]: unknown;
}

/** Throw it to fail the task with a code of your own; `retryable: false` leaves the retry policy out. */
export class TaskFailure extends Error {
  override readonly name = "TaskFailure";
  readonly code: string;
  readonly retryable: boolean;
  readonly details: unknown;

  constructor(code: string, message: string, options: { retryable?: boolean; details?: unknown } = {}) {
    super(message);
    this.code = code;
    this.retryable = options.retryable ?? true;
    this.details = options.details;
  }
}

/** Throw it to give the task back: another agent gets it, and the attempt does not count. */
export class TaskRejected extends Error {
  override readonly name = "TaskRejected";
}

/** What to tell besides how far it is. */
export interface Told {
  readonly message?: string;
  readonly details?: Record<string, unknown>;
  /** What there is so far. */
  readonly output?: unknown;
  readonly estimatedCompletion?: Date;
}

/** `wanted: false`: the attempt is not this worker's any more. */
export type Reported = { readonly wanted: boolean };

export class Task<I = unknown> {
  readonly id: string;
  readonly type: string;
  /** 1, 2, 3…: different for each start. */
  readonly attempt: number;
  /** The same for every attempt: hand it to the systems that you call. */
  readonly idempotencyKey: string;
  readonly input: I;
  readonly shape: TaskShape;
  /** Aborted when the task is cancelled, timed out, or given to another. */
  readonly signal: AbortSignal;
  readonly #api: Api;
  readonly #agentId: string;
  readonly #life: AbortSignal;
  readonly #abort: AbortController;

  /** `life`: aborted when nothing is to be tried any more. */
  constructor(api: Api, agentId: string, shape: TaskShape, life: AbortSignal) {
    const abort = new AbortController();
    this.id = shape.task_id;
    this.type = shape.task_type;
    this.attempt = shape.attempt;
    this.idempotencyKey = shape.task_id;
    this.input = shape.input as I;
    this.shape = shape;
    this.signal = abort.signal;
    this.#abort = abort;
    this.#api = api;
    this.#agentId = agentId;
    this.#life = life;
  }

  /** Tells how far it is (0–1). One try: the next one says more. Aborts the signal when the task is not wanted any more. */
  async progress(fraction: number, told: Told = {}): Promise<void> {
    this.signal.throwIfAborted();
    const { message, details, output, estimatedCompletion } = told;
    const body = {
      progress: fraction,
      ...(message !== undefined && { message }),
      ...(details !== undefined && { details }),
      ...(output !== undefined && { output }),
      ...(estimatedCompletion !== undefined && { estimated_completion: estimatedCompletion.toISOString() }),
    };
    try {
      await this.#update("running", body, "call");
    } catch (error) {
      this.signal.throwIfAborted();
      if (error instanceof ApiError && isLost(error)) this.withdraw(error.message);
      else if (error instanceof ApiError && !error.passing) throw error;
    }
    this.signal.throwIfAborted();
  }

  /** It is not wanted any more. */
  withdraw(reason: string): void {
    if (!this.signal.aborted) this.#abort.abort(new TaskWithdrawn(reason));
  }

  /** One try, also when nothing else is tried any more: others may have it, and the attempt is not charged. */
  async giveBack(): Promise<void> {
    const body = { status: "rejected", attempt: this.attempt, agent_id: this.#agentId, reason: "the worker stops" };
    await this.#api.call("PATCH", `/v1/tasks/${encodeURIComponent(this.id)}`, { body, timeoutMs: giveBackMs });
  }

  begin(): Promise<Reported> {
    return this.#settle("running", {});
  }

  complete(output: unknown): Promise<Reported> {
    return this.#settle("completed", output === undefined ? {} : { output });
  }

  fail(error: unknown): Promise<Reported> {
    if (error instanceof TaskRejected) return this.#settle("rejected", { reason: error.message.slice(0, 1024) });
    const message = (error instanceof Error ? error.message : String(error)).slice(0, 16_384);
    if (!(error instanceof TaskFailure)) return this.#settle("failed", { error: { code: "agent_failed", message } });
    const { code, retryable, details } = error;
    return this.#settle("failed", { error: { code, message, retryable, ...(details !== undefined && { details }) } });
  }

  /** Whether this attempt is still this worker's, as the server sees it. */
  async current(): Promise<boolean> {
    const path = `/v1/tasks/${encodeURIComponent(this.id)}`;
    const now = await this.#api.call<TaskShape>("GET", path);
    return this.#isOurs(now) && ["assigned", "running"].includes(now.status);
  }

  async #settle(status: string, body: object): Promise<Reported> {
    try {
      await this.#update(status, body, "persist");
      return { wanted: true };
    } catch (error) {
      if (!(error instanceof ApiError) || !isLost(error)) throw error;
      return { wanted: await this.#wasHeard(status) };
    }
  }

  /** Refused, perhaps because the first try was heard and only its answer was lost. */
  async #wasHeard(status: string): Promise<boolean> {
    try {
      const path = `/v1/tasks/${encodeURIComponent(this.id)}`;
      const now = await this.#api.persist<TaskShape>("GET", path, { signal: this.#life });
      return this.#isOurs(now) && now.status === status;
    } catch (error) {
      if (error instanceof ApiError) return false;
      throw error;
    }
  }

  #isOurs(now: TaskShape): boolean {
    return now.attempt === this.attempt && now.agent === this.#agentId;
  }

  #update(status: string, body: object, how: "call" | "persist"): Promise<unknown> {
    return this.#api[how]("PATCH", `/v1/tasks/${encodeURIComponent(this.id)}`, {
      body: { status, attempt: this.attempt, agent_id: this.#agentId, ...body },
      signal: this.#life,
    });
  }
}

const giveBackMs = 5_000;

/** The reason of an aborted signal. */
export class TaskWithdrawn extends Error {
  override readonly name = "TaskWithdrawn";
}

/** Refused because the attempt is over, given to another, or the task is gone. */
function isLost({ status }: ApiError): boolean {
  return [403, 404, 409, 412].includes(status);
}
