/**
 * The agent's chart: registered, idle, active or busy by its granted slots, unavailable when its
 * heartbeats stop, gone. It alone grants its slots, so its concurrency holds by construction; what it
 * grants it tells the task itself, and the task gives it back however the attempt ends.
 */
import { assertEvent, assign, setup } from "xstate";
import { address } from "../address.ts";
import type { StepMeta } from "../effects.ts";
import {
  announce,
  type Effect,
  effects,
  emit,
  execute,
  forget,
  type Json,
  refuse,
  reply,
  send,
  settle,
} from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import {
  type AgentCommand,
  type AgentContext,
  type AgentRegister,
  heartbeatMsDefault,
  heartbeatsMissedMax,
  withdrawnMax,
} from "./schema.ts";
import { fits, free, losses, offerOf, slotOf, slotsTaken, slotToTake, withoutSlot, withSlot, wordOf } from "./slots.ts";

type AgentEvent = WithMeta<AgentCommand>;

/** The polling of its health check, as work. */
const healthWork = "health";

function register(before: AgentContext, command: AgentRegister, meta: StepMeta): AgentContext {
  const stays = isSameInstance(before, command);
  return {
    agentType: command.agentType,
    name: command.name,
    version: command.version ?? null,
    capabilities: command.capabilities,
    concurrency: command.concurrency,
    hosted: command.hosted ?? null,
    ...(command.fallback === true && { fallback: true }),
    heartbeatMs: command.heartbeatMs ?? heartbeatMsDefault,
    liveness: command.liveness ?? true,
    configuration: command.configuration ?? {},
    resources: command.resources ?? {},
    capacity: command.capacity ?? {},
    metadata: command.metadata ?? {},
    healthCheckUrl: command.healthCheckUrl ?? null,
    secretHash: command.secretHash ?? before.secretHash ?? null,
    createdBy: command.bySelf === true ? (before.createdBy ?? null) : (command.createdBy ?? null),
    instance: command.instance ?? null,
    registeredAt: meta.now,
    heartbeatAt: meta.now,
    reported: { status: null, currentTasks: null, metrics: null },
    slots: stays ? before.slots : {},
    withdrawn: stays ? before.withdrawn : [],
  };
}

function isSameInstance(before: AgentContext, command: AgentRegister): boolean {
  return command.instance !== undefined && before.instance === command.instance;
}

function on<T extends AgentEvent["type"]>(
  type: T,
  fn: (context: AgentContext, event: Extract<AgentEvent, { type: T }>) => readonly Effect[],
) {
  return effects<AgentContext, AgentEvent>(({ context, event }) => {
    if (event.type !== type) throw new Error(`${type} expected, not ${event.type}`);
    return fn(context, event as Extract<AgentEvent, { type: T }>);
  });
}

const statusChanged = (from: string, to: string) => (from === to ? [] : [emit("status_changed", { from, to })]);

const agentSetup = setup({
  types: { context: {} as AgentContext, events: {} as AgentEvent },
  guards: {
    isIdle: ({ context }) => slotsTaken(context) === 0,
    isFull: ({ context }) => slotsTaken(context) >= context.concurrency,
    holdsSlot: ({ context, event }) =>
      event.type === "agent.assign" && slotOf(context, event.task)?.attempt === event.attempt,
    holdsNewer: ({ context, event }) =>
      event.type === "agent.assign" && (slotOf(context, event.task)?.attempt ?? 0) > event.attempt,
    knowsTask: ({ context, event }) => event.type === "agent.assign" && slotOf(context, event.task) !== undefined,
    isTooMuch: ({ context, event }) => event.type === "agent.assign" && !fits(context, event.task, event.amounts),
    mayRelease: ({ context, event }) =>
      event.type === "agent.release" && slotOf(context, event.task)?.attempt === event.attempt,
    hasToTake: ({ context, event }) => event.type === "agent.take" && slotToTake(context, event.task) !== undefined,
    isOthers: ({ context, event }) =>
      event.type === "agent.register" && event.bySelf !== true && (event.createdBy ?? null) !== context.createdBy,
    /** Its heartbeats do not bring it back; its health check does. */
    isUnhealthy: ({ context }) => context.healthy === false,
    isHealthy: ({ event }) => event.type === "agent.health" && event.ok,
    isThisInstance: ({ context, event }) => event.type === "agent.lose" && event.instance === context.instance,
    fellSilent: ({ context }) => context.liveness,
  },
  delays: { silence: ({ context }) => context.heartbeatMs * heartbeatsMissedMax },
  actions: {
    register: assign(({ context, event }) => {
      assertEvent(event, "agent.register");
      return register(context, event, event.meta);
    }),
    tellLossesOfFormer: on("agent.register", (context, event) => [
      ...(isSameInstance(context, event) ? [] : losses(context, "its agent began anew")),
      ...(context.healthCheckUrl === null ? [] : [settle(healthWork)]),
    ]),
    tellRegistered: effects<AgentContext, AgentEvent>(({ context }) => [
      emit("registered", {
        name: context.name,
        agentType: context.agentType,
        capabilities: context.capabilities,
        concurrency: context.concurrency,
      }),
      ...(context.healthCheckUrl === null ? [] : [execute(healthWork, "health", {})]),
      reply({ registered: true }),
      ...free(context),
    ]),
    /** Before it is heard: what it changes. */
    tellHeard: on("agent.heartbeat", (context, event) => {
      const reported = { ...context.reported, status: event.status ?? null };
      return statusChanged(wordOf(context), wordOf({ ...context, reported }));
    }),
    hear: assign(({ context, event }) => {
      assertEvent(event, "agent.heartbeat");
      const { status, currentTasks, metrics } = event;
      return {
        heartbeatAt: event.meta.now,
        liveness: true,
        withdrawn: [],
        reported: {
          status: status ?? null,
          currentTasks: currentTasks ?? null,
          metrics: metrics ?? context.reported.metrics,
        },
      };
    }),
    answerHeartbeat: on("agent.heartbeat", (context, event) => {
      const unknown = (event.tasks ?? []).filter((task) => slotOf(context, task) === undefined);
      return [reply({ cancelled: [...new Set([...context.withdrawn, ...unknown])] })];
    }),
    noteHealth: assign(({ event }) => {
      assertEvent(event, "agent.health");
      return { healthy: event.ok };
    }),
    grant: assign(({ context, event }) => {
      assertEvent(event, "agent.assign");
      return withSlot(context, event.task, event.attempt, event.amounts, event.meta.now);
    }),
    tellGranted: on("agent.assign", (context, event) => {
      const { task, attempt } = event;
      return [
        send(address("task", task), { type: "task.assign", attempt, agent: event.meta.self.key }),
        announce("granted", { task, attempt, hosted: context.hosted?.node ?? null }),
        reply({ free: context.concurrency - slotsTaken(context) }),
      ];
    }),
    tellBusier: effects<AgentContext, AgentEvent>(({ context }) =>
      statusChanged(wordOf(context, slotsTaken(context) - 1), wordOf(context)),
    ),
    replyGranted: effects<AgentContext, AgentEvent>(({ context }) => [
      reply({ free: context.concurrency - slotsTaken(context) }),
    ]),
    release: assign(({ context, event }) => {
      assertEvent(event, "agent.release");
      const { task } = event;
      const withdrawn = event.withdrawn === true && context.hosted === null;
      return {
        slots: withoutSlot(context, task),
        ...(withdrawn && { withdrawn: [...context.withdrawn.slice(1 - withdrawnMax), task] }),
      };
    }),
    tellReleased: on("agent.release", (context, event) => [
      ...(event.withdrawn === true ? [announce("withdrawn", { task: event.task, attempt: event.attempt })] : []),
      ...statusChanged(wordOf(context, slotsTaken(context) + 1), wordOf(context)),
      ...free(context),
      reply(null),
    ]),
    take: assign(({ context, event }) => {
      assertEvent(event, "agent.take");
      const task = slotToTake(context, event.task) as string;
      return {
        slots: { ...context.slots, [task]: { ...slotOf(context, task), takenAt: event.meta.now } },
      } as Partial<AgentContext>;
    }),
    /** Before the slot is marked: which it will be. */
    replyTaken: on("agent.take", (context, event) => {
      const task = slotToTake(context, event.task) as string;
      return [reply({ task, attempt: slotOf(context, task)?.attempt ?? 0 })];
    }),
    replyNothing: effects(() => [reply(null)]),
    replyCredentials: effects<AgentContext, AgentEvent>(({ context }) => [
      reply({ secretHash: context.secretHash, agentType: context.agentType, createdBy: context.createdBy }),
    ]),
    dropSlots: assign({ slots: {}, withdrawn: [] }),
    tellLosses: effects<AgentContext, AgentEvent>(({ context }) => losses(context, "its agent fell silent or left")),
    tellFree: effects<AgentContext, AgentEvent>(({ context }) => free(context)),
    tellUnavailable: effects<AgentContext, AgentEvent>(({ context }) => [
      ...statusChanged(wordOf(context), "unavailable"),
      reply(null),
    ]),
    tellAvailable: effects<AgentContext, AgentEvent>(({ context }) => statusChanged("unavailable", wordOf(context))),
    tellGone: effects<AgentContext, AgentEvent>(({ context }) => [
      ...(context.healthCheckUrl === null ? [] : [settle(healthWork)]),
      emit("deregistered", { name: context.name }),
      reply(null),
    ]),
    watchHealth: effects<AgentContext, AgentEvent>(({ context, event }) =>
      (event.type as string) === "work.lose" && context.healthCheckUrl !== null
        ? [settle(healthWork), execute(healthWork, "health", {})]
        : [],
    ),
    refuseFull: effects<AgentContext, AgentEvent>(({ context }) => [
      refuse("overloaded", `all ${context.concurrency} slots are taken`, { concurrency: context.concurrency }),
    ]),
    refuseRoom: on("agent.assign", (context, event) => [
      refuse("overloaded", "the agent has no room for what the task needs", {
        needed: event.amounts ?? {},
        offer: offerOf(context),
      }),
    ]),
    refuseOlder: effects(() => [refuse("conflict", "a newer attempt of the task has a slot already")]),
    refuseOthers: effects<AgentContext, AgentEvent>(() => [
      refuse("forbidden", "the agent was registered by another credential, and is still there"),
    ]),
    refuseUnavailable: effects(() => [refuse("agent_unavailable", "the agent's heartbeats have stopped")]),
    refuseGone: effects(() => [refuse("agent_unavailable", "the agent has deregistered")]),
    acknowledge: effects(() => [reply(null)]),
    forgetSilence: effects(() => [forget("silence")]),
  },
});

const registering = [
  { guard: "isOthers", actions: "refuseOthers" },
  { target: "#agent.present", reenter: true, actions: ["tellLossesOfFormer", "register", "tellRegistered"] },
] as const;

export const agentMachine = agentSetup.createMachine({
  id: "agent",
  context: {} as AgentContext,
  initial: "absent",
  states: {
    absent: {
      on: {
        "agent.register": { target: "present", actions: ["register", "tellRegistered"] },
        "agent.release": { actions: "acknowledge" },
      },
    },
    present: {
      initial: "registered",
      after: { silence: { guard: "fellSilent", target: "unavailable" } },
      on: {
        "agent.register": registering,
        "agent.heartbeat": {
          target: "present",
          reenter: true,
          actions: ["answerHeartbeat", "tellHeard", "hear", "tellFree"],
        },
        "agent.deregister": { target: "gone", actions: ["tellLosses", "dropSlots", "tellGone"] },
        "agent.assign": [
          { guard: "holdsSlot", actions: "replyGranted" },
          { guard: "holdsNewer", actions: "refuseOlder" },
          { guard: "isTooMuch", actions: "refuseRoom" },
          { guard: "knowsTask", target: ".registered", actions: ["grant", "tellGranted"] },
          { guard: "isFull", actions: "refuseFull" },
          { target: ".registered", actions: ["grant", "tellGranted", "tellBusier"] },
        ],
        "agent.release": [
          { guard: "mayRelease", target: ".registered", actions: ["release", "tellReleased"] },
          { actions: "acknowledge" },
        ],
        "agent.take": [{ guard: "hasToTake", actions: ["replyTaken", "take"] }, { actions: "replyNothing" }],
        "agent.credentials": { actions: "replyCredentials" },
        "agent.health": [
          { guard: "isHealthy", actions: ["noteHealth", "acknowledge"] },
          { target: "unavailable", actions: "noteHealth" },
        ],
        "agent.lose": [{ guard: "isThisInstance", target: "unavailable" }, { actions: "acknowledge" }],
        "work.lose": { actions: "watchHealth" },
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
      entry: ["tellLosses", "tellUnavailable", "dropSlots"],
      on: {
        "agent.register": registering,
        "agent.heartbeat": [
          { guard: "isUnhealthy", actions: ["answerHeartbeat", "hear"] },
          { target: "present", actions: ["answerHeartbeat", "hear", "tellAvailable", "tellFree"] },
        ],
        "agent.health": [
          {
            guard: "isHealthy",
            target: "present",
            actions: ["noteHealth", "tellAvailable", "tellFree", "acknowledge"],
          },
          { actions: ["noteHealth", "acknowledge"] },
        ],
        "agent.deregister": { target: "gone", actions: "tellGone" },
        "agent.assign": { actions: "refuseUnavailable" },
        "agent.release": { actions: "acknowledge" },
        "agent.take": { actions: "replyNothing" },
        "agent.credentials": { actions: "replyCredentials" },
        "agent.lose": { actions: "acknowledge" },
        "work.lose": { actions: "watchHealth" },
      },
    },
    gone: {
      on: {
        "agent.register": { target: "present", actions: ["register", "tellRegistered"] },
        "agent.heartbeat": { actions: "refuseGone" },
        "agent.assign": { actions: "refuseGone" },
        "agent.take": { actions: "refuseGone" },
        "agent.release": { actions: "acknowledge" },
        "agent.deregister": { actions: "acknowledge" },
        "agent.lose": { actions: "acknowledge" },
      },
    },
  },
});

/** `idle`, `active` (slots free), `busy` (none free), `unavailable`, `gone`. */
export function agentStatus(value: Json): string {
  return typeof value === "object" && value !== null ? String(Object.values(value)[0]) : String(value);
}
