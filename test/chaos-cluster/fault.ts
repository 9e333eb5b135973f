/** A fault: what is done to the cluster, and how it is whole again. Owns the kinds; when is the schedule's. */
import { pause } from "../chaos/harness.ts";
import type { Random } from "../chaos/random.ts";
import type { SocketCaller } from "./caller.ts";
import { type ChaosCluster, leaseMs } from "./cluster.ts";
import type { Member } from "./member.ts";
import { whole } from "./nats-servers.ts";
import type { Watcher } from "./watcher.ts";

export interface FaultParts {
  readonly cluster: ChaosCluster;
  readonly random: Random;
  readonly callers: readonly SocketCaller[];
  readonly watchers: readonly Watcher[];
  /** Asks the leader of a stream to step down. */
  stepDown(stream: string): Promise<void>;
}

export type Fault = (parts: FaultParts) => Promise<void>;

const streams = [0, 1, 2, 3].flatMap((i) => [`TROUPE_JOURNAL_${i}`, `TROUPE_STATE_${i}`]);
const buckets = ["KV_TROUPE_REGISTRY", "OBJ_TROUPE_BLOBS"];

async function restart(member: Member, signal: "SIGKILL" | "SIGTERM", awayMs: number): Promise<void> {
  await member.end(signal);
  await pause(awayMs);
  member.spawn();
  await member.ready();
}

/** Shorter and longer than a lease. */
async function freeze(member: Member, random: Random): Promise<void> {
  member.freeze();
  await pause(random.between(leaseMs + 200, leaseMs + 3_000));
  member.thaw();
  await member.ready();
}

/** One process at a time; resolves when all is whole again. */
export const heavy = {
  "kill -9 of a node": ({ cluster, random }) =>
    restart(random.pick(cluster.nodes), "SIGKILL", random.between(0, 1_500)),
  "kill -9 of a gateway": ({ cluster, random }) =>
    restart(random.pick(cluster.gateways), "SIGKILL", random.between(0, 1_500)),
  "stop of a node (drain)": ({ cluster, random }) =>
    restart(random.pick(cluster.nodes), "SIGTERM", random.between(0, 1_000)),
  "stop of a gateway": ({ cluster, random }) =>
    restart(random.pick(cluster.gateways), "SIGTERM", random.between(0, 1_000)),
  "freeze of a node past its lease": ({ cluster, random }) => freeze(random.pick(cluster.nodes), random),
  "freeze of a gateway": ({ cluster, random }) => freeze(random.pick(cluster.gateways), random),
  "kill -9 of a nats-server": async ({ cluster, random }) => {
    const server = random.pick(cluster.servers);
    await server.kill9();
    await pause(random.between(0, 4_000));
    await server.restart();
    await cluster.whole();
  },
  "stop of a nats-server": async ({ cluster, random }) => {
    const server = random.pick(cluster.servers);
    await server.end();
    await pause(random.between(0, 4_000));
    await server.restart();
    await cluster.whole();
  },
  "freeze of a nats-server": async ({ cluster, random }) => {
    const { pid } = random.pick(cluster.servers);
    process.kill(pid, "SIGSTOP");
    await pause(random.between(leaseMs + 200, leaseMs + 4_000));
    process.kill(pid, "SIGCONT");
    await cluster.whole();
  },
  "a process cut off from NATS for a while": async ({ cluster, random }) => {
    const member = random.pick(cluster.members);
    for (const relay of member.relays) relay.hold();
    await pause(random.between(500, leaseMs + 4_000));
    for (const relay of member.relays) relay.release();
    await member.ready();
  },
} satisfies Record<string, Fault>;

/** How often each, of all heavy ones. */
export const heavyWeights: Readonly<Record<keyof typeof heavy, number>> = {
  "kill -9 of a node": 20,
  "kill -9 of a gateway": 14,
  "stop of a node (drain)": 8,
  "stop of a gateway": 6,
  "freeze of a node past its lease": 14,
  "freeze of a gateway": 6,
  "kill -9 of a nats-server": 12,
  "stop of a nats-server": 6,
  "freeze of a nats-server": 8,
  "a process cut off from NATS for a while": 10,
};

/** Everything at once; all are started again together. */
export const blackouts = {
  "kill -9 of all nodes and gateways": async ({ cluster }) => {
    await Promise.all(cluster.members.map((member) => member.end("SIGKILL")));
    for (const member of cluster.members) member.spawn();
    await cluster.whole();
  },
  "kill -9 of everything": async ({ cluster }) => {
    await Promise.all([
      ...cluster.members.map((member) => member.end("SIGKILL")),
      ...cluster.servers.map((server) => server.kill9()),
    ]);
    for (const member of cluster.members) member.spawn();
    await Promise.all(cluster.servers.map((server) => server.restart()));
    await whole(cluster.servers);
    await cluster.whole();
  },
  "stop of everything": async ({ cluster }) => {
    await Promise.all(cluster.members.map((member) => member.end("SIGTERM")));
    await Promise.all(cluster.servers.map((server) => server.end()));
    await Promise.all(cluster.servers.map((server) => server.restart()));
    for (const member of cluster.members) member.spawn();
    await cluster.whole();
  },
} satisfies Record<string, Fault>;

/** Over at once; at any time, also during heavy ones. */
export const light = {
  "connections to NATS cut": async ({ cluster, random }) => {
    for (const relay of random.pick(cluster.members).relays) relay.cut(random.chance(0.5));
  },
  "one connection to NATS cut": async ({ cluster, random }) => {
    const relays = cluster.members.flatMap((member) => member.relays).filter((relay) => relay.size > 0);
    if (relays.length > 0) random.pick(relays).cut(random.chance(0.5));
  },
  "step-down of a stream's leader": ({ random, stepDown }) => stepDown(random.pick(streams)),
  "step-down of a bucket's leader": ({ random, stepDown }) => stepDown(random.pick(buckets)),
  "a client's connection cut": async ({ callers, random }) => random.pick(callers).cut(),
  "a subscriber's connection cut": async ({ watchers, random }) => random.pick(watchers).move(),
} satisfies Record<string, Fault>;

export const lightWeights: Readonly<Record<keyof typeof light, number>> = {
  "connections to NATS cut": 20,
  "one connection to NATS cut": 20,
  "step-down of a stream's leader": 35,
  "step-down of a bucket's leader": 5,
  "a client's connection cut": 10,
  "a subscriber's connection cut": 10,
};

export function weighted<K extends string>(random: Random, weights: Readonly<Record<K, number>>): K {
  const all = Object.entries(weights) as [K, number][];
  let dice = random.between(
    1,
    all.reduce((sum, [, weight]) => sum + weight, 0),
  );
  for (const [kind, weight] of all) {
    dice -= weight;
    if (dice <= 0) return kind;
  }
  return (all[0] as [K, number])[0];
}
