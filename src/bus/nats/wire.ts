/** Port Wire over core NATS. */
import type { Msg } from "@nats-io/transport-node";
import { BusError } from "../bus.ts";
import type { Wire, WireMessage, WireReply, WireSubscription } from "../wire.ts";
import type { BusLogger } from "./options.ts";
import type { Requests } from "./requests.ts";

/** How long a flush waits for a connection that broke. */
const RECONNECT_MS_MAX = 20_000;

export class NatsWire implements Wire {
  constructor(
    private readonly requests: Requests,
    private readonly logger: BusLogger,
  ) {}

  get connected(): boolean {
    return this.requests.connected;
  }

  /** At most once; while the connection is away it is dropped. */
  publish(subject: string, bytes: Uint8Array): void {
    if (this.requests.connected) this.requests.nc.publish(subject, bytes);
  }

  async request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<WireReply> {
    const reply = await this.requests.request(subject, bytes, timeoutMs);
    if (reply.kind === "reply") return { kind: "reply", bytes: reply.msg.data };
    return { kind: reply.kind === "no_responders" ? "no_responders" : "timed_out" };
  }

  subscribe(subject: string, onMessage: (m: WireMessage) => void, queue?: string): WireSubscription {
    const callback = (error: Error | null, msg: Msg) => {
      if (error) {
        this.logger.error({ err: error, subject }, "subscription refused");
        return;
      }
      try {
        onMessage(new NatsWireMessage(this.requests, msg));
      } catch (err) {
        this.logger.error({ err, subject }, "message handler threw");
      }
    };
    const subscription = this.requests.nc.subscribe(subject, queue === undefined ? { callback } : { callback, queue });
    // Drained: what the server had sent before it heard of the end is still answered, not swallowed.
    return { unsubscribe: () => void subscription.drain().catch(() => {}) };
  }

  /**
   * When the connection breaks meanwhile, once more on the next one: subscriptions are made anew there, publications of
   * before may be gone. Throws BusError `unreachable` when there is none for long.
   */
  async flush(): Promise<void> {
    for (;;) {
      try {
        await this.requests.nc.flush();
        return;
      } catch (cause) {
        // The library may tell those who wait before it tells of the break.
        await Promise.resolve();
        if (!this.requests.nc.isClosed() && (await this.requests.whenConnected(RECONNECT_MS_MAX))) continue;
        throw new BusError("unreachable", "The connection to NATS broke before everything was sent.", { cause });
      }
    }
  }

  onConnection(listener: (connected: boolean) => void): void {
    this.requests.onConnection(listener);
  }
}

class NatsWireMessage implements WireMessage {
  readonly subject: string;
  readonly bytes: Uint8Array;
  private readonly reply: string;

  constructor(
    private readonly requests: Requests,
    msg: Msg,
  ) {
    this.subject = msg.subject;
    this.bytes = msg.data;
    this.reply = msg.reply ?? "";
  }

  get wantsReply(): boolean {
    return this.reply !== "";
  }

  respond(bytes: Uint8Array): void {
    if (this.reply !== "" && this.requests.connected) this.requests.nc.publish(this.reply, bytes);
  }
}
