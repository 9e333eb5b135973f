/**
 * One credential's tokens in this gateway: leases them from the credential's `rate` actor, spends them, gives
 * back what it did not spend. Owns who waits for a token; the sum over all gateways is the actor's.
 */
import type { Runtime } from "../../actors/client.ts";
import type { Address } from "../../machines/address.ts";
import type { Json } from "../../machines/effects.ts";
import { TroupeError } from "../../machines/errors.ts";
import { leaseMs, type RateGrant } from "../../machines/rate/machine.ts";
import type { GatewayClock } from "../config.ts";

/** What one request is told: how it stands, and the refusal when the limit is used up. */
export interface Taken {
  readonly headers: readonly (readonly [string, string])[];
  readonly refused?: TroupeError;
}

interface Waiter {
  resolve(taken: Taken): void;
  reject(error: unknown): void;
}

const waitersMax = 10_000;
const askMs = 5_000;
/** After a refusal the actor is asked again this often: others may have given tokens back. */
const deniedMs = 1_000;
const wantMax = 4_096;
const unspentMax = 16;

export class Meter {
  readonly limit: number;
  private readonly runtime: Runtime;
  private readonly clock: GatewayClock;
  private readonly at: Address;
  private tokens = 0;
  private slot = 0;
  /** Until then (monotonic) the tokens may be spent. */
  private until = 0;
  /** Until then (monotonic) all is refused. */
  private deniedUntil = 0;
  private available: number;
  /** When some more are free, in the gateway's time. */
  private freesAt = 0;
  /** What to ask for: as much as was spent in the last lease, and twice that when it did not suffice. */
  private want = 4;
  private unspent: { slot: number; count: number }[] = [];
  private waiters: Waiter[] = [];
  private asking = false;
  private timer: { cancel(): void } | undefined;

  constructor(runtime: Runtime, clock: GatewayClock, at: Address, limit: number) {
    this.runtime = runtime;
    this.clock = clock;
    this.at = at;
    this.limit = limit;
    this.available = limit;
  }

  take(): Taken | Promise<Taken> {
    const now = this.clock.monotonic();
    if (this.waiters.length === 0 && this.tokens > 0 && now < this.until) return this.spend();
    if (now < this.deniedUntil) return this.refuse();
    if (this.waiters.length >= waitersMax) {
      throw new TroupeError("overloaded", "Too many requests of this credential wait");
    }
    return new Promise((resolve, reject) => {
      this.waiters.push({ resolve, reject });
      if (!this.asking) void this.lease();
    });
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  private spend(): Taken {
    this.tokens--;
    return { headers: this.headers() };
  }

  private refuse(): Taken {
    const retryAfter = Math.max(1, Math.ceil((this.freesAt - this.clock.now()) / 1000));
    const message = `The limit of ${this.limit} requests a minute is used up`;
    const refused = new TroupeError("rate_limited", message, { limit: this.limit, retry_after: retryAfter });
    return { headers: this.headers(), refused };
  }

  private headers(): Taken["headers"] {
    return [
      ["x-ratelimit-limit", String(this.limit)],
      ["x-ratelimit-remaining", String(this.available + this.tokens)],
      ["x-ratelimit-reset", String(Math.ceil(this.freesAt / 1000))],
    ];
  }

  /** Asks until nobody waits. Tokens that ran out go back with the next question, or with one of their own. */
  private async lease(): Promise<void> {
    this.asking = true;
    this.stop();
    do {
      this.putBack();
      const asked = this.clock.monotonic();
      const want = this.waiters.length === 0 ? 0 : Math.min(wantMax, Math.max(this.want, this.waiters.length));
      const back = this.unspent.splice(0, unspentMax);
      try {
        const command = { type: "rate.lease", limit: this.limit, want, unspent: back };
        const answer = await this.runtime.ask(this.at, command, { timeoutMs: askMs });
        this.granted(answer.reply, want, asked);
      } catch (error) {
        for (const waiter of this.waiters.splice(0)) waiter.reject(error);
      }
    } while (this.waiters.length > 0);
    this.asking = false;
    if (this.tokens > 0) {
      const leftMs = Math.max(1, this.until - this.clock.monotonic());
      this.timer = this.clock.after(leftMs, () => {
        if (!this.asking && this.tokens > 0) void this.lease();
      });
    }
  }

  private putBack(): void {
    if (this.tokens > 0) {
      this.want = Math.max(1, this.want - this.tokens);
      this.unspent.push({ slot: this.slot, count: this.tokens });
      if (this.unspent.length > unspentMax) this.unspent.shift();
      this.tokens = 0;
    } else if (this.clock.monotonic() < this.until) this.want = Math.min(wantMax, this.want * 2);
  }

  private granted(reply: Json, want: number, asked: number): void {
    const { granted, slot, available, freesInMs } = reply as unknown as RateGrant;
    this.available = available;
    this.freesAt = this.clock.now() + freesInMs;
    if (want === 0) return;
    this.tokens = granted;
    this.slot = slot;
    this.until = asked + leaseMs;
    if (granted === 0) {
      this.deniedUntil = this.clock.monotonic() + Math.min(freesInMs, deniedMs);
      for (const waiter of this.waiters.splice(0)) waiter.resolve(this.refuse());
    }
    // Who waited is served even when the answer took longer than the lease: it was asked for them.
    for (const waiter of this.waiters.splice(0, granted)) waiter.resolve(this.spend());
    this.want = Math.min(this.want, Math.max(granted, 1));
  }
}
