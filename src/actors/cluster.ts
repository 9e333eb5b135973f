/**
 * The cluster as one process sees it by asking: members, and each partition's status from its owner; from
 * that, whether this process is ready. Works in every role. Changes nothing.
 */
import type { Bus } from "../bus/bus.ts";
import type { ClusterStatus, Health, PartHealth, PartitionStatus, Readiness } from "./client.ts";
import { knockOverWire } from "./doors.ts";
import type { Node } from "./node.ts";

/** One look at a partition; who does not answer in this time has no owner for the purpose. */
const statusMs = 1000;
/** How long an answer about readiness holds. */
const readyHoldsMs = 1000;
const unreadyHoldsMs = 200;
/** A store that does not answer a small read in this time is not well. */
const storeMs = 2000;
/** How long a commit without room says that the store is full. */
const fullHoldsMs = 10_000;
const well: PartHealth = { state: "healthy" };

export class Cluster {
  readonly #node: Node;
  readonly #bus: Bus;
  #readiness: { readonly until: number; readonly answer: Promise<Readiness> } | undefined;

  constructor(node: Node, bus: Bus) {
    this.#node = node;
    this.#bus = bus;
  }

  async status(): Promise<ClusterStatus> {
    const partitions = await this.#partitions();
    const owned = new Map<string, number>();
    for (const one of partitions) if ("node" in one) owned.set(one.node, (owned.get(one.node) ?? 0) + 1);
    const members = this.#node.membership.members
      .map(({ boot, node, role = "all", format, leaving = false }) => {
        return { boot, node, role, format, leaving, partitions: owned.get(boot) ?? 0 };
      })
      .sort((a, b) => (a.node < b.node ? -1 : 1));
    return { members, partitions };
  }

  /** A node is ready with its own partitions; whoever serves clients needs an owner for every one. */
  readiness(): Promise<Readiness> {
    if (!this.#bus.wire.connected)
      return Promise.resolve({ ready: false, reason: "the NATS server cannot be reached" });
    const now = this.#bus.clock.monotonic();
    if (this.#readiness !== undefined && now < this.#readiness.until) return this.#readiness.answer;
    const answer = this.#examine();
    this.#readiness = { until: now + readyHoldsMs, answer };
    void answer.then(({ ready }) => {
      if (!ready) this.#readiness = { until: now + unreadyHoldsMs, answer };
    });
    return answer;
  }

  async health(): Promise<Health> {
    if (!this.#bus.wire.connected) {
      const away = (what: string): PartHealth => ({ state: "unhealthy", reason: what });
      const store = away("the NATS server cannot be reached");
      return { platform: away("commands wait for the NATS server"), nats: store, jetstream: store };
    }
    const [{ ready, reason }, jetstream] = await Promise.all([this.readiness(), this.#store()]);
    const platform: PartHealth = ready ? well : { state: "degraded", reason: reason ?? "it is not ready" };
    return { platform, nats: well, jetstream };
  }

  async #store(): Promise<PartHealth> {
    const { registry, clock } = this.#bus;
    const { commitsWithoutRoom, withoutRoomAt } = this.#node.measures;
    let answer: PartHealth = { state: "unhealthy", reason: `no answer within ${storeMs} ms` };
    await new Promise<void>((resolve) => {
      const timer = clock.after(storeMs, resolve);
      const settle = (found: PartHealth) => {
        answer = found;
        timer.cancel();
        resolve();
      };
      registry.get("lease.0").then(
        () => settle(well),
        (error: unknown) => settle({ state: "unhealthy", reason: error instanceof Error ? error.message : "it fails" }),
      );
    });
    const full = commitsWithoutRoom > 0 && clock.monotonic() - withoutRoomAt < fullHoldsMs;
    return full && answer === well ? { state: "degraded", reason: "it has no room for commits" } : answer;
  }

  async #examine(): Promise<Readiness> {
    const { role, partitions, ready } = this.#node;
    if (!ready) {
      const recovering = [...partitions.values()].filter((p) => p.phase === "recovering").length;
      const reason =
        recovering > 0
          ? `${recovering} partitions are still recovering`
          : "partitions are not here yet, or the runtime is stopping";
      return { ready, reason };
    }
    if (role === "node") return { ready };
    const without = (await this.#partitions()).filter((p) => p.state !== "serving").map((p) => p.partition);
    if (without.length === 0) return { ready: true };
    return { ready: false, reason: `nobody answers for partition ${without.join(", ")}` };
  }

  #partitions(): Promise<ClusterStatus["partitions"]> {
    return Promise.all(Array.from({ length: this.#node.count }, (_, p) => this.#partition(p)));
  }

  async #partition(p: number): Promise<ClusterStatus["partitions"][number]> {
    const own = this.#node.partitions.get(p);
    if (own !== undefined) return own.status();
    try {
      return (await knockOverWire(this.#node.knocks, p, { do: "status" }, statusMs)) as PartitionStatus;
    } catch {
      return { partition: p, state: "unowned" };
    }
  }
}
