/**
 * The resource's chart: something that tasks hold amounts of while they run. It alone grants them, so it is
 * never over-committed; what it grants it tells the task itself, and the task gives it back however the
 * attempt ends.
 */
import { assertEvent, assign, setup } from "xstate";
import { address } from "../address.ts";
import type { ActorDefinition } from "../definition.ts";
import { announce, type Effect, effects, emit, type Json, refuse, reply, send } from "../effects.ts";
import type { WithMeta } from "../planned.ts";
import { hasRoom, isExclusive, reservationOf, roomOf, supplyOf, usage } from "./room.ts";
import { contendedMax, type ResourceCommand, type ResourceContext, reservationsMax } from "./schema.ts";

type ResourceEvent = WithMeta<ResourceCommand>;

function on<T extends ResourceEvent["type"]>(
  type: T,
  fn: (context: ResourceContext, event: Extract<ResourceEvent, { type: T }>) => readonly Effect[],
) {
  return effects<ResourceContext, ResourceEvent>(({ context, event }) => {
    if (event.type !== type) throw new Error(`${type} expected, not ${event.type}`);
    return fn(context, event as Extract<ResourceEvent, { type: T }>);
  });
}

/** Whoever holds it beside the task that waits. */
function holdersBeside(context: ResourceContext, task: string): string[] {
  return Object.keys(context.held).filter((key) => key !== task);
}

const pairsOf = (context: ResourceContext, task: string) =>
  holdersBeside(context, task)
    .map((holder) => ({ holder, pair: `${task}|${holder}` }))
    .filter(({ pair }) => !context.contended.includes(pair));

/** The conflict's own key: the same pair on the same resource is the same conflict. */
function conflictKey(resource: string, task: string, holder: string): string {
  const part = (text: string) => text.replaceAll("~", ".").slice(-60);
  return `contention_${part(resource)}_${part(task)}_${part(holder)}`;
}

function contentions(context: ResourceContext, event: Extract<ResourceEvent, { type: "resource.contend" }>): Effect[] {
  const { task, priority, meta } = event;
  return pairsOf(context, task).map(({ holder }) =>
    send(address("conflict", conflictKey(meta.self.key, task, holder)), {
      type: "conflict.report",
      taskId: task,
      conflictType: "resource_contention",
      description: `the task waits for ${context.name}, which another task has to itself`,
      severity: "medium",
      metadata: { resource_id: meta.self.key, held_by: holder },
      reportedBy: "runtime",
      parties: [
        { task, priority },
        { task: holder, attempt: context.held[holder]?.attempt ?? 0 },
      ],
    }),
  );
}

const machine = setup({
  types: { context: {} as ResourceContext, events: {} as ResourceEvent },
  guards: {
    isSameRequest: ({ context, event }) =>
      event.type === "resource.register" && context.requestHash !== null && event.requestHash === context.requestHash,
    isHeld: ({ context, event }) =>
      event.type === "resource.reserve" && reservationOf(context, event.task)?.attempt === event.attempt,
    isOlder: ({ context, event }) =>
      event.type === "resource.reserve" && (reservationOf(context, event.task)?.attempt ?? 0) > event.attempt,
    isTooMuch: ({ context, event }) =>
      event.type === "resource.reserve" && !hasRoom(context, event.task, event.amounts),
    hasTooMany: ({ context }) => Object.keys(context.held).length >= reservationsMax,
    holdsFor: ({ context, event }) =>
      event.type === "resource.release" && reservationOf(context, event.task)?.attempt === event.attempt,
    isContended: ({ context, event }) =>
      event.type === "resource.contend" && isExclusive(context) && pairsOf(context, event.task).length > 0,
    goesOffline: ({ event }) => event.type === "resource.set" && event.offline,
    goesOnline: ({ event }) => event.type === "resource.set" && !event.offline,
  },
  actions: {
    register: assign(({ context, event }) => {
      assertEvent(event, "resource.register");
      const { name, resourceType, capacity, written, metadata, createdBy, requestHash, meta } = event;
      return {
        name,
        resourceType,
        capacity,
        written: written ?? capacity,
        metadata: metadata ?? {},
        createdBy: createdBy ?? null,
        requestHash: requestHash ?? null,
        createdAt: meta.now,
        // Of a removed one of this id tasks may still hold something.
        held: context.held ?? {},
        contended: [],
      };
    }),
    tellRegistered: effects<ResourceContext, ResourceEvent>(({ context }) => [
      emit("registered", { name: context.name, capacity: context.capacity }),
      announce("free", supplyOf(context)),
      reply({ created: true }),
    ]),
    reserve: assign(({ context, event }) => {
      assertEvent(event, "resource.reserve");
      const { task, attempt, amounts, meta } = event;
      return { held: { ...context.held, [task]: { attempt, amounts, at: meta.now } } };
    }),
    tellReserved: on("resource.reserve", (context, event) => [
      send(address("task", event.task), {
        type: "task.hold",
        attempt: event.attempt,
        resource: event.meta.self.key,
      }),
      reply({ room: roomOf(context) }),
    ]),
    release: assign(({ context, event }) => {
      assertEvent(event, "resource.release");
      const { [event.task]: _, ...held } = context.held;
      return { held, contended: context.contended.filter((pair) => !pair.endsWith(`|${event.task}`)) };
    }),
    tellReleased: effects<ResourceContext, ResourceEvent>(({ context }) => [
      announce("free", supplyOf(context)),
      reply(null),
    ]),
    contend: assign(({ context, event }) => {
      assertEvent(event, "resource.contend");
      const pairs = pairsOf(context, event.task).map(({ pair }) => pair);
      return { contended: [...context.contended, ...pairs].slice(-contendedMax) };
    }),
    /** Before the pairs are noted. */
    tellContended: on("resource.contend", (context, event) => [...contentions(context, event), reply(null)]),
    tellOffline: effects<ResourceContext, ResourceEvent>(({ context }) => [
      emit("status_changed", { name: context.name, from: usage(context), to: "offline" }),
      reply(null),
    ]),
    tellOnline: effects<ResourceContext, ResourceEvent>(({ context }) => [
      emit("status_changed", { name: context.name, from: "offline", to: usage(context) }),
      announce("free", supplyOf(context)),
      reply(null),
    ]),
    tellRemoved: effects<ResourceContext, ResourceEvent>(({ context }) => [
      emit("removed", { name: context.name }),
      reply(null),
    ]),
    replyHeld: effects<ResourceContext, ResourceEvent>(({ context }) => [reply({ room: roomOf(context) })]),
    replyExisting: effects(() => [reply({ created: false })]),
    refuseExisting: effects(() => [refuse("already_exists", "a resource with this id exists already")]),
    refuseRoom: on("resource.reserve", (context, event) => [
      refuse("overloaded", "not enough of it is left", { needed: event.amounts, room: roomOf(context) }),
    ]),
    refuseMany: effects(() => [refuse("overloaded", `at most ${reservationsMax} tasks hold something of a resource`)]),
    refuseOlder: effects(() => [refuse("conflict", "a newer attempt of the task holds it already")]),
    refuseOffline: effects(() => [refuse("overloaded", "the resource is offline")]),
    acknowledge: effects(() => [reply(null)]),
  },
}).createMachine({
  id: "resource",
  context: {} as ResourceContext,
  initial: "absent",
  states: {
    absent: {
      on: {
        "resource.register": { target: "online", actions: ["register", "tellRegistered"] },
        "resource.release": { actions: "acknowledge" },
      },
    },
    online: {
      on: {
        "resource.register": [{ guard: "isSameRequest", actions: "replyExisting" }, { actions: "refuseExisting" }],
        "resource.reserve": [
          { guard: "isHeld", actions: "replyHeld" },
          { guard: "isOlder", actions: "refuseOlder" },
          { guard: "hasTooMany", actions: "refuseMany" },
          { guard: "isTooMuch", actions: "refuseRoom" },
          { actions: ["reserve", "tellReserved"] },
        ],
        "resource.release": [{ guard: "holdsFor", actions: ["release", "tellReleased"] }, { actions: "acknowledge" }],
        "resource.contend": [
          { guard: "isContended", actions: ["tellContended", "contend"] },
          { actions: "acknowledge" },
        ],
        "resource.set": [
          { guard: "goesOffline", target: "offline", actions: "tellOffline" },
          { actions: "acknowledge" },
        ],
        "resource.remove": { target: "removed", actions: "tellRemoved" },
      },
    },
    offline: {
      on: {
        "resource.register": [{ guard: "isSameRequest", actions: "replyExisting" }, { actions: "refuseExisting" }],
        "resource.reserve": { actions: "refuseOffline" },
        "resource.release": [{ guard: "holdsFor", actions: ["release", "acknowledge"] }, { actions: "acknowledge" }],
        "resource.contend": { actions: "acknowledge" },
        "resource.set": [{ guard: "goesOnline", target: "online", actions: "tellOnline" }, { actions: "acknowledge" }],
        "resource.remove": { target: "removed", actions: "tellRemoved" },
      },
    },
    // What tasks hold of it they give back still; the id is free again.
    removed: {
      on: {
        "resource.register": { target: "online", actions: ["register", "tellRegistered"] },
        "resource.reserve": { actions: "refuseOffline" },
        "resource.release": [{ guard: "holdsFor", actions: ["release", "acknowledge"] }, { actions: "acknowledge" }],
        "resource.contend": { actions: "acknowledge" },
        "resource.remove": { actions: "acknowledge" },
      },
    },
  },
});

export function resourceStatus(value: Json, context: ResourceContext): string {
  return value === "online" ? usage(context) : String(value);
}

export const resourceDefinition: ActorDefinition<ResourceContext> = {
  type: "resource",
  version: 1,
  machine,
  kind: (context) => context.resourceType,
  index: ({ value, context }) =>
    value === "absent" || value === "removed"
      ? null
      : {
          status: resourceStatus(value, context),
          resourceType: context.resourceType,
          created: context.createdAt,
        },
  view: ({ value, context: { requestHash: _, contended: __, ...shown } }) =>
    ({ status: resourceStatus(value, shown as ResourceContext), ...shown }) as unknown as Json,
};
