/**
 * Reads the journal streams as a plain NATS client, from their first message on, while the rig goes on: what has been
 * read may be trimmed behind it. Begins anew at the next sequence after whatever trouble. Judges nothing.
 */
import { DeliverPolicy, jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { pause } from "../chaos/harness.ts";
import { until } from "../support/until.ts";

export type OnMessage = (partition: number, seq: number, bytes: Uint8Array) => void;

export class JournalReader {
  /** Last sequence read, by stream. */
  readonly #read: number[];
  readonly #onMessage: OnMessage;
  readonly #nc: NatsConnection;
  readonly #loops: Promise<void>[];
  #stopped = false;
  /** Times that it had to begin anew. */
  renewals = 0;

  private constructor(nc: NatsConnection, streams: number, onMessage: OnMessage) {
    this.#nc = nc;
    this.#onMessage = onMessage;
    this.#read = Array.from({ length: streams }, () => 0);
    this.#loops = this.#read.map((_, stream) => this.#loop(stream));
  }

  static async start(ports: readonly number[], streams: number, onMessage: OnMessage): Promise<JournalReader> {
    const servers = ports.map((port) => `127.0.0.1:${port}`);
    const nc = await connect({ servers, maxReconnectAttempts: -1, reconnectTimeWait: 100, name: "chaos-checker" });
    return new JournalReader(nc, streams, onMessage);
  }

  get connection(): NatsConnection {
    return this.#nc;
  }

  /** Resolves when all that the streams hold by now is read. */
  async caughtUp(): Promise<void> {
    for (const [stream] of this.#read.entries()) {
      const end = await this.#end(stream);
      await until(() => (this.#read[stream] ?? 0) >= end, 120_000, `the journal ${stream} to be read up to ${end}`);
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#loops);
    await this.#nc.close();
  }

  async #end(stream: number): Promise<number> {
    const answer = await this.#nc.request(`$JS.API.STREAM.INFO.TROUPE_JOURNAL_${stream}`, "", { timeout: 10_000 });
    return (answer.json() as { state: { last_seq: number } }).state.last_seq;
  }

  async #loop(stream: number): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#follow(stream);
      } catch {
        // A server is away, a leader moves, the stream is not made yet: once more from where it stood.
        this.renewals++;
        await pause(200);
      }
    }
  }

  async #follow(stream: number): Promise<void> {
    const consumer = await jetstream(this.#nc).consumers.get(`TROUPE_JOURNAL_${stream}`, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: (this.#read[stream] ?? 0) + 1,
    });
    try {
      while (!this.#stopped) {
        for await (const message of await consumer.fetch({ max_messages: 500, expires: 1_000 })) {
          if (message.seq <= (this.#read[stream] ?? 0)) continue;
          this.#onMessage(Number(message.subject.split(".").at(-1)), message.seq, message.data);
          this.#read[stream] = message.seq;
        }
      }
    } finally {
      await consumer.delete().catch(() => undefined);
    }
  }
}
