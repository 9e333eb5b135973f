/**
 * Fills a store with actors as they lie there after they have ended: for each partition the records of one real task
 * (its own and its history's) are stored again under very many other keys. And the raw limit: reading those records
 * in order, all streams at once, without looking into them.
 */
import { jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { partitionOf } from "../../src/actors/placement.ts";
import { names } from "../../src/actors/stored.ts";
import { connectNats, type NatsBus } from "../../src/bus/nats/bus.ts";
import { NatsClock } from "../../src/bus/nats/clock.ts";
import { openConnection } from "../../src/bus/nats/connect.ts";
import { stateStream } from "../../src/bus/nats/names.ts";
import { serve } from "../process.ts";
import type { Access } from "../store.ts";

export interface Filled {
  readonly store: Access;
  /** Ids of tasks that have ended; every partition has one at least. */
  readonly templates: readonly string[];
  readonly count: number;
}

export const handlers = { fill, read };
if (process.send !== undefined) serve(handlers);

const partitions = 8;
const streams = 4;
const inFlightMax = 2_000;
const silentMs = 30_000;

/** Gives the bytes that were stored. */
async function fill({ store, templates, count }: Filled): Promise<number> {
  const bus = await connectNats({ servers: store.url, user: store.user, pass: store.pass });
  const records = await recordsOf(bus, templates);
  let bytes = 0;
  let next = 0;
  const writer = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) {
      const key = `task_${String(i).padStart(8, "0")}`;
      const partition = partitionOf(key, partitions);
      const { actor, history } = records[partition] as Pair;
      await put(bus, partition, names.actor({ type: "task", key }), actor);
      await put(bus, partition, names.history(key), history);
      bytes += actor.length + history.length;
    }
  };
  await Promise.all(Array.from({ length: inFlightMax }, writer));
  await bus.close();
  return bytes;
}

interface Pair {
  readonly actor: Uint8Array;
  readonly history: Uint8Array;
}

/** What was flushed of the templates, by partition. */
async function recordsOf(bus: NatsBus, templates: readonly string[]): Promise<Pair[]> {
  const found: Pair[] = [];
  for (const key of templates) {
    const partition = partitionOf(key, partitions);
    const actor = await bus.records.get(partition, names.actor({ type: "task", key }));
    const history = await bus.records.get(partition, names.history(key));
    if (actor === null || history === null) throw new Error(`${key} has no records yet`);
    found[partition] = { actor: actor.bytes, history: history.bytes };
  }
  for (let i = 0; i < partitions; i++) if (found[i] === undefined) throw new Error(`no template in partition ${i}`);
  return found;
}

async function put(bus: NatsBus, partition: number, name: readonly string[], bytes: Uint8Array): Promise<void> {
  const outcome = await bus.records.put(partition, name as ReturnType<typeof names.history>, bytes, 0);
  if (outcome.kind !== "stored") throw new Error(`A record was not stored: ${JSON.stringify(outcome)}`);
}

/** An ordered push consumer without acknowledgements for each stream. Gives time and number of what came. */
async function read({ url, user, pass }: Access): Promise<{ ms: number; messages: number; bytes: number }> {
  const clock = new NatsClock();
  const options = { servers: url, user, pass, name: "bench" };
  const nc = await openConnection(options, clock, clock.monotonic() + silentMs);
  const manager = await jetstreamManager(nc);
  const begin = performance.now();
  const all = await Promise.all(
    Array.from({ length: streams }, async (_, i) => {
      const { state } = await manager.streams.info(stateStream(i));
      return readStream(nc, stateStream(i), state.last_seq);
    }),
  );
  const ms = performance.now() - begin;
  await nc.close();
  const sum = (of: "messages" | "bytes") => all.reduce((total, one) => total + one[of], 0);
  return { ms, messages: sum("messages"), bytes: sum("bytes") };
}

async function readStream(nc: NatsConnection, stream: string, lastSeq: number) {
  const found = { messages: 0, bytes: 0 };
  if (lastSeq === 0) return found;
  const inbox = `bench.read.${stream}.${process.pid}.${Math.round(performance.now())}`;
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${stream} was not read to its end`)), 600_000);
    const subscription = nc.subscribe(inbox, {
      callback: (_error, message) => {
        const reply = message.reply ?? "";
        if (!reply.startsWith("$JS.ACK.")) {
          // Flow control: the server asks whether we keep up.
          if (reply !== "") nc.publish(reply);
          return;
        }
        found.messages++;
        found.bytes += message.data.length;
        const tokens = reply.split(".");
        if (Number(tokens[tokens.length === 9 ? 5 : 7]) < lastSeq) return;
        clearTimeout(timer);
        subscription.unsubscribe();
        resolve();
      },
    });
    const config = {
      deliver_subject: inbox,
      deliver_policy: "all",
      ack_policy: "none",
      max_deliver: 1,
      replay_policy: "instant",
      flow_control: true,
      idle_heartbeat: 5e9,
      mem_storage: true,
      inactive_threshold: 10e9,
      num_replicas: 1,
    };
    const body = JSON.stringify({ stream_name: stream, config });
    nc.request(`$JS.API.CONSUMER.CREATE.${stream}`, body).then((reply) => {
      const { error } = reply.json<{ error?: { description: string } }>();
      if (error !== undefined) reject(new Error(error.description));
    }, reject);
  });
  return found;
}
