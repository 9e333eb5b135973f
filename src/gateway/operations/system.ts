/**
 * Operations on the system itself: liveness, readiness, status, and the front page.
 */
import { z } from "zod";
import { TroupeError } from "../../machines/errors.ts";
import { findTarget } from "../ag-ui/agents.ts";
import { capabilitiesOf } from "../ag-ui/capabilities.ts";
import { snake } from "../dialects/002/events.ts";
import { defineOperation, freeObject } from "../operation.ts";

const common = { tags: ["system"], method: "GET", errors: [], input: z.strictObject({}) } as const;

/** Keys of the runtime's status in the edge's spelling. */
function snakeDeep(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeDeep);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [snake(k), snakeDeep(v)]));
}

export const systemOperations = [
  defineOperation({
    ...common,
    name: "system.index",
    summary: "What this is and where to look; what the default agent can do over AG-UI",
    path: "/",
    scope: null,
    output: z.looseObject({ message: z.string(), version: z.string(), docs: z.string(), health: z.string() }),
    async handle(ctx) {
      const about = { message: "Troupe", version: ctx.version, docs: "/docs", health: "/api/v1/health" };
      // A node that is not ready yet still says what it is.
      const capabilities = await findTarget(ctx, undefined)
        .then((target) => capabilitiesOf(target, ctx.version))
        .catch(() => ({}));
      return { ...about, ...capabilities };
    },
  }),
  defineOperation({
    ...common,
    name: "system.live",
    summary: "The process lives",
    path: "/healthz",
    scope: null,
    output: z.object({ status: z.literal("ok") }),
    handle: async () => ({ status: "ok" as const }),
  }),
  defineOperation({
    ...common,
    name: "system.ready",
    summary: "Ready to serve, or why not",
    path: "/readyz",
    scope: null,
    errors: ["unavailable"],
    output: z.object({ status: z.literal("ready") }),
    async handle(ctx) {
      const { ready, reason = "the runtime has not started or is stopping" } = await ctx.runtime.readiness();
      if (ready) return { status: "ready" as const };
      throw new TroupeError("unavailable", `Not ready: ${reason}`, { reason });
    },
  }),
  defineOperation({
    ...common,
    name: "system.status",
    summary: "The node's state",
    description: "Connection, partitions, hosted agents, counters.",
    path: "/v1/status",
    scope: "system:read",
    output: freeObject.meta({ id: "Status" }),
    handle: async (ctx) => ({
      ...(snakeDeep(ctx.runtime.status()) as Record<string, unknown>),
      version: ctx.version,
      now: new Date(ctx.runtime.now()).toISOString(),
    }),
  }),
  defineOperation({
    ...common,
    name: "system.cluster",
    summary: "The cluster: members and partitions",
    description:
      "Every member with its role, and every partition as its owner tells it: epoch, last sequence, actors, changed actors without a record yet (`dirty`), and how far the records lag behind the journal. The same from any gateway.",
    path: "/v1/cluster",
    scope: "system:read",
    output: z
      .object({
        members: z.array(
          z.object({
            boot: z.string(),
            node: z.string(),
            role: z.enum(["node", "gateway", "all"]),
            format: z.int(),
            leaving: z.boolean(),
            partitions: z.int(),
          }),
        ),
        partitions: z.array(
          z.object({
            partition: z.int(),
            state: z.enum(["serving", "recovering", "stopped", "unowned"]),
            node: z.string().optional(),
            epoch: z.int().optional(),
            last_seq: z.int().optional(),
            actors: z.int().optional(),
            dirty: z.int().optional(),
            lag: z.int().optional(),
            waiting: z.int().optional(),
            mail: z.int().optional(),
          }),
        ),
      })
      .meta({ id: "Cluster" }),
    async handle(ctx) {
      const { members, partitions } = await ctx.runtime.cluster();
      return {
        members: members.map((m) => ({ ...m })),
        partitions: partitions.map((p) => {
          if (!("node" in p)) return { ...p };
          const { lastSeq, ...rest } = p;
          return { ...rest, last_seq: lastSeq };
        }),
      };
    },
  }),
];
