/** The whole cluster as processes: three nats-servers, three nodes, two gateways. Owns their beginning and their end. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fetchAll } from "../chaos/http.ts";
import { type Built, buildOnce } from "./build.ts";
import { Member } from "./member.ts";
import { type ClusterServer, startNatsServers, whole } from "./nats-servers.ts";

export const leaseMs = 2000;

export class ChaosCluster {
  readonly effects: string;

  private constructor(
    readonly directory: string,
    readonly servers: readonly ClusterServer[],
    readonly nodes: readonly Member[],
    readonly gateways: readonly Member[],
    private readonly built: Built,
  ) {
    this.effects = join(directory, "effects.jsonl");
  }

  static async create(settings: Readonly<Record<string, string>> = {}): Promise<ChaosCluster> {
    const directory = await mkdtemp(join(tmpdir(), "troupe-chaos-cluster-"));
    const built = await buildOnce();
    const servers = await startNatsServers();
    const common = { directory, entry: built.entry, servers: servers.map((server) => server.port) };
    const all = {
      TROUPE_REPLICAS: "3",
      TROUPE_LEASE_MS: String(leaseMs),
      TROUPE_DRAIN_MS: "3000",
      CHAOS_EFFECTS: join(directory, "effects.jsonl"),
      ...settings,
    };
    const nodes: Member[] = [];
    for (let i = 1; i <= 3; i++) {
      const own = { ...all, TROUPE_AGENTS: built.agents };
      nodes.push(await Member.create({ ...common, name: `node-${i}`, role: "node", settings: own }));
    }
    const gateways: Member[] = [];
    for (let i = 1; i <= 2; i++) {
      gateways.push(await Member.create({ ...common, name: `gateway-${i}`, role: "gateway", settings: all }));
    }
    const cluster = new ChaosCluster(directory, servers, nodes, gateways, built);
    for (const end of ["exit", "disconnect"]) process.once(end, () => cluster.leaveNothing());
    return cluster;
  }

  get members(): readonly Member[] {
    return [...this.nodes, ...this.gateways];
  }

  async start(): Promise<void> {
    for (const member of this.members) member.spawn();
    await this.whole();
  }

  /** Resolves when every process runs, has caught up and is ready. */
  async whole(): Promise<void> {
    await whole(this.servers);
    await Promise.all(this.members.map((member) => member.ready()));
  }

  /** Members and partitions as the gateways tell them: for whoever looks into a cluster that does not heal. */
  async describe(): Promise<string> {
    const told = this.gateways.map(async ({ name, base }) => {
      const answer = await fetchAll(`${base}/v1/cluster`).catch((error: Error) => ({ body: error.message }));
      return `${name}: ${answer.body}`;
    });
    return (await Promise.all(told)).join("\n");
  }

  async dispose(keep = false): Promise<void> {
    await Promise.all(this.members.map((member) => member.dispose()));
    await Promise.all(
      this.servers.map(async (server) => {
        if (keep) await server.kill9();
        else await server.stop();
      }),
    );
    await this.built.remove();
    if (keep) console.log(`kept: ${[this.directory, ...this.servers.map((server) => server.directory)].join(", ")}`);
    else await rm(this.directory, { recursive: true, force: true });
  }

  private leaveNothing(): void {
    for (const member of this.members) member.leaveNothing();
    for (const { pid } of this.servers) {
      try {
        if (pid > 0) process.kill(pid, "SIGKILL");
      } catch {
        // It has ended before.
      }
    }
  }
}
