/**
 * Agents that a `/v1/ws` client serves, by id: their tasks are pushed to it as they are granted. Owns whom it serves;
 * when there is a task, serve.ts knows.
 */
import { TroupeError } from "../../machines/errors.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { serveAgent } from "../agents/serve.ts";
import { requireScope } from "../auth/credential.ts";
import type { OperationContext } from "../operation.ts";
import { shownTask } from "../operations/tasks.ts";

export interface ServingsOptions {
  context(): OperationContext;
  tell(message: object): void;
  fail(id: string, error: unknown): void;
}

export class Servings {
  private readonly options: ServingsOptions;
  private readonly byId = new Map<string, AbortController>();

  constructor(options: ServingsOptions) {
    this.options = options;
  }

  has(id: string): boolean {
    return this.byId.has(id);
  }

  /** Throws `forbidden`, `already_exists`, `overloaded`; later failures are told by id. */
  begin(id: string, agentId: string): void {
    const ctx = this.options.context();
    requireScope(ctx.credential, "agents:act");
    if (this.byId.has(id)) throw new TroupeError("already_exists", `This connection serves '${id}' already`);
    if (this.byId.size >= ctx.limits.wsSubscriptionsMax) {
      throw new TroupeError("overloaded", `This connection serves ${ctx.limits.wsSubscriptionsMax} agents already`);
    }
    const ended = new AbortController();
    this.byId.set(id, ended);
    requireOwnAgent(ctx, agentId)
      .then(() => {
        if (ended.signal.aborted) return;
        this.options.tell({ type: "serving", id, agent_id: agentId });
        this.serve(ctx, id, agentId, ended.signal);
      })
      .catch((error: unknown) => {
        if (this.byId.get(id) === ended) this.byId.delete(id);
        if (!ended.signal.aborted) this.options.fail(id, error);
      });
  }

  end(id: string): void {
    this.byId.get(id)?.abort();
    this.byId.delete(id);
  }

  stop(): void {
    for (const id of [...this.byId.keys()]) this.end(id);
  }

  private serve(ctx: OperationContext, id: string, agentId: string, signal: AbortSignal): void {
    const { tell, fail } = this.options;
    const about = { id, agent_id: agentId };
    serveAgent({
      services: ctx,
      agentId,
      signal,
      onTask: ({ taskId, view }) => {
        shownTask(ctx, taskId, view).then(
          (task) => !signal.aborted && tell({ type: "task", ...about, task }),
          (error: unknown) => fail(id, error),
        );
      },
      onWithdrawn: (task_id) => tell({ type: "withdrawn", ...about, task_id }),
      onError: (error) => fail(id, error),
    });
  }
}
