/**
 * Raw requests over core NATS: one wildcard inbox, a map of those who wait, and one sweep for all
 * time-outs. Several times cheaper than the library's own requests, which build an Error each.
 * Owns also whether the connection stands. Knows nothing of JetStream.
 */
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from "@nats-io/transport-node";
import type { Clock, TimerHandle } from "../clock.ts";

export type RawReply =
  | { readonly kind: "reply"; readonly msg: Msg }
  | { readonly kind: "no_responders" }
  | { readonly kind: "timed_out" }
  | { readonly kind: "disconnected" };

interface Pending {
  readonly resolve: (reply: RawReply) => void;
  readonly deadline: number;
  late: boolean;
}

const SWEEP_MS = 25;
const NO_RESPONDERS: RawReply = { kind: "no_responders" };
const TIMED_OUT: RawReply = { kind: "timed_out" };
const DISCONNECTED: RawReply = { kind: "disconnected" };

export class Requests {
  private readonly prefix: string;
  private readonly pending = new Map<string, Pending>();
  private readonly listeners = new Set<(connected: boolean) => void>();
  private counter = 0;
  private sweep: TimerHandle | undefined;
  private up = true;

  constructor(
    readonly nc: NatsConnection,
    private readonly clock: Clock,
    readonly inboxPrefix: string | undefined,
  ) {
    this.prefix = `${createInbox(inboxPrefix)}.`;
    nc.subscribe(`${this.prefix}*`, { callback: (_err, msg) => this.receive(msg) });
    void this.watch();
  }

  get connected(): boolean {
    return this.up;
  }

  onConnection(listener: (connected: boolean) => void): void {
    this.listeners.add(listener);
  }

  offConnection(listener: (connected: boolean) => void): void {
    this.listeners.delete(listener);
  }

  /**
   * Sends and waits for the one reply. Never rejects. While the connection is away nothing is sent;
   * when it breaks, those who wait are told at once (`disconnected`: the outcome is unknown).
   * Time-outs are exact to about 50 ms. Throws when the payload is larger than the server takes.
   */
  request(subject: string, payload: Uint8Array | string, timeoutMs: number, headers?: MsgHdrs): Promise<RawReply> {
    if (!this.up || this.nc.isClosed() || this.nc.isDraining()) return Promise.resolve(DISCONNECTED);
    const token = (this.counter++).toString(36);
    const options = headers ? { reply: this.prefix + token, headers } : { reply: this.prefix + token };
    return new Promise((resolve) => {
      this.nc.publish(subject, payload, options);
      this.pending.set(token, { resolve, deadline: this.clock.monotonic() + timeoutMs, late: false });
      this.sweep ??= this.clock.after(SWEEP_MS, () => this.expire());
    });
  }

  /** True as soon as the connection stands; false when it did not come back in this time, or never will. */
  whenConnected(timeoutMs: number): Promise<boolean> {
    if (this.up) return Promise.resolve(true);
    return new Promise((resolve) => {
      const end = (connected: boolean): void => {
        timer.cancel();
        this.offConnection(listener);
        resolve(connected);
      };
      const listener = (connected: boolean): void => {
        if (connected) end(true);
      };
      const timer = this.clock.after(timeoutMs, () => end(false));
      this.onConnection(listener);
      if (this.nc.isClosed()) end(false);
    });
  }

  /** Ends all that wait as `disconnected`. */
  failAll(): void {
    const waiting = [...this.pending.values()];
    this.pending.clear();
    for (const p of waiting) p.resolve(DISCONNECTED);
  }

  stop(): void {
    this.up = false;
    this.failAll();
    this.sweep?.cancel();
  }

  private receive(msg: Msg): void {
    const token = msg.subject.slice(this.prefix.length);
    const waiting = this.pending.get(token);
    if (!waiting) return;
    this.pending.delete(token);
    const empty = msg.data.length === 0;
    waiting.resolve(empty && msg.headers?.code === 503 ? NO_RESPONDERS : { kind: "reply", msg });
  }

  /** A busy process may run this before it reads answers that are there: only the second look ends a request. */
  private expire(): void {
    this.sweep = undefined;
    const now = this.clock.monotonic();
    for (const [token, p] of this.pending) {
      if (p.deadline > now) continue;
      if (!p.late) {
        p.late = true;
        continue;
      }
      this.pending.delete(token);
      p.resolve(TIMED_OUT);
    }
    if (this.pending.size > 0) this.sweep = this.clock.after(SWEEP_MS, () => this.expire());
  }

  private async watch(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === "disconnect" || status.type === "close") this.change(false);
      else if (status.type === "reconnect") this.change(true);
    }
  }

  private change(connected: boolean): void {
    if (this.up === connected) return;
    this.up = connected;
    if (!connected) this.failAll();
    for (const listener of [...this.listeners]) listener(connected);
  }
}
