/**
 * An agent's commands, and what its snapshot holds. The chart is in machine.ts.
 */
import { z } from "zod";
import type { Json, JsonObject } from "../effects.ts";
import {
  type Amounts,
  agentTypeSchema,
  amountsSchema,
  capabilitiesSchema,
  jsonObjectSchema,
  keySchema,
  metadataSchema,
} from "../schema.ts";

export const concurrencyMax = 1_000;
/** What an agent that says nothing of its concurrency gets. */
export const concurrencyDefault = 5;
export const heartbeatMsDefault = 30_000;
/** Heartbeats that may stay away before an agent is unavailable. */
export const heartbeatsMissedMax = 3;
/** Withdrawn tasks that wait for the next heartbeat; older ones are forgotten. */
export const withdrawnMax = 200;

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
  /** It takes only what no other agent is there for. */
  fallback: z.boolean().optional(),
  heartbeatMs: z.int().min(100).max(3_600_000).optional(),
  /** False: it is never called silent until it has sent its first heartbeat. */
  liveness: z.boolean().optional(),
  configuration: jsonObjectSchema.optional(),
  /** As the client wrote it; `capacity` is what counts. */
  resources: jsonObjectSchema.optional(),
  /** Per unit, in base units: what its tasks may hold together. */
  capacity: amountsSchema.optional(),
  metadata: metadataSchema.optional(),
  healthCheckUrl: z.url().max(2_048).optional(),
  /** SHA-256 of its secret, hexadecimal; absent: the one that it has stays. */
  secretHash: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  /** Name of the credential that registers it: nobody else may register it anew while it is there. */
  createdBy: z.string().max(200).optional(),
  /** Who registers: the agent itself, by its own credentials. */
  bySelf: z.boolean().optional(),
  /** A name of the process: the same again means that it never stopped, so its tasks stay with it. */
  instance: z.string().max(200).optional(),
});
export const agentHeartbeatSchema = z.strictObject({
  type: z.literal("agent.heartbeat"),
  status: z.string().max(64).optional(),
  currentTasks: z.int().min(0).optional(),
  metrics: jsonObjectSchema.optional(),
  /** Tasks that it works on: those that it should not are told in the reply. */
  tasks: z.array(keySchema).max(concurrencyMax).optional(),
});
export const agentDeregisterSchema = z.strictObject({ type: z.literal("agent.deregister") });
/** Grants a slot (and tells the task by mail), or refuses `overloaded`. */
export const agentAssignSchema = z.strictObject({
  type: z.literal("agent.assign"),
  task: keySchema,
  attempt: z.int().min(1),
  /** What the task needs, per unit; units that the agent does not declare are others' business. */
  amounts: amountsSchema.optional(),
});
export const agentReleaseSchema = z.strictObject({
  type: z.literal("agent.release"),
  task: keySchema,
  attempt: z.int().min(1),
  /** The attempt did not end by the agent's own report: it may work on it still. */
  withdrawn: z.boolean().optional(),
});
/** Hands out a granted slot: `task`, or the longest waiting one that was not handed out yet. */
export const agentTakeSchema = z.strictObject({ type: z.literal("agent.take"), task: keySchema.optional() });
/** Replies with what a client's secret is compared with. Changes nothing. */
export const agentCredentialsSchema = z.strictObject({ type: z.literal("agent.credentials") });
/** From the runtime's polling of its health check. */
export const agentHealthSchema = z.strictObject({ type: z.literal("agent.health"), ok: z.boolean() });
/** From a process that knows that the node of a hosted agent is gone. */
export const agentLoseSchema = z.strictObject({ type: z.literal("agent.lose"), instance: z.string().max(200) });

export const agentCommandSchema = z.discriminatedUnion("type", [
  agentRegisterSchema,
  agentHeartbeatSchema,
  agentDeregisterSchema,
  agentAssignSchema,
  agentReleaseSchema,
  agentTakeSchema,
  agentCredentialsSchema,
  agentHealthSchema,
  agentLoseSchema,
]);
export type AgentCommand = z.infer<typeof agentCommandSchema>;
export type AgentRegister = z.infer<typeof agentRegisterSchema>;

/** A granted slot. */
export interface Slot {
  readonly attempt: number;
  readonly at: number;
  /** When it was last handed to the agent. */
  readonly takenAt?: number;
  /** What it holds of the agent's capacity. */
  readonly amounts?: Amounts;
}

export interface AgentContext {
  readonly agentType: string;
  readonly name: string;
  readonly version: string | null;
  readonly capabilities: readonly string[];
  readonly concurrency: number;
  readonly hosted: { readonly node: string } | null;
  readonly fallback?: boolean;
  readonly heartbeatMs: number;
  readonly liveness: boolean;
  readonly configuration: JsonObject;
  readonly resources: JsonObject;
  readonly capacity: Amounts;
  readonly metadata: JsonObject;
  readonly healthCheckUrl: string | null;
  /** What its health check said last; absent: it has not answered well yet. */
  readonly healthy?: boolean;
  readonly secretHash: string | null;
  readonly createdBy: string | null;
  readonly instance: string | null;
  readonly registeredAt: number;
  readonly heartbeatAt: number;
  /** As the agent says of itself. */
  readonly reported: { readonly status: string | null; readonly currentTasks: number | null; readonly metrics: Json };
  /** Granted slots by task key. */
  readonly slots: Readonly<Record<string, Slot>>;
  /** Tasks taken away from it since its last heartbeat. */
  readonly withdrawn: readonly string[];
}
