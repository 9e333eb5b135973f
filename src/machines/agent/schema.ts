/**
 * An agent's commands, and what its snapshot holds. The chart is in machine.ts.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../effects.ts";
import { agentTypeSchema, capabilitiesSchema, jsonObjectSchema, keySchema, metadataSchema } from "../schema.ts";

export const concurrencyMax = 1_000;
export const heartbeatMsDefault = 15_000;
/** Heartbeats that may stay away before an agent is unavailable. */
export const heartbeatsMissedMax = 3;

export const agentRegisterSchema = z.strictObject({
  type: z.literal("agent.register"),
  agentType: agentTypeSchema,
  name: z.string().min(1).max(256),
  version: z.string().max(64).optional(),
  capabilities: capabilitiesSchema,
  /** Attempts at once. */
  concurrency: z.int().min(1).max(concurrencyMax),
  /** Set for an agent whose function runs in a node: that node registers and heartbeats it. */
  hosted: z.strictObject({ node: z.string().min(1).max(200) }).optional(),
  heartbeatMs: z.int().min(100).max(3_600_000).optional(),
  configuration: jsonObjectSchema.optional(),
  resources: jsonObjectSchema.optional(),
  metadata: metadataSchema.optional(),
  healthCheckUrl: z.url().max(2_048).optional(),
});
export const agentHeartbeatSchema = z.strictObject({
  type: z.literal("agent.heartbeat"),
  status: z.string().max(64).optional(),
  currentTasks: z.int().min(0).optional(),
  metrics: jsonObjectSchema.optional(),
});
export const agentDeregisterSchema = z.strictObject({ type: z.literal("agent.deregister") });
/** Grants a slot, or refuses `overloaded`. */
export const agentAssignSchema = z.strictObject({
  type: z.literal("agent.assign"),
  task: keySchema,
  attempt: z.int().min(1),
});
export const agentReleaseSchema = agentAssignSchema.extend({ type: z.literal("agent.release") });

export const agentCommandSchema = z.discriminatedUnion("type", [
  agentRegisterSchema,
  agentHeartbeatSchema,
  agentDeregisterSchema,
  agentAssignSchema,
  agentReleaseSchema,
]);
export type AgentCommand = z.infer<typeof agentCommandSchema>;
export type AgentRegister = z.infer<typeof agentRegisterSchema>;

export interface AgentContext {
  readonly agentType: string;
  readonly name: string;
  readonly version: string | null;
  readonly capabilities: readonly string[];
  readonly concurrency: number;
  readonly hosted: { readonly node: string } | null;
  readonly heartbeatMs: number;
  readonly configuration: JsonObject;
  readonly resources: JsonObject;
  readonly metadata: JsonObject;
  readonly healthCheckUrl: string | null;
  readonly registeredAt: number;
  readonly heartbeatAt: number;
  /** As the agent says of itself. */
  readonly reported: { readonly status: string | null; readonly currentTasks: number | null; readonly metrics: Json };
  /** Granted slots: task key → attempt. */
  readonly slots: Readonly<Record<string, number>>;
}
