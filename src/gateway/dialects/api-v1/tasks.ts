/**
 * Tasks under `/api/v1`, of contracts 001 and 004: create, list, read, update, cancel.
 */
import { z } from "zod";
import { rootOf } from "../../../machines/address.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { answer, call, defineRoute } from "../../dialect.ts";
import { invalid } from "../../errors.ts";
import type { Operation, OperationContext } from "../../operation.ts";
import { absent } from "../../operations/values.ts";
import { waitFor } from "../../wait.ts";
import { collect, listFields } from "./pages.ts";
import { anyId, typeName, wait } from "./schema.ts";
import {
  type CoreTask,
  type TaskBody,
  type TaskUpdate,
  taskBody,
  taskUpdate,
  toCreate,
  toTask,
  toUpdate,
  updateStatus,
} from "./task-map.ts";
import { priorityNumber, priorityWords, type TaskWord, taskWord, taskWords } from "./words.ts";

const over = new Set(["completed", "failed", "timed_out", "cancelled"]);

/** The task when it has ended, at once without `wait`. Throws `task_timed_out` for who waits. */
async function settled(ctx: OperationContext, task: CoreTask, seconds: number | undefined): Promise<CoreTask> {
  if (seconds === undefined) return task;
  const { value, done } = await waitFor(ctx, {
    root: rootOf(task.task_id),
    forMs: seconds * 1000,
    read: () => call<CoreTask>(ctx, "tasks.get", { task_id: task.task_id }),
    isDone: ({ status }) => over.has(status),
  });
  if (done && value.status !== "timed_out") return value;
  const why = done ? "its time was over" : `it has not ended within ${seconds} s`;
  throw new TroupeError("task_timed_out", `Task '${task.task_id}': ${why}`, {
    task_id: task.task_id,
    status: taskWord(value.status),
    progress: toTask(value).progress,
  });
}

async function create(ctx: OperationContext, body: TaskBody, waits: number | undefined) {
  if (typeof body.type !== "string" && typeof body.title !== "string") {
    throw invalid("The task is not valid", [{ path: "type", message: "give a type, or a title" }]);
  }
  const { task } = await call<{ task: CoreTask }>(ctx, "tasks.create", toCreate(body, ctx.runtime.now()));
  return toTask(await settled(ctx, task, waits));
}

async function update(ctx: OperationContext, id: string, body: TaskUpdate) {
  if (updateStatus(body) !== "cancelled") return toTask(await call<CoreTask>(ctx, "tasks.update", toUpdate(id, body)));
  const reason = body.message ?? undefined;
  const input = { task_id: id, ...(reason !== undefined && { reason: reason.slice(0, 1_000) }) };
  return toTask(await call<CoreTask>(ctx, "tasks.cancel", input));
}

const word = z.string().min(1).max(128).optional();

/** A word of contract 001 or a number of contract 004; undefined for what is neither. */
function priorityOf(text: string): number | undefined {
  if (Object.hasOwn(priorityWords, text)) return priorityNumber(text as keyof typeof priorityWords);
  return /^(?:[1-9]|10)$/.test(text) ? Number(text) : undefined;
}

function listed(ctx: OperationContext, input: z.output<typeof listInput>) {
  const status = input.status ?? input.status_filter;
  const priority = input.priority ?? input.priority_filter;
  const wanted = priority === undefined ? undefined : priorityOf(priority);
  if (priority !== undefined && wanted === undefined) {
    throw invalid("The query is not valid", [{ path: "priority_filter", message: "must be 1–10 or a word for it" }]);
  }
  const states = Object.hasOwn(taskWords, status ?? "") ? taskWords[status as TaskWord] : undefined;
  if (status !== undefined && states === undefined) return Promise.resolve([]);
  const [only] = states ?? [];
  const agent = input.agent_id ?? input.assigned_agent;
  return collect(ctx, input, {
    operation: "tasks.list",
    query: {
      ...(states?.length === 1 && { status: only }),
      ...(input.type !== undefined && { task_type: typeName(input.type) }),
      ...(agent !== undefined && { agent }),
    },
    show: (one: CoreTask) => {
      if (wanted !== undefined && one.priority !== wanted) return null;
      return status === undefined || taskWord(one.status) === status ? toTask(one) : null;
    },
  });
}

const listInput = z.object({
  ...listFields,
  status: word,
  status_filter: word,
  priority: word,
  priority_filter: word,
  type: word,
  agent_id: word,
  assigned_agent: word,
});

const both = ["001", "004"] as const;
const id = anyId.describe("Task id.");

/** The core's ids have at most 200 characters; a longer one names nothing. */
function known(taskId: string): string {
  if (taskId.length <= 200) return taskId;
  throw absent("task", taskId);
}

export const taskRoutes: readonly Operation[] = [
  defineRoute({
    dialects: both,
    name: "api.tasks.create",
    summary: "Create a task",
    description:
      "Contract 001 names a `type`, contract 004 a `title`; a `priority` is a word or 1–10 and comes back as it was sent. With `?wait=` the answer comes when the task has ended.",
    method: "POST",
    path: "/api/v1/tasks",
    scope: "tasks:write",
    errors: ["idempotency_conflict", "already_exists", "invalid_template", "too_large", "task_timed_out"],
    query: ["wait"],
    example: { type: "code_generation", priority: "high", input_data: { template_id: "react-crud-template" } },
    input: z.object({ ...taskBody.shape, wait }),
    output: answer,
    handle: (ctx, { wait: waits, ...body }) => create(ctx, body, waits),
  }),
  defineRoute({
    dialects: both,
    name: "api.tasks.list",
    summary: "List tasks, newest first",
    method: "GET",
    path: "/api/v1/tasks",
    scope: "tasks:read",
    errors: [],
    input: listInput,
    output: z.array(answer),
    handle: listed,
  }),
  defineRoute({
    dialects: both,
    name: "api.tasks.get",
    summary: "Read a task; with `?wait=` when it has ended",
    method: "GET",
    path: "/api/v1/tasks/{task_id}",
    scope: "tasks:read",
    errors: ["not_found", "task_timed_out"],
    input: z.object({ task_id: id, wait }),
    output: answer,
    async handle(ctx, { task_id, wait: waits }) {
      const task = await call<CoreTask>(ctx, "tasks.get", { task_id: known(task_id) });
      return toTask(await settled(ctx, task, waits));
    },
  }),
  defineRoute({
    dialects: ["001"],
    name: "api.tasks.update",
    summary: "Tell of a task: accepted, progress, result, failure",
    description:
      "By the agent that it is assigned to, or an operator on its behalf. `in_progress` accepts the task; `pending` gives it back.",
    method: "PATCH",
    path: "/api/v1/tasks/{task_id}",
    scope: "tasks:write",
    errors: ["not_found", "forbidden", "conflict", "precondition_failed", "too_large"],
    example: { status: "in_progress", progress: 45, output_data: { files_generated: 12 } },
    bodyRequired: true,
    input: z.object({ task_id: id, ...taskUpdate.shape }),
    output: answer,
    handle: (ctx, { task_id, ...body }) => update(ctx, known(task_id), body),
  }),
  defineRoute({
    dialects: both,
    name: "api.tasks.cancel",
    summary: "Cancel a task",
    method: "DELETE",
    path: "/api/v1/tasks/{task_id}",
    scope: "tasks:write",
    errors: ["not_found", "conflict"],
    input: z.object({ task_id: id }),
    output: answer,
    handle: async (ctx, { task_id }) => toTask(await call<CoreTask>(ctx, "tasks.cancel", { task_id: known(task_id) })),
  }),
];
