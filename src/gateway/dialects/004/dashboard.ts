/**
 * Contract 004's dashboard and health: sums and the newest events of the core in its words.
 */
import { z } from "zod";
import type { StoredEvent } from "../../../actors/client.ts";
import { answer, call, defineRoute } from "../../dialect.ts";
import type { Operation, OperationContext } from "../../operation.ts";
import { agentWord, type CoreAgent } from "../api-v1/agents.ts";
import { collect } from "../api-v1/pages.ts";
import { taskWord } from "../api-v1/words.ts";
import { messageOf } from "./map.ts";

type Counts = Readonly<Record<string, number>>;

interface Metrics {
  readonly tasks: Counts;
  readonly resources: Counts;
  readonly conflicts: Counts;
  readonly websocket_clients: number;
}

const sum = (counts: Counts): number => Object.values(counts).reduce((total, n) => total + n, 0);

function byWord(counts: Counts, wordOf: (status: string) => string): Record<string, number> {
  const words: Record<string, number> = {};
  for (const [status, n] of Object.entries(counts)) words[wordOf(status)] = (words[wordOf(status)] ?? 0) + n;
  return words;
}

/** Agents by the word that lists show; the sums of the core do not know what agents say of themselves. */
async function agentCounts(ctx: OperationContext): Promise<Record<string, number>> {
  const words = await collect(
    ctx,
    { limit: 10_000 },
    {
      operation: "agents.list",
      query: {},
      show: (one: CoreAgent) => (one.status === "gone" ? null : agentWord(one)),
    },
  );
  const counts: Record<string, number> = { total: words.length, active: 0, idle: 0, busy: 0, unavailable: 0 };
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

async function summary(ctx: OperationContext) {
  const [agents, told] = await Promise.all([agentCounts(ctx), call<Metrics>(ctx, "metrics.system", {})]);
  const tasks = byWord(told.tasks, taskWord);
  const resources = told.resources;
  const conflicts = told.conflicts;
  return {
    agents,
    tasks: {
      total: sum(told.tasks),
      pending: tasks.pending ?? 0,
      in_progress: tasks.in_progress ?? 0,
      completed: tasks.completed ?? 0,
      failed: tasks.failed ?? 0,
      cancelled: tasks.cancelled ?? 0,
    },
    resources: {
      total: sum(resources) - (resources.removed ?? 0),
      available: resources.available ?? 0,
      in_use: (resources.in_use ?? 0) + (resources.full ?? 0),
    },
    conflicts: { total: sum(conflicts), open: conflicts.open ?? 0, resolved: conflicts.resolved ?? 0 },
    websocket_connections: told.websocket_clients,
  };
}

type Happened = Omit<StoredEvent, "at"> & { readonly at: string };

/** All that the core keeps of the newest. */
const happenedMax = 1_000;

type State = "healthy" | "degraded" | "unhealthy";
interface Health {
  readonly status: State;
  readonly components: Readonly<Record<"platform" | "nats" | "jetstream", { readonly state: State }>>;
  readonly metrics: Readonly<Record<"active_agents" | "active_tasks" | "active_connections", number | null>>;
  readonly timestamp: string;
}

const counts = z.record(z.string(), z.int());

export const dashboardRoutes: readonly Operation[] = [
  defineRoute({
    dialects: ["004"],
    name: "api.dashboard.summary",
    summary: "How many agents, tasks, resources and conflicts stand where",
    method: "GET",
    path: "/api/v1/dashboard/summary",
    scope: "system:read",
    errors: [],
    input: z.object({}),
    output: z.object({
      agents: counts,
      tasks: counts,
      resources: counts,
      conflicts: counts,
      websocket_connections: z.int().describe("Of this gateway."),
    }),
    handle: (ctx) => summary(ctx),
  }),
  defineRoute({
    dialects: ["004"],
    name: "api.dashboard.activity",
    summary: "What happened last, newest first",
    method: "GET",
    path: "/api/v1/dashboard/activity",
    scope: "events:read",
    errors: [],
    input: z.object({ limit: z.int().min(1).max(happenedMax).default(50) }),
    output: z.array(answer),
    async handle(ctx, { limit }) {
      const { data } = await call<{ data: readonly Happened[] }>(ctx, "system.activity", { limit: happenedMax });
      const told = data.map((one) => messageOf({ ...one, at: Date.parse(one.at) }));
      return told.filter((one) => one !== null).slice(0, limit) as Record<string, unknown>[];
    },
  }),
  defineRoute({
    dialects: ["001", "004"],
    name: "api.health",
    summary: "The state of the parts",
    description:
      "`redis` is what plays its part here, the connection to NATS; `database` is the store, JetStream. Open to everybody.",
    method: "GET",
    path: "/api/v1/health",
    scope: null,
    errors: [],
    input: z.object({}),
    output: z.object({
      status: z.enum(["healthy", "degraded", "unhealthy"]),
      components: z.record(z.string(), z.enum(["healthy", "degraded", "unhealthy"])),
      metrics: z.record(z.string(), z.int().nullable()),
      timestamp: z.string().meta({ format: "date-time" }),
    }),
    async handle(ctx) {
      const { status, components, metrics, timestamp } = await call<Health>(ctx, "system.health", {});
      const [platform, nats, jetstream] = [components.platform, components.nats, components.jetstream].map(
        ({ state }) => state,
      ) as [State, State, State];
      return {
        status,
        components: { platform, redis: nats, database: jetstream, nats, jetstream },
        metrics,
        timestamp,
      };
    },
  }),
];
