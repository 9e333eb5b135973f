/**
 * A conflict between agents or tasks: reported (by an agent, or found by the runtime), open until somebody
 * decides it. Owns its record and what the decision does to the losing tasks; who loses is the resolver's to say.
 *
 * The key is the conflict's identity: reported again under the same key it is the same conflict, so that machines
 * may report what they see as often as they see it.
 */
import { assertEvent, assign, setup } from "xstate";
import { z } from "zod";
import { address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import { effects, emit, type Json, type JsonObject, refuse, reply, send } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { keySchema, metadataSchema } from "../schema.ts";

export const conflictType = "conflict";
export const conflictPartiesMax = 16;

/** A task in the conflict, as it was when the conflict was seen. */
export const conflictPartySchema = z.strictObject({
  task: keySchema,
  attempt: z.int().min(0).optional(),
  agent: keySchema.optional(),
  priority: z.int().min(1).max(10).optional(),
});
export type ConflictParty = z.infer<typeof conflictPartySchema>;

export const conflictReportSchema = z.strictObject({
  type: z.literal("conflict.report"),
  /** The agent that reports it or is concerned. */
  agentId: keySchema.optional(),
  taskId: keySchema.optional(),
  /** `resource_contention`, `concurrent_update`, or a word of the reporter's. */
  conflictType: z.string().min(1).max(128),
  description: z.string().max(16_384),
  severity: z.string().min(1).max(64),
  metadata: metadataSchema.optional(),
  /** A credential's name; `runtime` for what Troupe found itself. */
  reportedBy: z.string().min(1).max(200),
  parties: z.array(conflictPartySchema).max(conflictPartiesMax).optional(),
  /** Of the request that made it; another one under the same key is refused. */
  requestHash: z.string().max(128).optional(),
});
export const conflictResolveSchema = z.strictObject({
  type: z.literal("conflict.resolve"),
  strategy: z.enum(["priority", "manual"]),
  /** The task or agent that goes on. */
  winner: keySchema.optional(),
  /** Tasks whose current attempt is given back. */
  losers: z.array(z.strictObject({ task: keySchema, attempt: z.int().min(1) })).max(conflictPartiesMax),
  note: z.string().max(4_096).optional(),
  by: z.string().min(1).max(200),
});
export const conflictCommandSchema = z.discriminatedUnion("type", [conflictReportSchema, conflictResolveSchema]);
export type ConflictReport = z.infer<typeof conflictReportSchema>;
export type ConflictResolve = z.infer<typeof conflictResolveSchema>;
export type ConflictCommand = z.infer<typeof conflictCommandSchema>;

export interface ConflictContext {
  readonly agentId: string | null;
  readonly taskId: string | null;
  readonly conflictType: string;
  readonly description: string;
  readonly severity: string;
  readonly metadata: JsonObject;
  readonly reportedBy: string;
  readonly parties: readonly ConflictParty[];
  readonly requestHash: string | null;
  readonly createdAt: number;
  readonly resolution: {
    readonly strategy: "priority" | "manual";
    readonly winner: string | null;
    readonly losers: readonly string[];
    readonly note: string | null;
    readonly by: string;
    readonly at: number;
  } | null;
}

type Event = WithMeta<ConflictCommand>;

function eventData(context: ConflictContext): JsonObject {
  const { agentId, taskId, conflictType: kind, severity, description } = context;
  return { agentId, taskId, conflictType: kind, severity, description: description.slice(0, 1_024) };
}

const machine = setup({
  types: { context: {} as ConflictContext, events: {} as Event },
  guards: {
    isOtherRequest: ({ context, event }) =>
      event.type === "conflict.report" &&
      context.requestHash !== null &&
      event.requestHash !== undefined &&
      event.requestHash !== context.requestHash,
    isSameDecision: ({ context, event }) =>
      event.type === "conflict.resolve" &&
      context.resolution?.strategy === event.strategy &&
      context.resolution.winner === (event.winner ?? null),
  },
  actions: {
    keep: assign(({ event }) => {
      assertEvent(event, "conflict.report");
      return {
        agentId: event.agentId ?? null,
        taskId: event.taskId ?? null,
        conflictType: event.conflictType,
        description: event.description,
        severity: event.severity,
        metadata: event.metadata ?? {},
        reportedBy: event.reportedBy,
        parties: event.parties ?? [],
        requestHash: event.requestHash ?? null,
        createdAt: event.meta.now,
        resolution: null,
      };
    }),
    tellReported: effects<ConflictContext, Event>(({ context }) => [
      emit("reported", eventData(context)),
      reply({ created: true }),
    ]),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseOther: effects(() => [refuse("idempotency_conflict", "the conflict exists with another report")]),
    resolve: assign(({ event }) => {
      assertEvent(event, "conflict.resolve");
      return {
        resolution: {
          strategy: event.strategy,
          winner: event.winner ?? null,
          losers: event.losers.map(({ task }) => task),
          note: event.note ?? null,
          by: event.by,
          at: event.meta.now,
        },
      };
    }),
    tellResolved: effects<ConflictContext, Event>(({ context, event }) => {
      assertEvent(event, "conflict.resolve");
      return [
        emit("resolved", {
          ...eventData(context),
          strategy: event.strategy,
          winner: event.winner ?? null,
          note: event.note ?? null,
        }),
        ...event.losers.map(({ task, attempt }) =>
          send(address("task", task), {
            type: "work.lose",
            id: `attempt-${attempt}`,
            reason: "it gave way in a conflict",
          }),
        ),
        reply({ resolved: true }),
      ];
    }),
    replyResolved: effects(() => [reply({ resolved: true })]),
  },
}).createMachine({
  id: conflictType,
  context: {} as ConflictContext,
  initial: "absent",
  states: {
    absent: { on: { "conflict.report": { target: "open", actions: ["keep", "tellReported"] } } },
    open: {
      on: {
        "conflict.report": [{ guard: "isOtherRequest", actions: "refuseOther" }, { actions: "replyExisting" }],
        "conflict.resolve": { target: "resolved", actions: ["resolve", "tellResolved"] },
      },
    },
    resolved: {
      on: {
        "conflict.report": [{ guard: "isOtherRequest", actions: "refuseOther" }, { actions: "replyExisting" }],
        "conflict.resolve": { guard: "isSameDecision", actions: "replyResolved" },
      },
    },
  },
});

export const conflictDefinition: ActorDefinition<ConflictContext> = {
  type: conflictType,
  version: 1,
  machine,
  kind: (context) => context.conflictType,
  index: ({ value, context }) => ({
    status: String(value),
    severity: context.severity,
    conflictType: context.conflictType,
    created: context.createdAt,
    ...(context.agentId === null ? {} : { agentId: context.agentId }),
    ...(context.taskId === null ? {} : { taskId: context.taskId }),
  }),
  view: ({ value, context: { requestHash: _, ...shown } }) => ({ status: String(value), ...shown }) as unknown as Json,
};
