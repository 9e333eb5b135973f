/**
 * What of a resource is left, what that makes it, and whether a task would have it to itself. Pure functions over
 * its context; the chart is in machine.ts.
 */
import type { JsonObject } from "../effects.ts";
import type { Amounts } from "../schema.ts";
import type { Reservation, ResourceContext } from "./schema.ts";

export function reservationOf(context: ResourceContext, task: string): Reservation | undefined {
  return Object.hasOwn(context.held, task) ? context.held[task] : undefined;
}

/** What is left per unit, were the reservation of `task` not there. */
export function roomOf(context: ResourceContext, task = ""): Amounts {
  const room: Record<string, number> = { ...context.capacity };
  for (const [key, { amounts }] of Object.entries(context.held)) {
    if (key === task) continue;
    for (const [unit, amount] of Object.entries(amounts)) room[unit] = (room[unit] ?? 0) - amount;
  }
  return room;
}

export function hasRoom(context: ResourceContext, task: string, amounts: Amounts): boolean {
  const room = roomOf(context, task);
  return Object.entries(amounts).every(([unit, amount]) => Object.hasOwn(room, unit) && amount <= (room[unit] ?? 0));
}

/** `available`: nothing is held; `full`: nothing is left of some unit; between them `in_use`. */
export function usage(context: ResourceContext): "available" | "in_use" | "full" {
  if (Object.keys(context.held).length === 0) return "available";
  const room = roomOf(context);
  return Object.entries(context.capacity).some(([unit, amount]) => amount > 0 && (room[unit] ?? 0) <= 0)
    ? "full"
    : "in_use";
}

/** One task at a time: said so, or there is one of one thing. */
export function isExclusive({ metadata, capacity }: ResourceContext): boolean {
  const units = Object.values(capacity);
  return metadata.exclusive === true || (units.length === 1 && units[0] === 1);
}

/** What dispatchers need to know. */
export function supplyOf(context: ResourceContext): JsonObject {
  return { capacity: context.capacity, room: roomOf(context), exclusive: isExclusive(context) };
}
