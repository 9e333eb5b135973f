/**
 * The agent's chart: registered, idle, active or busy by its granted slots, unavailable when its
 * heartbeats stop, gone. It alone grants its slots, so its concurrency holds by construction.
 */
import { assertEvent, assign, setup } from "xstate";
import { address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import type { StepMeta } from "../effects.ts";
import { effects, emit, type Json, refuse, reply, send } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import {
  type AgentCommand,
  type AgentContext,
  type AgentRegister,
  heartbeatMsDefault,
  heartbeatsMissedMax,
} from "./schema.ts";

type AgentEvent = WithMeta<AgentCommand>;

function register(command: AgentRegister, meta: StepMeta): AgentContext {
  return {
    agentType: command.agentType,
    name: command.name,
    version: command.version ?? null,
    capabilities: command.capabilities,
    concurrency: command.concurrency,
    hosted: command.hosted ?? null,
    heartbeatMs: command.heartbeatMs ?? heartbeatMsDefault,
    configuration: command.configuration ?? {},
    resources: command.resources ?? {},
    metadata: command.metadata ?? {},
    healthCheckUrl: command.healthCheckUrl ?? null,
    registeredAt: meta.now,
    heartbeatAt: meta.now,
    reported: { status: null, currentTasks: null, metrics: null },
    slots: {},
  };
}

const slotsTaken = (context: AgentContext) => Object.keys(context.slots).length;

function grantedAttempt(context: AgentContext, task: string): number | undefined {
  return Object.hasOwn(context.slots, task) ? context.slots[task] : undefined;
}

/** A remote agent's attempts are lost with it; those of a hosted one the runtime watches itself. */
function losses(context: AgentContext, reason: string) {
  if (context.hosted !== null) return [];
  return Object.entries(context.slots).map(([task, attempt]) =>
    send(address("task", task), { type: "work.lose", id: `attempt-${attempt}`, reason }),
  );
}

const agentSetup = setup({
  types: { context: {} as AgentContext, events: {} as AgentEvent },
  guards: {
    isIdle: ({ context }) => slotsTaken(context) === 0,
    isFull: ({ context }) => slotsTaken(context) >= context.concurrency,
    holdsSlot: ({ context, event }) =>
      event.type === "agent.assign" && grantedAttempt(context, event.task) === event.attempt,
    knowsTask: ({ context, event }) =>
      event.type === "agent.assign" && grantedAttempt(context, event.task) !== undefined,
    mayRelease: ({ context, event }) =>
      event.type === "agent.release" && grantedAttempt(context, event.task) === event.attempt,
  },
  delays: { silence: ({ context }) => context.heartbeatMs * heartbeatsMissedMax },
  actions: {
    register: assign(({ event }) => {
      assertEvent(event, "agent.register");
      return register(event, event.meta);
    }),
    tellRegistered: effects<AgentContext, AgentEvent>(({ context }) => [
      emit("registered", { name: context.name, capabilities: context.capabilities, concurrency: context.concurrency }),
      reply({ registered: true }),
    ]),
    hear: assign(({ context, event }) => {
      assertEvent(event, "agent.heartbeat");
      const { status, currentTasks, metrics } = event;
      return {
        heartbeatAt: event.meta.now,
        reported: {
          status: status ?? null,
          currentTasks: currentTasks ?? null,
          metrics: metrics ?? context.reported.metrics,
        },
      };
    }),
    grant: assign(({ context, event }) => {
      assertEvent(event, "agent.assign");
      return { slots: { ...context.slots, [event.task]: event.attempt } };
    }),
    release: assign(({ context, event }) => {
      assertEvent(event, "agent.release");
      return { slots: Object.fromEntries(Object.entries(context.slots).filter(([task]) => task !== event.task)) };
    }),
    dropSlots: assign({ slots: {} }),
    tellLosses: effects<AgentContext, AgentEvent>(({ context }) => losses(context, "its agent fell silent or left")),
    tellUnavailable: effects<AgentContext, AgentEvent>(({ context }) => [
      emit("unavailable", { heartbeatAt: context.heartbeatAt }),
    ]),
    tellAvailable: effects(() => [emit("available")]),
    tellGone: effects(() => [emit("deregistered")]),
    refuseFull: effects<AgentContext, AgentEvent>(({ context }) => [
      refuse("overloaded", `all ${context.concurrency} slots are taken`, { concurrency: context.concurrency }),
    ]),
    refuseUnavailable: effects(() => [refuse("agent_unavailable", "the agent's heartbeats have stopped")]),
    refuseGone: effects(() => [refuse("agent_unavailable", "the agent has deregistered")]),
    acknowledge: effects(() => [reply(null)]),
  },
});

const registering = {
  target: "#agent.present",
  reenter: true,
  actions: ["tellLosses", "register", "tellRegistered"],
} as const;

export const agentMachine = agentSetup.createMachine({
  id: "agent",
  context: {} as AgentContext,
  initial: "absent",
  states: {
    absent: { on: { "agent.register": { target: "present", actions: ["register", "tellRegistered"] } } },
    present: {
      initial: "registered",
      after: { silence: "unavailable" },
      on: {
        "agent.register": registering,
        "agent.heartbeat": { target: "present", reenter: true, actions: "hear" },
        "agent.deregister": { target: "gone", actions: ["tellLosses", "dropSlots", "tellGone"] },
        "agent.assign": [
          { guard: "holdsSlot", actions: "acknowledge" },
          { guard: "knowsTask", target: ".registered", actions: ["grant", "acknowledge"] },
          { guard: "isFull", actions: "refuseFull" },
          { target: ".registered", actions: ["grant", "acknowledge"] },
        ],
        "agent.release": [
          { guard: "mayRelease", target: ".registered", actions: ["release", "acknowledge"] },
          { actions: "acknowledge" },
        ],
      },
      states: {
        registered: {
          always: [{ guard: "isIdle", target: "idle" }, { guard: "isFull", target: "busy" }, { target: "active" }],
        },
        idle: {},
        active: {},
        busy: {},
      },
    },
    unavailable: {
      entry: ["tellLosses", "tellUnavailable"],
      exit: "dropSlots",
      on: {
        "agent.register": registering,
        "agent.heartbeat": { target: "present", actions: ["hear", "tellAvailable"] },
        "agent.deregister": { target: "gone", actions: "tellGone" },
        "agent.assign": { actions: "refuseUnavailable" },
        "agent.release": { actions: "acknowledge" },
      },
    },
    gone: {
      on: {
        "agent.register": { target: "present", actions: ["register", "tellRegistered"] },
        "agent.heartbeat": { actions: "refuseGone" },
        "agent.assign": { actions: "refuseGone" },
        "agent.release": { actions: "acknowledge" },
        "agent.deregister": { actions: "acknowledge" },
      },
    },
  },
});

/** `idle`, `active` (slots free), `busy` (none free), `unavailable`, `gone`. */
export function agentStatus(value: Json): string {
  return typeof value === "object" && value !== null ? String(Object.values(value)[0]) : String(value);
}

export const agentDefinition: ActorDefinition<AgentContext> = {
  type: "agent",
  version: 1,
  machine: agentMachine,
  kind: (context) => context.agentType,
  index: ({ value, context }) => ({
    status: agentStatus(value),
    agentType: context.agentType,
    capabilities: context.capabilities,
    created: context.registeredAt,
  }),
  view: ({ value, context }) => ({ status: agentStatus(value), ...context }) as unknown as Json,
};
