/**
 * Work that a hosted agent's actor granted to another node's task: found out by reading the task, then run like
 * work of this node. Owns which grants are here; running is the executor's.
 */
import type { Clock } from "../../bus/clock.ts";
import { address } from "../../machines/address.ts";
import type { Json, JsonObject } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import type { Runtime } from "../client.ts";
import type { Logger } from "../limits.ts";
import type { Executor, Work } from "../work.ts";

/** Between a grant and its letter's arrival at the task. */
const letterMs = 5_000;

export interface GrantsOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runtime: Pick<Runtime, "read">;
  readonly executor: Executor & { idOf(type: string): string };
}

export class Grants {
  readonly #options: GrantsOptions;
  /** By task. */
  readonly #known = new Map<string, { readonly agentType: string; readonly attempt: number }>();
  /** Of those, the ones whose task was read. */
  readonly #begun = new Set<string>();

  constructor(options: GrantsOptions) {
    this.#options = options;
  }

  /** Never throws; a grant that is known already is left. */
  granted(agentType: string, task: string, attempt: number): void {
    if (this.#known.get(task)?.attempt === attempt) return;
    this.#known.set(task, { agentType, attempt });
    void this.#begin(agentType, task, attempt).catch((error: unknown) => {
      this.#known.delete(task);
      this.#options.logger.warn({ task, attempt, err: error }, "a granted task could not be begun; tried again");
    });
  }

  /** Those that are not over. */
  tasks(agentType: string): readonly string[] {
    const tasks: string[] = [];
    for (const [task, grant] of this.#known) {
      if (grant.agentType !== agentType) continue;
      if (this.#held(task, grant.attempt)) tasks.push(task);
      else if (this.#begun.has(task)) this.#forget(task);
    }
    return tasks;
  }

  withdrawn(task: string): void {
    const grant = this.#known.get(task);
    if (grant === undefined) return;
    this.#forget(task);
    this.#options.executor.abort(address("task", task), workId(grant.attempt), "it was taken back");
  }

  #forget(task: string): void {
    this.#known.delete(task);
    this.#begun.delete(task);
  }

  #held(task: string, attempt: number): boolean {
    return this.#options.executor.holds(address("task", task), workId(attempt)) !== undefined;
  }

  async #begin(agentType: string, task: string, attempt: number): Promise<void> {
    const { executor } = this.#options;
    const context = await this.#assigned(task, attempt, executor.idOf(agentType));
    if (context === undefined) {
      this.#forget(task);
      return;
    }
    if (this.#known.get(task)?.attempt !== attempt) return;
    // Its slot and what it holds are granted: only this very agent is left to be asked for.
    const { resources: _, ...rest } = context;
    const work: Work = {
      address: address("task", task),
      id: workId(attempt),
      kind: "agent",
      spec: { attempt },
      context: { ...rest, assignedAgent: executor.idOf(agentType) },
    };
    this.#begun.add(task);
    executor.start(work);
  }

  /** The task's view once it knows of the grant; undefined when that attempt is over. */
  async #assigned(task: string, attempt: number, agent: string): Promise<JsonObject | undefined> {
    const { runtime, clock } = this.#options;
    const until = clock.monotonic() + letterMs;
    for (let waitMs = 5; ; waitMs = Math.min(200, waitMs * 2)) {
      const view = await runtime.read(address("task", task)).then(
        (answer) => answer.view as JsonObject,
        (error: unknown) => {
          if (error instanceof TroupeError && error.code === "not_found") return undefined;
          throw error;
        },
      );
      if (view === undefined || view.attempt !== attempt) return undefined;
      if (view.status === "assigned") return view.agent === agent ? view : undefined;
      if (!waits(view.status) || clock.monotonic() > until) return undefined;
      await clock.sleep(waitMs);
    }
  }
}

function waits(status: Json | undefined): boolean {
  return status === "ready";
}

function workId(attempt: number): string {
  return `attempt-${attempt}`;
}
