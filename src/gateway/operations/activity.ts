/**
 * The operation that tells the newest things that happened, over everything.
 */
import { z } from "zod";
import { activityMax } from "../activity.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { defineOperation, freeObject } from "../operation.ts";
import { brief } from "./values.ts";

export const activityEvent = z
  .object({
    root: z.string(),
    no: z.int().describe("Its number within the root."),
    type: z.string().describe("task, run, agent, conflict or resource."),
    key: z.string(),
    kind: z.string().describe("Task type, workflow, agent type."),
    name: z.string(),
    at: z.string().meta({ format: "date-time" }),
    data: freeObject,
  })
  .meta({ id: "ActivityEvent" });

export const activityOperations = [
  defineOperation({
    name: "system.activity",
    summary: "The newest things that happened, newest first",
    description: `Of tasks, runs, agents, conflicts and resources, at most ${activityMax}. For everything, in order, follow the events.`,
    method: "GET",
    path: "/v1/activity",
    scope: "events:read",
    tags: ["system"],
    errors: ["invalid_input"],
    input: z.strictObject({ limit: z.int().min(1).max(activityMax).default(50) }),
    output: z.object({ data: z.array(activityEvent) }),
    async handle(ctx, { limit }) {
      const events = await ctx.activity.newest(limit);
      const data = events.map(({ root, no, type, key, kind, name, at, data: more }) => {
        return { root, no, type, key, kind, name, at: rfc3339(at), data: brief(more) as Record<string, unknown> };
      });
      return { data };
    },
  }),
];
