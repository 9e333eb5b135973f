/**
 * Operations on conflicts: report, list, read, resolve. A decision is made here from the tasks as they are (who has
 * the higher priority); that there is one decision, and what it does to the losers, is the conflict's own.
 */
import { z } from "zod";
import { address } from "../../machines/address.ts";
import { type ConflictContext, conflictPartiesMax, conflictType } from "../../machines/conflict/machine.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { requireOwnAgent } from "../agents/own.ts";
import { decodeCursor, encodeCursor } from "../cursors.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { pageOf } from "../dialects/002/schema.ts";
import { invalid } from "../errors.ts";
import { hashJson } from "../json.ts";
import { defineOperation, freeObject, type OperationContext, pageFields } from "../operation.ts";
import type { TaskView } from "./task-shape.ts";
import { madeId, named, requireId } from "./values.ts";

const time = z.string().meta({ format: "date-time" });
const id = z.string().min(1).max(200);

export const conflict = z
  .object({
    conflict_id: z.string(),
    status: z.enum(["open", "resolved"]),
    agent_id: z.string().nullable(),
    task_id: z.string().nullable(),
    conflict_type: z.string(),
    description: z.string(),
    severity: z.string(),
    metadata: freeObject,
    tasks: z.array(z.string()).describe("All tasks in it."),
    reported_by: z.string().describe("The credential; `runtime`: Troupe found it."),
    created_at: time,
    resolution: z
      .object({
        strategy: z.enum(["priority", "manual"]),
        winner: z.string().nullable(),
        losers: z.array(z.string()).describe("Tasks whose attempt was given back."),
        note: z.string().nullable(),
        resolved_by: z.string(),
        resolved_at: time,
      })
      .nullable(),
  })
  .meta({ id: "Conflict" });

type View = ConflictContext & { readonly status: "open" | "resolved" };

const tasksOf = (view: View): string[] => [
  ...new Set([...(view.taskId === null ? [] : [view.taskId]), ...view.parties.map(({ task }) => task)]),
];

export function toConflict(conflictId: string, view: View): z.input<typeof conflict> {
  const { resolution } = view;
  return {
    conflict_id: conflictId,
    status: view.status,
    agent_id: view.agentId,
    task_id: view.taskId,
    conflict_type: view.conflictType,
    description: view.description,
    severity: view.severity,
    metadata: view.metadata as Record<string, unknown>,
    tasks: tasksOf(view),
    reported_by: view.reportedBy,
    created_at: rfc3339(view.createdAt),
    resolution:
      resolution === null
        ? null
        : {
            strategy: resolution.strategy,
            winner: resolution.winner,
            losers: [...resolution.losers],
            note: resolution.note,
            resolved_by: resolution.by,
            resolved_at: rfc3339(resolution.at),
          },
  };
}

const reportInput = z.strictObject({
  agent_id: id.optional().describe("The agent that reports it or is concerned."),
  task_id: id.optional(),
  conflict_type: z.string().min(1).max(128),
  description: z.string().max(16_384).default(""),
  severity: z.string().min(1).max(64).default("medium"),
  metadata: freeObject.optional(),
  tasks: z.array(id).max(conflictPartiesMax).optional().describe("Other tasks in it."),
});

async function report(ctx: OperationContext, input: z.output<typeof reportInput>) {
  if (input.agent_id !== undefined && ctx.credential.agentId !== undefined) await requireOwnAgent(ctx, input.agent_id);
  const key = madeId(ctx, "conflict", "conflicts.report");
  const metadata = await ctx.runtime.values.offload(key, (input.metadata ?? {}) as Json);
  const command = {
    type: "conflict.report",
    conflictType: input.conflict_type,
    description: input.description,
    severity: input.severity,
    metadata,
    reportedBy: ctx.credential.name,
    parties: (input.tasks ?? []).map((task) => ({ task })),
    ...(input.agent_id !== undefined && { agentId: input.agent_id }),
    ...(input.task_id !== undefined && { taskId: input.task_id }),
    requestHash: hashJson(input as Json),
  };
  const answer = await ctx.runtime.ask(address(conflictType, key), command, { timeoutMs: ctx.limits.askTimeoutMs });
  return shown(ctx, key, answer.view);
}

async function shown(ctx: OperationContext, key: string, view: Json) {
  const v = view as unknown as View;
  return toConflict(key, { ...v, metadata: (await ctx.runtime.values.load(v.metadata)) as View["metadata"] });
}

const ended: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "timed_out"]);
const inFlight: ReadonlySet<string> = new Set(["assigned", "running"]);

interface Contender {
  readonly task: string;
  readonly view: TaskView;
}

/** The tasks of the conflict that still go on. */
async function contendersOf(ctx: OperationContext, view: View): Promise<Contender[]> {
  const read = async (task: string): Promise<Contender[]> => {
    try {
      const answer = await ctx.runtime.read(address("task", task));
      const found = answer.view as unknown as TaskView;
      return ended.has(found.status) ? [] : [{ task, view: found }];
    } catch (error) {
      if (error instanceof TroupeError && error.code === "not_found") return [];
      throw error;
    }
  };
  return (await Promise.all(tasksOf(view).map(read))).flat();
}

/** Higher priority first; of equals the older one. */
function byPriority(a: Contender, b: Contender): number {
  return b.view.priority - a.view.priority || a.view.createdAt - b.view.createdAt || (a.task < b.task ? -1 : 1);
}

const resolveInput = z.strictObject({
  conflict_id: id,
  strategy: z.enum(["priority", "manual"]).default("manual"),
  winner: id.optional().describe("By hand: the task, or the agent whose task, goes on; without it nobody gives way."),
  note: z.string().max(4_096).optional(),
});

async function resolve(ctx: OperationContext, input: z.output<typeof resolveInput>) {
  const at = address(conflictType, requireId("conflict", input.conflict_id));
  if (input.strategy === "priority" && input.winner !== undefined)
    throw invalid("The request is not valid", [{ path: "winner", message: "priority chooses it" }]);
  const before = await ctx.runtime.read(at).catch(named("conflict", input.conflict_id));
  const view = before.view as unknown as View;
  const contenders = (await contendersOf(ctx, view)).sort(byPriority);
  const wins =
    input.strategy === "priority"
      ? contenders.slice(0, 1)
      : contenders.filter(({ task, view: { agent } }) => input.winner === task || input.winner === agent);
  const known = tasksOf(view).includes(input.winner ?? "") || input.winner === view.agentId;
  if (input.winner !== undefined && wins.length === 0 && !known)
    throw invalid("The request is not valid", [{ path: "winner", message: "is no task or agent of this conflict" }]);
  const winner = input.strategy === "priority" ? wins[0]?.task : input.winner;
  const losers = wins.length === 0 ? [] : contenders.filter((one) => !wins.includes(one));
  const command = {
    type: "conflict.resolve",
    strategy: input.strategy,
    losers: losers
      .filter((one) => inFlight.has(one.view.status))
      .map(({ task, view: { attempt } }) => ({ task, attempt })),
    by: ctx.credential.name,
    ...(winner !== undefined && { winner }),
    ...(input.note !== undefined && { note: input.note }),
  };
  // A decision that is there already is told again if it is the same: by priority, whoever would win today.
  const { resolution } = view;
  const again = resolution !== null && input.strategy === "priority" && resolution.strategy === "priority";
  if (again) return shown(ctx, input.conflict_id, before.view);
  const answer = await ctx.runtime.ask(at, command, { timeoutMs: ctx.limits.askTimeoutMs });
  return shown(ctx, input.conflict_id, answer.view);
}

const common = { tags: ["conflicts"], scope: "conflicts:read" } as const;

export const conflictOperations = [
  defineOperation({
    ...common,
    name: "conflicts.report",
    summary: "Report a conflict between agents or tasks",
    method: "POST",
    path: "/v1/conflicts",
    status: 201,
    scope: "conflicts:write",
    errors: ["invalid_input", "idempotency_conflict", "too_large"],
    example: { agent_id: "agent-123", task_id: "task-456", conflict_type: "resource_contention", severity: "high" },
    input: reportInput,
    output: conflict,
    handle: report,
  }),
  defineOperation({
    ...common,
    name: "conflicts.list",
    summary: "List conflicts, newest first",
    method: "GET",
    path: "/v1/conflicts",
    errors: ["invalid_input"],
    input: z.strictObject({
      ...pageFields,
      status: z.enum(["open", "resolved"]).optional(),
      severity: z.string().min(1).max(64).optional(),
      conflict_type: z.string().min(1).max(128).optional(),
      agent_id: id.optional(),
      task_id: id.optional(),
    }),
    output: pageOf(conflict),
    async handle(ctx, input) {
      const fields = {
        status: input.status,
        severity: input.severity,
        conflictType: input.conflict_type,
        agentId: input.agent_id,
        taskId: input.task_id,
      };
      const where = Object.fromEntries(
        Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined),
      );
      const page = await ctx.runtime.list({
        type: conflictType,
        where,
        limit: input.limit,
        ...(input.cursor !== undefined && { cursor: String(decodeCursor("conflicts", input.cursor)) }),
      });
      const data = await Promise.all(page.items.map(({ address: at, view }) => shown(ctx, at.key, view)));
      return { data, next_cursor: page.nextCursor === null ? null : encodeCursor("conflicts", page.nextCursor) };
    },
  }),
  defineOperation({
    ...common,
    name: "conflicts.get",
    summary: "Read a conflict",
    method: "GET",
    path: "/v1/conflicts/{conflict_id}",
    errors: ["not_found"],
    input: z.strictObject({ conflict_id: id }),
    output: conflict,
    async handle(ctx, input) {
      const at = address(conflictType, requireId("conflict", input.conflict_id));
      const answer = await ctx.runtime.read(at).catch(named("conflict", input.conflict_id));
      return shown(ctx, input.conflict_id, answer.view);
    },
  }),
  defineOperation({
    ...common,
    name: "conflicts.resolve",
    summary: "Resolve a conflict",
    description:
      "By priority: the task with the lower priority gives its attempt back, uncharged, and waits again; of equals the younger one. By hand: the tasks of others than the winner do; without a winner the conflict is only closed.",
    method: "POST",
    path: "/v1/conflicts/{conflict_id}/resolve",
    scope: "conflicts:operate",
    bodyRequired: true,
    errors: ["invalid_input", "not_found", "conflict"],
    example: { strategy: "priority", note: "the report goes first" },
    input: resolveInput,
    output: conflict,
    handle: resolve,
  }),
];
