/**
 * Requests to other processes' partitions that have no answer yet. What was delivered to a process that died, or
 * is frozen, would wait out its time: so the one who waits longer looks whether somebody still listens, and is
 * told when another owner serves. Owns no meaning of the requests: who asks again must be able to.
 */

import type { Clock, TimerHandle } from "../bus/clock.ts";
import { pack, unpack } from "../bus/codec.ts";
import type { Wire, WireReply } from "../bus/wire.ts";

/** `left`: whoever had the request does not serve the partition any more; whether it was done is unknown. */
export type KnockReply = WireReply | { readonly kind: "left" };

interface Waiting {
  readonly at: number;
  end(reply: KnockReply): void;
}

/** Without an answer for this long, the owner is looked after. */
const patienceMs = 75;
const lookMs = 250;
const ownerSubject = "cluster.owner";

export class Knocks {
  readonly #wire: Wire;
  readonly #clock: Clock;
  readonly #waiting = new Map<number, Set<Waiting>>();
  #timer: TimerHandle | undefined;
  readonly #looking = new Set<number>();

  constructor(wire: Wire, clock: Clock) {
    this.#wire = wire;
    this.#clock = clock;
  }

  /** Hears of new owners from now on. */
  listen(): void {
    this.#wire.subscribe(ownerSubject, (message) => this.moved(unpack(message.bytes) as number));
  }

  /** Says to all that this process serves the partition. Only once it listens on its doors. */
  announce(partition: number): void {
    this.moved(partition);
    this.#wire.publish(ownerSubject, pack(partition));
  }

  /** Another owner serves the partition: what waits was given to the former one. */
  moved(partition: number): void {
    this.#endAll(partition, this.#clock.monotonic());
  }

  request(partition: number, subject: string, bytes: Uint8Array, timeoutMs: number): Promise<KnockReply> {
    return new Promise((resolve, reject) => {
      let waiting = this.#waiting.get(partition);
      if (waiting === undefined) {
        waiting = new Set();
        this.#waiting.set(partition, waiting);
      }
      const own: Waiting = {
        at: this.#clock.monotonic(),
        end: (reply) => {
          waiting.delete(own);
          if (waiting.size === 0 && this.#waiting.get(partition) === waiting) this.#waiting.delete(partition);
          resolve(reply);
        },
      };
      waiting.add(own);
      this.#timer ??= this.#clock.after(patienceMs, () => this.#look());
      this.#wire.request(subject, bytes, timeoutMs).then(
        (reply) => {
          own.end(reply);
          if (reply.kind === "no_responders") this.#endAll(partition, own.at);
        },
        (error) => {
          reject(error);
          own.end({ kind: "timed_out" });
        },
      );
    });
  }

  #look(): void {
    this.#timer = undefined;
    const now = this.#clock.monotonic();
    for (const [partition, waiting] of this.#waiting) {
      const oldest = waiting.values().next().value;
      if (oldest !== undefined && now - oldest.at >= patienceMs) void this.#lookAfter(partition, now);
    }
    if (this.#waiting.size > 0) this.#timer = this.#clock.after(patienceMs, () => this.#look());
  }

  /** Silence says nothing; that nobody listens says that whoever had the request is gone. */
  async #lookAfter(partition: number, since: number): Promise<void> {
    if (this.#looking.has(partition)) return;
    this.#looking.add(partition);
    const reply = await this.#wire.request(`ask.${partition}`, pack({ do: "status" }), lookMs).catch(() => undefined);
    this.#looking.delete(partition);
    if (reply?.kind === "no_responders") this.#endAll(partition, since);
  }

  #endAll(partition: number, since: number): void {
    for (const one of [...(this.#waiting.get(partition) ?? [])]) if (one.at <= since) one.end({ kind: "left" });
  }
}
