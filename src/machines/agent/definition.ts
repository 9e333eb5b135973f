/**
 * What the runtime knows of agents: fields for lists, the view without secrets, older snapshots.
 */
import type { ActorDefinition, Snapshot } from "../definition.ts";
import type { Json, JsonObject } from "../effects.ts";
import { agentMachine, agentStatus } from "./machine.ts";
import type { AgentContext } from "./schema.ts";

export const agentDefinition: ActorDefinition<AgentContext> = {
  type: "agent",
  version: 2,
  machine: agentMachine,
  migrate,
  kind: (context) => context.agentType,
  index: ({ value, context }) =>
    value === "absent"
      ? null
      : {
          status: agentStatus(value),
          presence: typeof value === "string" ? value : "present",
          agentType: context.agentType,
          capabilities: context.capabilities,
          created: context.registeredAt,
        },
  view: ({ value, context }) => {
    const { secretHash: _, ...shown } = context;
    return { status: agentStatus(value), ...shown } as unknown as Json;
  },
};

/** Version 1 knew of a slot only its attempt, and no credentials. */
function migrate({ value, context }: Snapshot<JsonObject>, from: number): Snapshot<JsonObject> {
  if (from >= 2 || value === "absent") return { value, context };
  const slots = Object.entries((context.slots ?? {}) as Record<string, number>);
  return {
    value,
    context: {
      ...context,
      liveness: true,
      capacity: {},
      secretHash: null,
      createdBy: null,
      instance: null,
      slots: Object.fromEntries(slots.map(([task, attempt]) => [task, { attempt, at: 0 }])),
      withdrawn: [],
    },
  };
}
