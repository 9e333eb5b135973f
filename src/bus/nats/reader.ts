/**
 * An ordered reader: every message of a stream (or of some of its subjects) from a sequence on,
 * in order, once, across reconnects, restarts and lost consumers. It is a push consumer without
 * acks, made anew at the next sequence whenever a gap, silence or a reconnect says so.
 * Whether the messages at `fromSeq` still exist is for the caller to check beforehand.
 */
import { createInbox, type Msg, type Subscription } from "@nats-io/transport-node";
import { BusError } from "../bus.ts";
import type { TimerHandle } from "../clock.ts";
import { errorOf, type JetStreamApi } from "./api.ts";
import type { BusLogger } from "./options.ts";

export interface ReaderOptions {
  readonly stream: string;
  /** Empty: all subjects of the stream. */
  readonly subjects: readonly string[];
  readonly fromSeq: number;
  readonly headersOnly?: boolean;
  /** The server sends a sign of life at this interval; silence of 2.5 of them makes the consumer anew. */
  readonly heartbeatMs: number;
  readonly onMessage: (msg: Msg, seq: number, at: number) => void;
  /** The server asks whether we keep up; call `answer` when what came before is dealt with. Default: at once. */
  readonly onFlow?: (answer: () => void) => void;
  /** A heartbeat: the server has nothing more to send at the moment. */
  readonly onIdle?: () => void;
}

const RETRY_MS_MAX = 1_000;
const START_DEADLINE_MS = 15_000;
const NANOS_PER_MS = 1_000_000;

export class OrderedReader {
  private nextSeq: number;
  /** Counts consumers; what a former one still sends or answers is ignored. */
  private generation = 0;
  private consumer = "";
  private consumerSeq = 0;
  private subscription: Subscription | undefined;
  private heardAt = 0;
  private watchdog: TimerHandle | undefined;
  private stopped = false;

  constructor(
    private readonly api: JetStreamApi,
    private readonly logger: BusLogger,
    private readonly options: ReaderOptions,
  ) {
    this.nextSeq = Math.max(1, options.fromSeq);
  }

  /** Everything that matches up to this sequence has been handed over. */
  get readUpTo(): number {
    return this.nextSeq - 1;
  }

  /** Resolves when the first consumer stands. Throws BusError when none can be made. */
  async start(): Promise<void> {
    this.api.requests.onConnection(this.onConnection);
    const deadline = this.api.clock.monotonic() + START_DEADLINE_MS;
    for (let pause = 50; ; pause = Math.min(pause * 2, RETRY_MS_MAX)) {
      const problem = await this.create();
      if (problem === undefined) break;
      if (this.api.clock.monotonic() >= deadline) {
        this.stop();
        throw new BusError("unreachable", `Cannot read the stream ${this.options.stream}: ${problem}.`);
      }
      await this.api.clock.sleep(pause);
    }
    this.watch();
  }

  stop(): void {
    if (this.stopped) return;
    this.stopped = true;
    this.api.requests.offConnection(this.onConnection);
    this.watchdog?.cancel();
    this.discard();
  }

  private readonly onConnection = (connected: boolean): void => {
    if (connected) this.renew("reconnected");
  };

  /** Makes the consumer anew from the next sequence on, until it stands. */
  private renew(why: string): void {
    if (this.stopped) return;
    this.logger.info({ stream: this.options.stream, nextSeq: this.nextSeq, why }, "reader starts anew");
    void this.renewing();
  }

  private async renewing(): Promise<void> {
    for (let pause = 25; !this.stopped; pause = Math.min(pause * 2, RETRY_MS_MAX)) {
      const generation = this.generation + 1;
      const problem = await this.create();
      // Another renewal began meanwhile, or this one succeeded.
      if (problem === undefined || this.generation !== generation) return;
      this.logger.warn({ stream: this.options.stream, problem }, "reader cannot start yet");
      await this.api.clock.sleep(pause);
      if (this.generation !== generation) return;
    }
  }

  /** Tries once; undefined when the consumer stands (or the reader has moved on), else the problem. */
  private async create(): Promise<string | undefined> {
    this.discard();
    const generation = ++this.generation;
    const { requests } = this.api;
    if (requests.nc.isClosed()) {
      this.stop();
      return undefined;
    }
    const inbox = createInbox(requests.inboxPrefix);
    const consumer = `troupe_${inbox.slice(inbox.lastIndexOf(".") + 1)}`;
    this.consumerSeq = 0;
    this.consumer = consumer;
    this.heardAt = this.api.clock.monotonic();
    this.subscription = requests.nc.subscribe(inbox, {
      callback: (_error, msg) => {
        if (this.generation === generation && !this.stopped) this.receive(msg);
      },
    });
    const { stream } = this.options;
    const reply = await requests.request(
      `$JS.API.CONSUMER.CREATE.${stream}.${consumer}`,
      JSON.stringify({ stream_name: stream, config: this.config(consumer, inbox), action: "create" }),
      Math.max(2_000, this.options.heartbeatMs),
    );
    if (this.generation !== generation) return undefined;
    if (reply.kind !== "reply") return reply.kind;
    return errorOf(reply.msg.json<Record<string, unknown>>())?.description;
  }

  private config(name: string, inbox: string): Record<string, unknown> {
    const { subjects, headersOnly, heartbeatMs } = this.options;
    return {
      name,
      deliver_subject: inbox,
      deliver_policy: "by_start_sequence",
      opt_start_seq: this.nextSeq,
      ack_policy: "none",
      max_deliver: 1,
      replay_policy: "instant",
      flow_control: true,
      idle_heartbeat: heartbeatMs * NANOS_PER_MS,
      inactive_threshold: 10_000 * NANOS_PER_MS,
      mem_storage: true,
      num_replicas: 1,
      ...(headersOnly ? { headers_only: true } : {}),
      ...(subjects.length === 1 ? { filter_subject: subjects[0] } : {}),
      ...(subjects.length > 1 ? { filter_subjects: subjects } : {}),
    };
  }

  private receive(msg: Msg): void {
    this.heardAt = this.api.clock.monotonic();
    const reply = msg.reply ?? "";
    if (reply.startsWith("$JS.ACK.")) this.deliver(msg, reply);
    else this.control(msg, reply);
  }

  private deliver(msg: Msg, reply: string): void {
    // $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<ns>.<pending>
    // or, newer, with <domain>.<account> before the stream and perhaps more at the end.
    const tokens = reply.split(".");
    const at = tokens.length === 9 ? 5 : 7;
    const seq = Number(tokens[at]);
    if (Number(tokens[at + 1]) !== this.consumerSeq + 1) {
      this.renew("a message was lost on the way");
      return;
    }
    this.consumerSeq++;
    // A consumer on a lagging replica may begin earlier than asked.
    if (seq < this.nextSeq) return;
    this.nextSeq = seq + 1;
    try {
      this.options.onMessage(msg, seq, Number(tokens[at + 2]?.slice(0, -6)));
    } catch (err) {
      this.logger.error({ err, stream: this.options.stream, seq }, "reader's handler threw");
    }
  }

  /** Flow control and heartbeats: status 100, told apart by the reply subject. */
  private control(msg: Msg, reply: string): void {
    const headers = msg.headers;
    if (reply !== "") {
      this.answer(reply);
      return;
    }
    if (headers?.code !== 100) {
      // 404, 409…: the consumer is gone.
      this.renew(`the server ended the consumer: ${headers?.status ?? "no status"}`);
      return;
    }
    const stalled = headers.get("Nats-Consumer-Stalled");
    if (stalled !== "") this.answer(stalled);
    const sent = headers.get("Nats-Last-Consumer");
    if (sent !== "" && Number(sent) !== this.consumerSeq) this.renew("the last message was lost on the way");
    else this.options.onIdle?.();
  }

  private answer(reply: string): void {
    const publish = () => {
      if (!this.stopped && this.api.requests.connected) this.api.requests.nc.publish(reply);
    };
    if (this.options.onFlow) this.options.onFlow(publish);
    else publish();
  }

  private watch(): void {
    if (this.stopped) return;
    this.watchdog = this.api.clock.after(this.options.heartbeatMs, () => {
      const silence = this.api.clock.monotonic() - this.heardAt;
      if (this.api.requests.connected && silence > this.options.heartbeatMs * 2.5) this.renew("no heartbeat");
      this.watch();
    });
  }

  /** Lets the present consumer go; the server would remove it by itself after a while. */
  private discard(): void {
    if (!this.subscription) return;
    this.subscription.unsubscribe();
    this.subscription = undefined;
    const subject = `$JS.API.CONSUMER.DELETE.${this.options.stream}.${this.consumer}`;
    if (!this.api.requests.nc.isClosed()) void this.api.requests.request(subject, "", 1_000);
  }
}
