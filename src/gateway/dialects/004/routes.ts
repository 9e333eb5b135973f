/**
 * Routes of contract 004 alone: resources, conflicts, performance. The dashboard is in dashboard.ts.
 */
import { z } from "zod";
import { answer, call, defineRoute } from "../../dialect.ts";
import { freeObject, type Operation } from "../../operation.ts";
import { collect, listFields } from "../api-v1/pages.ts";
import { anyId, metadata } from "../api-v1/schema.ts";
import { dashboardRoutes } from "./dashboard.ts";

interface CoreResource {
  readonly resource_id: string;
  readonly name: string;
  readonly resource_type: string;
  readonly capacity: unknown;
  readonly metadata: unknown;
  readonly status: string;
  readonly created_at: string | null;
}

/** Contract 004 knows no fuller than in use. */
const resourceWord = (status: string): string => (status === "full" ? "in_use" : status);

const toResource = (one: CoreResource) => ({
  id: one.resource_id,
  name: one.name,
  type: one.resource_type,
  capacity: one.capacity,
  metadata: one.metadata,
  status: resourceWord(one.status),
  created_at: one.created_at,
});

interface CoreConflict {
  readonly conflict_id: string;
  readonly status: string;
  readonly agent_id: string | null;
  readonly task_id: string | null;
  readonly conflict_type: string;
  readonly description: string;
  readonly severity: string;
  readonly metadata: unknown;
  readonly created_at: string;
  readonly resolution: unknown;
}

const toConflict = (one: CoreConflict) => ({
  id: one.conflict_id,
  agent_id: one.agent_id,
  task_id: one.task_id,
  conflict_type: one.conflict_type,
  description: one.description,
  severity: one.severity,
  metadata: one.metadata,
  status: one.status,
  created_at: one.created_at,
  resolution: one.resolution,
});

const word = z.string().min(1).max(128).optional();
const common = { dialects: ["004"] } as const;
const defined = (fields: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null && value !== undefined));

const resourceRoutes: readonly Operation[] = [
  defineRoute({
    ...common,
    name: "api.resources.create",
    summary: "Register a resource",
    method: "POST",
    path: "/api/v1/resources",
    scope: "resources:write",
    errors: [],
    example: { name: "gpu_cluster_01", type: "gpu", capacity: { gpus: 4, memory: "32Gi" } },
    input: z.object({
      name: z.string().min(1).max(256),
      type: z.string().min(1).max(64),
      capacity: freeObject,
      metadata,
    }),
    output: answer,
    async handle(ctx, { name, type, capacity, metadata: more }) {
      const input = { name, resource_type: type, capacity, ...defined({ metadata: more }) };
      return toResource(await call<CoreResource>(ctx, "resources.register", input));
    },
  }),
  defineRoute({
    ...common,
    name: "api.resources.list",
    summary: "List resources, newest first",
    method: "GET",
    path: "/api/v1/resources",
    scope: "resources:read",
    errors: [],
    input: z.object({ ...listFields, type: word, type_filter: word, status: word, status_filter: word }),
    output: z.array(answer),
    handle(ctx, input) {
      const type = input.type ?? input.type_filter;
      const status = input.status ?? input.status_filter;
      return collect(ctx, input, {
        operation: "resources.list",
        query: defined({ resource_type: type }),
        show: (one: CoreResource) => {
          if (one.status === "removed") return null;
          return status === undefined || resourceWord(one.status) === status ? toResource(one) : null;
        },
      });
    },
  }),
  defineRoute({
    ...common,
    name: "api.resources.get",
    summary: "Read a resource",
    method: "GET",
    path: "/api/v1/resources/{resource_id}",
    scope: "resources:read",
    errors: ["not_found"],
    input: z.object({ resource_id: anyId }),
    output: answer,
    handle: async (ctx, { resource_id }) => toResource(await call<CoreResource>(ctx, "resources.get", { resource_id })),
  }),
  defineRoute({
    ...common,
    name: "api.resources.remove",
    summary: "Take a resource out",
    method: "DELETE",
    path: "/api/v1/resources/{resource_id}",
    scope: "resources:write",
    errors: ["not_found", "conflict"],
    input: z.object({ resource_id: anyId }),
    output: z.object({ message: z.string() }),
    async handle(ctx, { resource_id }) {
      await call(ctx, "resources.remove", { resource_id });
      return { message: `Resource ${resource_id} removed` };
    },
  }),
];

const conflictRoutes: readonly Operation[] = [
  defineRoute({
    ...common,
    name: "api.conflicts.create",
    summary: "Report a conflict",
    method: "POST",
    path: "/api/v1/conflicts",
    scope: "conflicts:write",
    errors: ["forbidden", "idempotency_conflict"],
    example: {
      agent_id: "agent-123",
      task_id: "task-456",
      conflict_type: "resource_contention",
      description: "Multiple agents requesting same GPU resource",
      severity: "high",
    },
    input: z.object({
      agent_id: z.string().min(1).max(200).nullish(),
      task_id: z.string().min(1).max(200).nullish(),
      conflict_type: z.string().min(1).max(128),
      description: z.string().max(16_384).nullish(),
      severity: z.string().min(1).max(64).nullish(),
      metadata,
    }),
    output: answer,
    handle: async (ctx, body) => toConflict(await call<CoreConflict>(ctx, "conflicts.report", defined(body))),
  }),
  defineRoute({
    ...common,
    name: "api.conflicts.list",
    summary: "List conflicts, newest first",
    method: "GET",
    path: "/api/v1/conflicts",
    scope: "conflicts:read",
    errors: [],
    input: z.object({ ...listFields, severity: word, severity_filter: word, status: word, status_filter: word }),
    output: z.array(answer),
    handle(ctx, input) {
      const severity = input.severity ?? input.severity_filter;
      const status = input.status ?? input.status_filter;
      return collect(ctx, input, {
        operation: "conflicts.list",
        query: defined({ severity: severity?.slice(0, 64) }),
        show: (one: CoreConflict) => (status === undefined || one.status === status ? toConflict(one) : null),
      });
    },
  }),
  defineRoute({
    ...common,
    name: "api.conflicts.get",
    summary: "Read a conflict",
    method: "GET",
    path: "/api/v1/conflicts/{conflict_id}",
    scope: "conflicts:read",
    errors: ["not_found"],
    input: z.object({ conflict_id: anyId }),
    output: answer,
    handle: async (ctx, { conflict_id }) => toConflict(await call<CoreConflict>(ctx, "conflicts.get", { conflict_id })),
  }),
  defineRoute({
    ...common,
    name: "api.conflicts.resolve",
    summary: "Resolve a conflict, by priority or by hand",
    method: "POST",
    path: "/api/v1/conflicts/{conflict_id}/resolve",
    scope: "conflicts:operate",
    errors: ["not_found", "conflict"],
    bodyRequired: false,
    example: { strategy: "priority" },
    input: z.object({
      conflict_id: anyId,
      strategy: z.enum(["priority", "manual"]).nullish(),
      winner: z.string().min(1).max(200).nullish(),
      note: z.string().max(4_096).nullish(),
    }),
    output: answer,
    handle: async (ctx, body) => toConflict(await call<CoreConflict>(ctx, "conflicts.resolve", defined(body))),
  }),
];

interface Performance {
  readonly agent_id: string | null;
  readonly time_range: string;
  readonly from: string;
  readonly to: string;
  readonly tasks_completed: number;
  readonly tasks_failed: number;
  readonly success_rate: number | null;
  readonly average_execution_ms: number | null;
  readonly tasks_per_minute: number;
  readonly agent_figures: unknown;
  readonly answers: unknown;
}

const performanceRoute = defineRoute({
  ...common,
  name: "api.metrics.performance",
  summary: "How tasks did in the last time, of one agent or of all",
  method: "GET",
  path: "/api/v1/metrics/performance",
  scope: "system:read",
  errors: ["not_found"],
  input: z.object({ agent_id: anyId.optional(), time_range: z.string().min(1).max(16).optional() }),
  output: answer,
  async handle(ctx, input) {
    const told = await call<Performance>(ctx, "metrics.performance", defined(input));
    const { average_execution_ms: average, ...rest } = told;
    return { ...rest, average_execution_time: average === null ? null : average / 1000 };
  },
});

export const routes004: readonly Operation[] = [
  ...resourceRoutes,
  ...conflictRoutes,
  performanceRoute,
  ...dashboardRoutes,
];
