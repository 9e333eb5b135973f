/**
 * JetStream without Troupe: the raw limit's streams (as many as the journal's, configured alike) over the
 * driver's own raw requests. Publishes with an acknowledgement, with or without the expected sequence.
 */
import type { NatsConnection } from "@nats-io/transport-node";
import { JetStreamApi } from "../src/bus/nats/api.ts";
import { NatsClock } from "../src/bus/nats/clock.ts";
import { openConnection } from "../src/bus/nats/connect.ts";
import { Requests } from "../src/bus/nats/requests.ts";
import { classify, storeMessage } from "../src/bus/nats/store.ts";
import { ensureStream, journalConfig } from "../src/bus/nats/streams.ts";
import type { Access } from "./store.ts";

const streams = 4;
const timeoutMs = 10_000;

export class RawStore {
  readonly #nc: NatsConnection;
  readonly #requests: Requests;

  private constructor(nc: NatsConnection, requests: Requests) {
    this.#nc = nc;
    this.#requests = requests;
  }

  static async open({ url, user, pass }: Access, replicas = 1): Promise<RawStore> {
    const clock = new NatsClock();
    const nc = await openConnection(
      { servers: url.split(","), user, pass, name: "bench" },
      clock,
      clock.monotonic() + timeoutMs,
    );
    const requests = new Requests(nc, clock, undefined);
    const api = new JetStreamApi(requests, clock, timeoutMs, timeoutMs);
    for (let i = 0; i < streams; i++) {
      await ensureStream(api, { ...journalConfig(i, replicas), name: `BENCH_${i}`, subjects: [`bench.${i}.*`] });
    }
    return new RawStore(nc, requests);
  }

  /** The subject of a writer; writers are spread over the streams. */
  subject(writer: number): string {
    return `bench.${writer % streams}.${writer}`;
  }

  /** Resolves with the sequence when it is stored. */
  async publish(subject: string, bytes: Uint8Array): Promise<number> {
    return stored(classify(await this.#requests.request(subject, bytes, timeoutMs)));
  }

  async append(subject: string, bytes: Uint8Array, expectedSeq: number): Promise<number> {
    return stored(await storeMessage(this.#requests, subject, bytes, expectedSeq, timeoutMs));
  }

  close(): Promise<void> {
    return this.#nc.close();
  }
}

function stored(outcome: ReturnType<typeof classify>): number {
  if (outcome.kind !== "stored") throw new Error(`The raw publish was not stored: ${JSON.stringify(outcome)}`);
  return outcome.seq;
}
