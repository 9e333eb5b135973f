/**
 * An agent beyond this process as a dispatcher knows it: what its actor told last. An estimate: its actor alone
 * grants slots, and refuses when this was wrong.
 */
import type { JsonObject } from "../../machines/effects.ts";
import type { Amounts } from "../../machines/schema.ts";
import type { Need } from "./need.ts";
import type { Worker } from "./pools.ts";

/** As an agent's actor tells it (machines/agent/slots.ts `offerOf`). */
export interface Offer {
  readonly free: number;
  readonly concurrency: number;
  readonly agentType: string;
  readonly capabilities: readonly string[];
  readonly hosted: string | null;
  readonly fallback: boolean;
  readonly room: Amounts;
  readonly capacity: Amounts;
}

export class Remote implements Worker {
  readonly id: string;
  readonly type: string;
  readonly capabilities: readonly string[];
  readonly distance: 1 | 2;
  readonly fallback: boolean;
  free: number;
  /** Offers that its actor has not answered. */
  asked = 0;
  #concurrency: number;
  #room: Amounts;
  #capacity: Amounts;

  constructor(id: string, offer: Offer) {
    this.id = id;
    this.type = offer.agentType;
    this.capabilities = offer.capabilities;
    this.distance = offer.hosted === null ? 1 : 2;
    this.fallback = offer.fallback === true;
    this.free = offer.free;
    this.#concurrency = offer.concurrency;
    this.#room = offer.room;
    this.#capacity = offer.capacity;
  }

  /** True when what it can do is as before: then it need not be put beside the queues anew. */
  update(offer: Offer): boolean {
    const same =
      offer.agentType === this.type &&
      (offer.hosted === null) === (this.distance === 1) &&
      (offer.fallback === true) === this.fallback &&
      offer.capabilities.length === this.capabilities.length &&
      offer.capabilities.every((capability, i) => capability === this.capabilities[i]);
    if (!same) return false;
    this.free = Math.max(0, offer.free - this.asked);
    this.#concurrency = offer.concurrency;
    this.#room = offer.room;
    this.#capacity = offer.capacity;
    return true;
  }

  /** One more offer is under way, or one less. */
  keep(by: 1 | -1): void {
    this.asked += by;
    this.free = Math.max(0, this.free - by);
  }

  hasRoom({ amounts }: Need): boolean {
    if (amounts === undefined) return true;
    return Object.entries(amounts).every(([unit, amount]) => !this.declares(unit) || amount <= (this.#room[unit] ?? 0));
  }

  declares(unit: string): boolean {
    return Object.hasOwn(this.#capacity, unit);
  }

  load(): number {
    return (this.#concurrency - this.free) / this.#concurrency;
  }
}

/** What was announced, when it has that form; anybody may publish on core NATS. */
export function offerFrom(data: JsonObject): Offer | undefined {
  const { free, concurrency, agentType, capabilities, hosted, room, capacity } = data;
  if (typeof free !== "number" || typeof concurrency !== "number" || typeof agentType !== "string") return undefined;
  if (!Array.isArray(capabilities) || !(hosted === null || typeof hosted === "string")) return undefined;
  if (typeof room !== "object" || typeof capacity !== "object") return undefined;
  return data as unknown as Offer;
}
