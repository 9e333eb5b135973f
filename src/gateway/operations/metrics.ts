/**
 * Operations that measure: the text for Prometheus, the state of each part, and how agents, tasks and
 * answers do. Numbers come from the monitor; dialects only rename them.
 */
import { z } from "zod";
import type { EndedTally, Tally } from "../../actors/client.ts";
import { type Distributed, quantile } from "../../distribution.ts";
import { address } from "../../machines/address.ts";
import { rfc3339 } from "../dialects/002/map.ts";
import { invalid } from "../errors.ts";
import type { Monitor } from "../monitoring/monitor.ts";
import { activeAgents, activeTasks, runningTasks, waitingTasks } from "../monitoring/words.ts";
import { defineOperation } from "../operation.ts";
import { named, requireId } from "./values.ts";

const part = z.object({ state: z.enum(["healthy", "degraded", "unhealthy"]), reason: z.string().optional() });
const counts = z.record(z.string(), z.int()).describe("How many, by status.");

const answers = z
  .object({
    requests: z.int(),
    errors: z.int().describe("Answers of 500 and above."),
    error_rate: z.number(),
    average_ms: z.number().nullable(),
    p50_ms: z.number().nullable(),
    p95_ms: z.number().nullable(),
    p99_ms: z.number().nullable(),
  })
  .describe("HTTP answers of this gateway since its start.");

const agentFigures = z.object({
  tasks_completed: z.int(),
  tasks_failed: z.int().describe("Failed or timed out."),
  tasks_cancelled: z.int(),
  success_rate: z.number().nullable().describe("Completed of completed and failed; null before the first."),
  average_execution_ms: z.number().nullable().describe("Of completed tasks, from their last start."),
});

/** Figures of ended tasks. */
export function figuresOf(sums: EndedTally): z.output<typeof agentFigures> {
  const { completed, failed, cancelled, tookMs } = sums;
  return {
    tasks_completed: completed,
    tasks_failed: failed,
    tasks_cancelled: cancelled,
    success_rate: completed + failed === 0 ? null : completed / (completed + failed),
    average_execution_ms: completed === 0 ? null : tookMs / completed,
  };
}

const nothing: EndedTally = { completed: 0, failed: 0, cancelled: 0, tookMs: 0 };

function totalOf(tally: Tally): EndedTally {
  return [...tally.ended.values()].reduce(
    (sum, one) => ({
      completed: sum.completed + one.completed,
      failed: sum.failed + one.failed,
      cancelled: sum.cancelled + one.cancelled,
      tookMs: sum.tookMs + one.tookMs,
    }),
    nothing,
  );
}

function byAgent(tally: Tally): Record<string, z.output<typeof agentFigures>> {
  const named = [...tally.ended].filter(([agent]) => agent !== "");
  return Object.fromEntries(named.map(([agent, sums]) => [agent, figuresOf(sums)]));
}

function answersOf(summary: { requests: number; errors: number; seconds: Distributed }): z.output<typeof answers> {
  const { requests, errors, seconds } = summary;
  const at = (share: number) => {
    const found = quantile(seconds, share);
    return found === null ? null : found * 1000;
  };
  return {
    requests,
    errors,
    error_rate: requests === 0 ? 0 : errors / requests,
    average_ms: requests === 0 ? null : (seconds.sum / requests) * 1000,
    p50_ms: at(0.5),
    p95_ms: at(0.95),
    p99_ms: at(0.99),
  };
}

async function* once(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  yield bytes;
}

const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const rangeMsMax = 7 * unitMs.d;

/** `30m`, `1h`, `7d` in ms. Throws `invalid_input` for more than a week. */
function rangeMs(text: string): number {
  const [, n = "", unit = ""] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  const ms = Number(n) * unitMs[unit as keyof typeof unitMs];
  if (ms > 0 && ms <= rangeMsMax) return ms;
  throw invalid("The request is not valid", [{ path: "time_range", message: "must be between 1s and 7d" }]);
}

const systemMetrics = z
  .object({
    agents: counts,
    tasks: counts,
    runs: counts,
    resources: counts,
    conflicts: counts,
    active_agents: z.int(),
    waiting_tasks: z.int(),
    running_tasks: z.int(),
    completed_runs: z.int(),
    websocket_clients: z.int(),
    event_streams: z.int(),
    answers,
    agent_figures: z.record(z.string(), agentFigures).describe("By agent id."),
  })
  .meta({ id: "SystemMetrics" });
export type SystemMetrics = z.output<typeof systemMetrics>;

/** Of the whole cluster, and of this gateway's clients and answers. */
export async function readSystemMetrics(monitor: Monitor): Promise<SystemMetrics> {
  const tally = await monitor.tally();
  const { traffic } = monitor;
  return {
    agents: { ...tally.counts.agent },
    tasks: { ...tally.counts.task },
    runs: { ...tally.counts.run },
    resources: { ...tally.counts.resource },
    conflicts: { ...tally.counts.conflict },
    active_agents: activeAgents(tally),
    waiting_tasks: waitingTasks(tally),
    running_tasks: runningTasks(tally),
    completed_runs: tally.counts.run?.succeeded ?? 0,
    websocket_clients: traffic.socketsTotal,
    event_streams: traffic.streams,
    answers: answersOf(traffic.summary()),
    agent_figures: byAgent(tally),
  };
}

const common = { tags: ["system"], method: "GET", scope: "system:read" } as const;

export const metricsOperations = [
  defineOperation({
    ...common,
    name: "system.exposition",
    summary: "Metrics for Prometheus",
    description: "In the text format 0.0.4. Every process serves it, in each role; open to everybody.",
    path: "/metrics",
    scope: null,
    errors: [],
    streams: "text/plain",
    input: z.strictObject({}),
    output: z.string(),
    handle: async (ctx) => (await ctx.monitor.text()).body,
    async stream(ctx) {
      const { contentType, body } = await ctx.monitor.text();
      const bytes = Buffer.from(body);
      return { headers: [["content-type", contentType]], size: bytes.byteLength, chunks: once(bytes) };
    },
  }),
  defineOperation({
    ...common,
    name: "system.health",
    summary: "The state of each part",
    description:
      "`platform`: every partition has an owner that answers. `nats`: the connection. `jetstream`: the store answers and has room. `status` is `healthy` when all are, `unhealthy` when NATS or the store is, else `degraded`.",
    path: "/v1/health",
    errors: [],
    input: z.strictObject({}),
    output: z
      .object({
        status: z.enum(["healthy", "degraded", "unhealthy"]),
        components: z.object({ platform: part, nats: part, jetstream: part }),
        metrics: z.object({
          active_agents: z.int().nullable().describe("Null: not known now."),
          active_tasks: z.int().nullable(),
          active_connections: z.int().describe("WebSocket clients and event streams of this gateway."),
        }),
        timestamp: z.string().meta({ format: "date-time" }),
      })
      .meta({ id: "Health" }),
    async handle(ctx) {
      const components = await ctx.monitor.health();
      const { platform, nats, jetstream } = components;
      const well = [platform, nats, jetstream].every(({ state }) => state === "healthy");
      const dead = [nats, jetstream].some(({ state }) => state === "unhealthy");
      const tally = dead ? undefined : await ctx.monitor.tally().catch(() => undefined);
      const { traffic } = ctx.monitor;
      return {
        status: well ? ("healthy" as const) : dead ? ("unhealthy" as const) : ("degraded" as const),
        components,
        metrics: {
          active_agents: tally === undefined ? null : activeAgents(tally),
          active_tasks: tally === undefined ? null : activeTasks(tally),
          active_connections: traffic.socketsTotal + traffic.streams,
        },
        timestamp: rfc3339(ctx.runtime.now()),
      };
    },
  }),
  defineOperation({
    ...common,
    name: "metrics.system",
    summary: "How the system does",
    description:
      "Agents, tasks and runs of the whole cluster by status, figures of every agent since the store began, and the answers of this gateway since its start.",
    path: "/v1/metrics",
    errors: [],
    input: z.strictObject({}),
    output: systemMetrics,
    handle: (ctx) => readSystemMetrics(ctx.monitor),
  }),
  defineOperation({
    ...common,
    name: "metrics.performance",
    summary: "How tasks did in the last time",
    description:
      "Tasks that ended in `time_range` (default 1h, at most 7d; by whole minutes), of one agent or of all, beside the answers of this gateway since its start.",
    path: "/v1/metrics/performance",
    errors: ["invalid_input", "not_found"],
    input: z.strictObject({
      agent_id: z.string().min(1).max(200).optional(),
      time_range: z
        .string()
        .regex(/^\d{1,6}[smhd]$/, "must be a number and s, m, h or d")
        .default("1h"),
    }),
    output: z
      .object({
        agent_id: z.string().nullable(),
        time_range: z.string(),
        from: z.string().meta({ format: "date-time" }),
        to: z.string().meta({ format: "date-time" }),
        ...agentFigures.shape,
        tasks_per_minute: z.number().describe("Ended tasks."),
        agent_figures: z.record(z.string(), agentFigures).describe("By agent id; only those that ended tasks."),
        answers,
      })
      .meta({ id: "PerformanceMetrics" }),
    async handle(ctx, input) {
      const { agent_id: agent, time_range } = input;
      if (agent !== undefined) {
        await ctx.runtime.read(address("agent", requireId("agent", agent))).catch(named("agent", agent));
      }
      const to = ctx.runtime.now();
      const from = to - rangeMs(time_range);
      const tally = await ctx.monitor.tally(from);
      const sums = agent === undefined ? totalOf(tally) : (tally.ended.get(agent) ?? nothing);
      const ended = sums.completed + sums.failed + sums.cancelled;
      return {
        agent_id: agent ?? null,
        time_range,
        from: rfc3339(from),
        to: rfc3339(to),
        ...figuresOf(sums),
        tasks_per_minute: ended / ((to - from) / 60_000),
        agent_figures: byAgent(agent === undefined ? tally : { ...tally, ended: new Map([[agent, sums]]) }),
        answers: answersOf(ctx.monitor.traffic.summary()),
      };
    },
  }),
];
