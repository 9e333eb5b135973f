/**
 * How many requests one credential has used in the last minute, over all gateways. A gateway leases a few
 * tokens at a time, spends them within `leaseMs`, and gives back what it did not spend. Owns the sum; who
 * waits for a token, and what an answer says, is the gateway's.
 *
 * Why no minute ever sees more than the limit: a token given in a slot counts from the beginning of that slot
 * until `windowMs` after the latest moment at which it can have been spent.
 */
import { assertEvent, setup } from "xstate";
import { z } from "zod";
import type { ActorDefinition } from "../definition.ts";
import { type Effect, refuse, reply } from "../effects.ts";
import { type Planned, planned, type WithMeta } from "../planned.ts";

export const rateType = "rate";

export const windowMs = 60_000;
/** Tokens are counted by the slot in which they were given. */
export const slotMs = 250;
/** How long after it asked a gateway may spend what it was given. */
export const leaseMs = 500;

export const rateLeaseSchema = z.object({
  type: z.literal("rate.lease"),
  /** Requests a minute. */
  limit: z.int().min(1),
  /** Tokens that the gateway can use now; 0: it only gives back. */
  want: z.int().min(0).max(1_000_000),
  /** Unspent tokens of former leases: slot and count. */
  unspent: z.array(z.object({ slot: z.int().min(0), count: z.int().min(1) })).max(16),
});
export type RateLease = z.output<typeof rateLeaseSchema>;

/** What a gateway is given. */
export interface RateGrant {
  /** 0: the limit is used up. */
  readonly granted: number;
  /** To be named when some come back. */
  readonly slot: number;
  /** Tokens left for all after this. */
  readonly available: number;
  /** When the oldest that counts ends to count, in ms from now; 0: nothing counts. */
  readonly freesInMs: number;
}

export interface RateContext {
  /** Tokens given, by slot. */
  readonly slots?: { readonly [slot: string]: number };
}

type Event = WithMeta<RateLease>;

/** When a slot's tokens end to count. */
const countsUntil = (slot: number): number => (slot + 1) * slotMs + leaseMs + windowMs;

/** A gateway that asks for many gets an eighth of what is left, so that little is stranded with one of them. */
function shareOf(limit: number, available: number, want: number): number {
  return Math.min(available, want, Math.max(Math.ceil(limit / 500), Math.floor(available / 8)));
}

function lease(context: RateContext, event: Event): Planned<RateContext> {
  const parsed = rateLeaseSchema.safeParse(event);
  if (!parsed.success) return { context, effects: [refuse("invalid_input", "not a lease")] };
  const { limit, want, unspent } = parsed.data;
  const { now } = event.meta;
  const slots: Record<string, number> = {};
  let used = 0;
  let oldest = Number.POSITIVE_INFINITY;
  const back = new Map<number, number>();
  for (const { slot, count } of unspent) back.set(slot, (back.get(slot) ?? 0) + count);
  for (const [key, given] of Object.entries(context.slots ?? {})) {
    const slot = Number(key);
    const count = given - (back.get(slot) ?? 0);
    if (count <= 0 || countsUntil(slot) <= now) continue;
    slots[key] = count;
    used += count;
    oldest = Math.min(oldest, slot);
  }
  const slot = Math.floor(now / slotMs);
  const granted = shareOf(limit, Math.max(0, limit - used), want);
  if (granted > 0) {
    slots[slot] = (slots[slot] ?? 0) + granted;
    oldest = Math.min(oldest, slot);
  }
  const grant: RateGrant = {
    granted,
    slot,
    available: Math.max(0, limit - used - granted),
    freesInMs: Number.isFinite(oldest) ? countsUntil(oldest) - now : 0,
  };
  const effects: Effect[] = [reply({ ...grant })];
  return { context: { slots }, effects };
}

const machine = setup({
  types: { context: {} as RateContext, events: {} as Event },
  actions: {
    lease: planned<RateContext, Event>((context, event) => {
      assertEvent(event, "rate.lease");
      return lease(context, event);
    }),
  },
}).createMachine({
  id: rateType,
  context: {},
  initial: "absent",
  states: {
    absent: { on: { "rate.lease": { target: "counting", actions: "lease" } } },
    counting: { on: { "rate.lease": { actions: "lease" } } },
  },
});

export const rateDefinition: ActorDefinition<RateContext> = {
  type: rateType,
  version: 1,
  machine,
  kind: () => "credential",
  index: () => null,
};
