/** Port Wire in memory: subjects of the store's broker, through links that can fail. */
import type { Random } from "../clock.ts";
import type { Wire, WireMessage, WireReply, WireSubscription } from "../wire.ts";
import type { Subscriber } from "./broker.ts";
import type { Link } from "./link.ts";
import type { MemoryStore } from "./store.ts";

type Respond = (bytes: Uint8Array) => void;

export class MemoryWire implements Wire {
  private readonly own = new Set<Subscriber>();

  constructor(
    private readonly store: MemoryStore,
    private readonly link: Link,
    private readonly random: Random,
  ) {}

  get connected(): boolean {
    return this.link.connected;
  }

  publish(subject: string, bytes: Uint8Array): void {
    if (this.link.state === "up") void this.send("publish", subject, bytes.slice(), undefined);
  }

  request(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<WireReply> {
    if (this.link.state === "dead") return this.link.never();
    if (this.link.state === "cut") return Promise.resolve({ kind: "timed_out" });
    return new Promise((resolve) => {
      const end = (reply: WireReply) => {
        timer.cancel();
        release();
        if (this.link.state !== "dead") resolve(reply);
      };
      const timer = this.link.options.clock.after(timeoutMs, () => end({ kind: "timed_out" }));
      const release = this.link.onConnection((connected) => {
        if (!connected) end({ kind: "timed_out" });
      });
      if (this.link.state === "silent") return;
      const endIfHeard = (reply: WireReply) => {
        if (this.link.state === "up") end(reply);
      };
      const respond = (answer: Uint8Array) => endIfHeard({ kind: "reply", bytes: answer });
      void this.send("request", subject, bytes.slice(), respond).then((listening) => {
        if (!listening) endIfHeard({ kind: "no_responders" });
      });
    });
  }

  subscribe(subject: string, onMessage: (m: WireMessage) => void, queue?: string): WireSubscription {
    const subscriber: Subscriber = {
      link: this.link,
      tokens: subject.split("."),
      queue,
      deliver: (to, bytes, respond) => onMessage(this.message(to, bytes, respond)),
    };
    this.store.broker.add(subscriber);
    this.own.add(subscriber);
    return { unsubscribe: () => this.drop(subscriber) };
  }

  async flush(): Promise<void> {
    await this.link.hop();
    await this.link.hop();
  }

  onConnection(listener: (connected: boolean) => void): void {
    this.link.onConnection(listener);
  }

  close(): void {
    for (const subscriber of [...this.own]) this.drop(subscriber);
  }

  private drop(subscriber: Subscriber): void {
    this.own.delete(subscriber);
    this.store.broker.delete(subscriber);
  }

  /** False when nobody listens. A lost message counts as listened to: its sender hears nothing. */
  private async send(operation: string, subject: string, bytes: Uint8Array, respond?: Respond): Promise<boolean> {
    const fault = this.link.fault({ port: "wire", operation, about: subject });
    await this.link.hop(fault?.kind === "delay" ? fault.ms : 0);
    if (fault?.kind === "no_responders") return false;
    if (fault?.kind === "drop") return true;
    const receivers = this.store.broker.match(subject, this.random);
    for (const receiver of receivers) {
      void this.arrive(receiver, subject, bytes, respond);
      if (fault?.kind === "duplicate") void this.arrive(receiver, subject, bytes, respond);
    }
    return receivers.length > 0;
  }

  private async arrive(to: Subscriber, subject: string, bytes: Uint8Array, respond?: Respond): Promise<void> {
    await to.link.hop();
    if (to.link.state === "up") to.deliver(subject, bytes, respond);
  }

  /** What a handler of this node is given; its answer travels back over this node's link. */
  private message(subject: string, bytes: Uint8Array, respond: Respond | undefined): WireMessage {
    return {
      subject,
      bytes,
      wantsReply: respond !== undefined,
      respond: (answer) => {
        if (respond && this.link.state === "up") void this.reply(subject, answer.slice(), respond);
      },
    };
  }

  private async reply(subject: string, bytes: Uint8Array, respond: Respond): Promise<void> {
    const fault = this.link.fault({ port: "wire", operation: "reply", about: subject });
    await this.link.hop(fault?.kind === "delay" ? fault.ms : 0);
    if (fault?.kind !== "drop") respond(bytes);
  }
}
