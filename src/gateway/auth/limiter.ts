/**
 * The rate limit of every credential, counted over all gateways. Owns which credential has which meter.
 */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import type { Runtime } from "../../actors/client.ts";
import { address } from "../../machines/address.ts";
import { rateType } from "../../machines/rate/machine.ts";
import type { GatewayClock } from "../config.ts";
import type { Credential } from "./credential.ts";
import { Meter, type Taken } from "./meter.ts";

const metersMax = 20_000;
const unlimited: Taken = { headers: [] };

export class RateLimiter {
  private readonly runtime: Runtime;
  private readonly clock: GatewayClock;
  private readonly fallback: number | null;
  private readonly meters = new LRUCache<string, Meter>({ max: metersMax, dispose: (meter) => meter.stop() });

  /** `fallback`: requests a minute of a credential that names no limit; null: none. */
  constructor(runtime: Runtime, clock: GatewayClock, fallback: number | null) {
    this.runtime = runtime;
    this.clock = clock;
    this.fallback = fallback;
  }

  /** One more request of this credential: at once while tokens are at hand. Throws or rejects with `unavailable`, `overloaded`. */
  take(credential: Credential): Taken | Promise<Taken> {
    const limit = credential.rateLimit === undefined ? this.fallback : credential.rateLimit;
    if (limit === null) return unlimited;
    let meter = this.meters.get(credential.id);
    if (meter === undefined || meter.limit !== limit) {
      meter = new Meter(this.runtime, this.clock, address(rateType, keyOf(credential.id)), limit);
      this.meters.set(credential.id, meter);
    }
    return meter.take();
  }

  stop(): void {
    this.meters.clear();
  }
}

/** A token's subject may hold anything; what would not do as an actor's key is hashed. */
function keyOf(id: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9_.:@-]{0,149}$/.test(id)) return id;
  return `sha256:${createHash("sha256").update(id).digest("hex")}`;
}
