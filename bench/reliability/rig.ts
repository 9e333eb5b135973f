/**
 * A cluster under measurement: nodes and a gateway as processes, commands for chosen partitions over HTTP,
 * and waiting until every partition has its owner. Owns no figure.
 */
import { ownerOf, partitionOf } from "../../src/actors/placement.ts";
import { idFromKey } from "../../src/gateway/idempotency.ts";
import { type ClusterView, type Process, TestCluster } from "../../test/cluster/harness.ts";
import { until } from "../../test/support/until.ts";
import { atExit } from "../process.ts";

export type PartitionView = ClusterView["partitions"][number];

export interface Answered {
  readonly status: number;
  readonly body: unknown;
}

/** One HTTP request; `status` 0: no answer. */
export async function call(
  base: string,
  method: string,
  path: string,
  body?: unknown,
  key?: string,
  timeoutMs = 30_000,
): Promise<Answered> {
  try {
    const answer = await fetch(base + path, {
      method,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(key === undefined ? {} : { "idempotency-key": key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    return { status: 0, body: String(error) };
  }
}

/** Nobody can do it: only the commands count here. */
export const task = { task_type: "nobody", input: null };

export class Rig {
  readonly nodes = new Map<string, Process>();
  readonly gateways: Process[] = [];
  readonly cluster: TestCluster;
  readonly partitions: number;
  #keys = 0;
  #names = 0;
  readonly #stayed: () => void;

  private constructor(cluster: TestCluster, partitions: number) {
    this.cluster = cluster;
    this.partitions = partitions;
    this.#stayed = atExit(() => cluster.abandon());
  }

  /** `before`: what the store is given before the first node starts. */
  static async create(
    servers: 1 | 3,
    partitions: number,
    nodes: number,
    gateways = 1,
    before: (cluster: TestCluster) => Promise<void> = async () => {},
  ): Promise<Rig> {
    const settings = { TROUPE_PARTITIONS: String(partitions), TROUPE_STREAMS: String(Math.min(4, partitions)) };
    const rig = new Rig(await TestCluster.create(servers, settings), partitions);
    try {
      await before(rig.cluster);
      await rig.add();
      for (let i = 0; i < gateways; i++) {
        rig.gateways.push(await (await rig.cluster.spawn("gateway", `gateway-${i}`)).ready());
      }
      while (rig.nodes.size < nodes) await rig.add();
      await rig.settled();
      return rig;
    } catch (error) {
      await rig.dispose();
      throw error;
    }
  }

  get base(): string {
    return this.gateway.base;
  }

  get gateway(): Process {
    return this.gateways[0] as Process;
  }

  /** Starts a node and waits until it is ready. */
  async add(name = `node-${++this.#names}`): Promise<Process> {
    const node = await (await this.cluster.spawn("node", name)).ready();
    this.nodes.set(name, node);
    return node;
  }

  view(): Promise<ClusterView> {
    return this.gateway.json<ClusterView>("/v1/cluster");
  }

  /** Until all nodes are members, none else is, and every partition is served by the one that should have it. */
  async settled(): Promise<ClusterView> {
    let view: ClusterView | undefined;
    await until(
      async () => {
        view = await this.view().catch(() => undefined);
        if (view === undefined) return false;
        const nodes = view.members.filter((m) => m.role === "node" && !m.leaving);
        const boots = nodes.map((m) => m.boot);
        return (
          nodes.length === this.nodes.size &&
          nodes.every((m) => this.nodes.has(m.node)) &&
          view.partitions.every((p) => p.state === "serving" && p.node === ownerOf(p.partition, boots))
        );
      },
      60_000,
      "a settled cluster",
    );
    return view as ClusterView;
  }

  /** A node with partitions (the one that follows `after` in turn), its boot and its partitions. */
  async victim(turn: number): Promise<{ node: Process; boot: string; owned: number[] }> {
    const { members, partitions } = await this.settled();
    const owners = members.filter((m) => this.nodes.has(m.node) && m.partitions > 0);
    const chosen = owners[turn % owners.length];
    const node = this.nodes.get(chosen?.node ?? "");
    if (chosen === undefined || node === undefined) throw new Error("no node owns a partition");
    const owned = partitions.filter((p) => p.node === chosen.boot).map((p) => p.partition);
    return { node, boot: chosen.boot, owned };
  }

  /** Creates a task that lives in the partition; gives its id. */
  async taskIn(partition: number): Promise<string> {
    for (;;) {
      const key = `rig-${this.#keys++}`;
      const id = `task_${idFromKey(this.credential, "tasks.create", key)}`;
      if (partitionOf(id, this.partitions) !== partition) continue;
      const { status, body } = await call(this.base, "POST", "/v1/tasks", task, key);
      const made = (body as { task?: { task_id: string } }).task?.task_id;
      if (status !== 201 || made !== id) throw new Error(`task ${id} was not created: ${status} ${made}`);
      return id;
    }
  }

  /** The name that the gateway gives a caller without a key. */
  readonly credential = "local";

  async dispose(): Promise<void> {
    this.#stayed();
    await this.cluster.dispose();
  }
}
