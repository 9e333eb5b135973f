/**
 * An agent's slots: what is taken, what is free, who gets the next, what is lost with the agent. Pure
 * functions over its context; the chart that calls them is in machine.ts.
 */
import { address } from "../address.ts";
import { announce, type Effect, type JsonObject, send } from "../effects.ts";
import type { Amounts } from "../schema.ts";
import type { AgentContext, Slot } from "./schema.ts";

export function slotsTaken(context: AgentContext): number {
  return Object.keys(context.slots).length;
}

/** Words for an agent that is there: `busy` when it can take no more or says so, `idle` only when it says so itself. */
export function wordOf(context: AgentContext, taken = slotsTaken(context)): "active" | "busy" | "idle" {
  const { status } = context.reported;
  if (taken >= context.concurrency || status === "busy") return "busy";
  return taken === 0 && status === "idle" ? "idle" : "active";
}

export function slotOf(context: AgentContext, task: string): Slot | undefined {
  return Object.hasOwn(context.slots, task) ? context.slots[task] : undefined;
}

/** The part of what a task needs that this agent declares itself. */
export function ownAmounts(context: AgentContext, needed: Amounts | undefined): Amounts {
  const own = Object.entries(needed ?? {}).filter(([unit]) => Object.hasOwn(context.capacity, unit));
  return Object.fromEntries(own);
}

/** What is left of its capacity, were the slot of `task` free. */
export function roomFor(context: AgentContext, task: string): Amounts {
  const room: Record<string, number> = { ...context.capacity };
  for (const [key, slot] of Object.entries(context.slots)) {
    if (key === task) continue;
    for (const [unit, amount] of Object.entries(slot.amounts ?? {})) room[unit] = (room[unit] ?? 0) - amount;
  }
  return room;
}

export function fits(context: AgentContext, task: string, needed: Amounts | undefined): boolean {
  const room = roomFor(context, task);
  return Object.entries(ownAmounts(context, needed)).every(([unit, amount]) => amount <= (room[unit] ?? 0));
}

export function withSlot(
  context: AgentContext,
  task: string,
  attempt: number,
  needed: Amounts | undefined,
  now: number,
): Partial<AgentContext> {
  const amounts = ownAmounts(context, needed);
  const slot = { attempt, at: now, ...(Object.keys(amounts).length > 0 && { amounts }) };
  return { slots: { ...context.slots, [task]: slot } };
}

export function withoutSlot(context: AgentContext, task: string): AgentContext["slots"] {
  const { [task]: _, ...rest } = context.slots;
  return rest;
}

/** The slot to hand out: the named one, or the first granted of those that were not handed out. */
export function slotToTake(context: AgentContext, task: string | undefined): string | undefined {
  if (task !== undefined) return slotOf(context, task) === undefined ? undefined : task;
  let best: string | undefined;
  let since = Number.POSITIVE_INFINITY;
  for (const [key, slot] of Object.entries(context.slots)) {
    if (slot.takenAt !== undefined || slot.at >= since) continue;
    best = key;
    since = slot.at;
  }
  return best;
}

/** What dispatchers need to know to offer it work. */
export function offerOf(context: AgentContext): JsonObject {
  return {
    free: context.concurrency - slotsTaken(context),
    concurrency: context.concurrency,
    agentType: context.agentType,
    capabilities: context.capabilities,
    hosted: context.hosted?.node ?? null,
    fallback: context.fallback === true,
    room: roomFor(context, ""),
    capacity: context.capacity,
  };
}

/** Tells that it can take more. */
export function free(context: AgentContext): Effect[] {
  return slotsTaken(context) < context.concurrency ? [announce("free", offerOf(context))] : [];
}

/** Its attempts are lost with it, uncharged. */
export function losses(context: AgentContext, reason: string): Effect[] {
  return Object.entries(context.slots).map(([task, { attempt }]) =>
    send(address("task", task), { type: "work.lose", id: `attempt-${attempt}`, reason }),
  );
}
