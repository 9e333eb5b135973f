/**
 * The cluster as one process sees it by asking: members, and each partition's status from its owner; from
 * that, whether this process is ready. Works in every role. Changes nothing.
 */
import type { Clock } from "../bus/clock.ts";
import type { Wire } from "../bus/wire.ts";
import type { ClusterStatus, PartitionStatus, Readiness } from "./client.ts";
import { knockOverWire } from "./doors.ts";
import type { Node } from "./node.ts";

/** One look at a partition; who does not answer in this time has no owner for the purpose. */
const statusMs = 1000;
/** How long an answer about readiness holds. */
const readyHoldsMs = 1000;
const unreadyHoldsMs = 200;

export class Cluster {
  readonly #node: Node;
  readonly #wire: Wire;
  readonly #clock: Clock;
  #readiness: { readonly until: number; readonly answer: Promise<Readiness> } | undefined;

  constructor(node: Node, wire: Wire, clock: Clock) {
    this.#node = node;
    this.#wire = wire;
    this.#clock = clock;
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
    if (!this.#wire.connected) return Promise.resolve({ ready: false, reason: "the NATS server cannot be reached" });
    const now = this.#clock.monotonic();
    if (this.#readiness !== undefined && now < this.#readiness.until) return this.#readiness.answer;
    const answer = this.#examine();
    this.#readiness = { until: now + readyHoldsMs, answer };
    void answer.then(({ ready }) => {
      if (!ready) this.#readiness = { until: now + unreadyHoldsMs, answer };
    });
    return answer;
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
      return (await knockOverWire(this.#wire, p, { do: "status" }, statusMs)) as PartitionStatus;
    } catch {
      return { partition: p, state: "unowned" };
    }
  }
}
