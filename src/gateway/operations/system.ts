/**
 * Operations on the system itself: liveness, readiness, status, and the front page.
 */
import { z } from "zod";
import { TroupeError } from "../../machines/errors.ts";
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
    summary: "What this is and where to look",
    path: "/",
    scope: null,
    output: z.object({ message: z.string(), version: z.string(), docs: z.string(), health: z.string() }),
    handle: async (ctx) => ({ message: "Troupe", version: ctx.version, docs: "/docs", health: "/healthz" }),
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
      const { ready, nats, partitions } = ctx.runtime.status();
      if (ready) return { status: "ready" as const };
      const recovering = partitions.filter((p) => p.state === "recovering").length;
      const reason = !nats.connected
        ? "the NATS server cannot be reached"
        : recovering > 0
          ? `${recovering} partitions are still recovering`
          : "the runtime has not started or is stopping";
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
];
