/**
 * Contract 000 over HTTP: execute a prompt, ask for its status, cancel it. The words are in map.ts.
 */
import { z } from "zod";
import { isKey } from "../../../machines/address.ts";
import type { Json } from "../../../machines/effects.ts";
import { TroupeError } from "../../../machines/errors.ts";
import { call, defineRoute, mapRoute } from "../../dialect.ts";
import type { Operation, OperationContext } from "../../operation.ts";
import { resultOf, statusWord, statusWords, tellOf } from "./map.ts";

/** The core's shapes, as far as they are looked at. */
interface CoreTask {
  readonly task_id: string;
  readonly status: string;
  readonly output: Json;
  readonly error: { readonly message: string } | null;
}
interface CoreEvents {
  readonly data: readonly { readonly no: number; readonly name: string; readonly data: Record<string, Json> }[];
}

const prompt = z.object({
  prompt: z.string().min(1),
  context: z.record(z.string().max(256), z.string()).nullish(),
  tools: z.array(z.string().min(1).max(256)).max(256).nullish(),
});
const about = z.object({ task_id: z.string() });
const statusWordSchema = z.enum(statusWords);
const outcome = z.object({ task_id: z.string(), status: statusWordSchema, message: z.string() });

function checked(taskId: string): string {
  if (isKey(taskId)) return taskId;
  throw new TroupeError("invalid_input", "Invalid task_id format");
}

async function status(ctx: OperationContext, input: z.output<typeof about>) {
  const at = { task_id: checked(input.task_id) };
  const task = await call<CoreTask>(ctx, "tasks.get", at);
  const { data } = await call<CoreEvents>(ctx, "tasks.events", at);
  const events = data.flatMap(({ no, name, data: of }) => {
    const told = tellOf({ root: "", type: "task", key: at.task_id, kind: "", no, name, at: 0, data: of });
    return told === null ? [] : [told.message];
  });
  return {
    task_id: task.task_id,
    status: statusWord(task.status),
    result: resultOf(task.status, task.output, task.error),
    events,
  };
}

/** A task that has ended already is told as it is: cancelling changes nothing any more. */
async function cancel(ctx: OperationContext, input: z.output<typeof about>): Promise<z.input<typeof outcome>> {
  const at = { task_id: checked(input.task_id) };
  try {
    const task = await call<CoreTask>(ctx, "tasks.cancel", at);
    const word = statusWord(task.status);
    return { ...at, status: word, message: word === "cancelled" ? "Task cancelled successfully" : "Task is stopping" };
  } catch (error) {
    if (!(error instanceof TroupeError) || error.code !== "conflict") throw error;
    const word = statusWord((await call<CoreTask>(ctx, "tasks.get", at)).status);
    return { ...at, status: word, message: `Task is ${word} already` };
  }
}

const common = { dialects: ["000"] as const, method: "POST" as const };

export const promptRoutes: readonly Operation[] = [
  mapRoute({
    ...common,
    name: "grpc.execute_task",
    summary: "Execute a prompt",
    path: "/ninja-api/grpc/execute_task",
    via: "tasks.create",
    madeByKey: {},
    input: prompt,
    output: outcome,
    example: { prompt: "Create a Python function to calculate factorial", context: { language: "python" } },
    toInput: ({ prompt: text, context, tools }) => ({
      task_type: "prompt",
      input: { prompt: text, context: context ?? {}, tools: tools ?? [] },
    }),
    fromOutput: ({ task }: { task: CoreTask }) => ({
      task_id: task.task_id,
      status: statusWord(task.status),
      message: "Task submitted for execution",
    }),
  }),
  defineRoute({
    ...common,
    name: "grpc.get_task_status",
    summary: "Ask for a task's status",
    path: "/ninja-api/grpc/get_task_status",
    readOnly: true,
    scope: "tasks:read",
    errors: ["invalid_input", "not_found"],
    input: about,
    output: z.object({
      task_id: z.string(),
      status: statusWordSchema,
      result: z.string().nullable(),
      events: z.array(z.string()),
    }),
    example: { task_id: "550e8400-e29b-41d4-a716-446655440000" },
    handle: status,
  }),
  defineRoute({
    ...common,
    name: "grpc.cancel_task",
    summary: "Cancel a task",
    path: "/ninja-api/grpc/cancel_task",
    scope: "tasks:write",
    errors: ["invalid_input", "not_found"],
    input: about,
    output: outcome,
    example: { task_id: "550e8400-e29b-41d4-a716-446655440000" },
    handle: cancel,
  }),
];
