/**
 * Operation on what has happened to a task: its stored events, oldest first.
 */
import { z } from "zod";
import { address, rootOf } from "../../machines/address.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { defineOperation, freeObject } from "../operation.ts";
import { keyOf, taskId } from "./tasks.ts";
import { named } from "./values.ts";

const pageMax = 1_000;

const taskEvent = z
  .object({
    no: z.int().describe("Within its root, the run or the task itself."),
    name: z.string(),
    at: z.string().meta({ format: "date-time" }),
    data: freeObject,
  })
  .meta({ id: "TaskEvent" });

export const taskEventOperations = [
  defineOperation({
    name: "tasks.events",
    summary: "Read what has happened to a task",
    description: `The task's stored events among the newest ${pageMax} of its root, oldest first.`,
    tags: ["tasks"],
    scope: "tasks:read",
    method: "GET",
    path: "/v1/tasks/{task_id}/events",
    errors: ["not_found"],
    input: z.strictObject({ task_id: taskId }),
    output: z.object({ data: z.array(taskEvent) }),
    async handle(ctx, input) {
      const key = keyOf(input.task_id);
      await ctx.runtime.read(address("task", key)).catch(named("task", input.task_id));
      const root = rootOf(key);
      const { last } = await ctx.runtime.history(root, 0, 1);
      const page = await ctx.runtime.history(root, Math.max(0, last - pageMax), pageMax);
      const mine = page.events.filter((event) => event.type === "task" && event.key === key);
      const data = mine.map(({ no, name, at, data: of }) => ({ no, name, at: rfc3339(at), data: of }));
      return { data: data as z.input<typeof taskEvent>[] };
    },
  }),
];
