/**
 * A seeded world: several nodes of the real runtime over one memory store and one stepped clock, a workload
 * whose every command carries a text of its own, and faults. At the end each acknowledged text must be there
 * once, each unknown one at most once, and all in the order that their asker gave them.
 */
import type { Host } from "../../src/actors/host.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { MemoryClock } from "../../src/bus/memory/clock.ts";
import type { Fault, FaultCall, Faults } from "../../src/bus/memory/faults.ts";
import { SeededRandom } from "../../src/bus/memory/random.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import { hostOver } from "../actors/support.ts";

export interface WorldOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly steps: number;
  readonly actors: number;
  readonly clients: number;
}

export interface Verdict {
  readonly acknowledged: number;
  readonly unknown: number;
  readonly faults: number;
  readonly problems: string[];
}

interface Living {
  readonly name: string;
  readonly bus: MemoryBus;
  host: Host | undefined;
}

interface Sent {
  readonly text: string;
  readonly actor: string;
  readonly client: number;
  readonly no: number;
  outcome: "acknowledged" | "unknown" | "refused" | "open";
  code?: string;
}

class Chance implements Faults {
  faults = 0;
  calm = false;
  readonly #random: SeededRandom;
  readonly #rate: number;
  constructor(random: SeededRandom, rate: number) {
    this.#random = random;
    this.#rate = rate;
  }
  next(call: FaultCall): Fault | undefined {
    if (this.calm || this.#random.float() > this.#rate) return undefined;
    this.faults++;
    const pick = <T>(list: readonly T[]): T => list[Math.floor(this.#random.float() * list.length)] as T;
    if (call.port === "wire") return pick<Fault>([{ kind: "delay", ms: 40 }, { kind: "drop" }, { kind: "duplicate" }]);
    if (["append", "put", "create", "update"].includes(call.operation)) {
      return pick<Fault>([
        { kind: "answer_lost" },
        { kind: "drop" },
        { kind: "no_responders" },
        { kind: "full" },
        { kind: "stored_late", ms: 300 },
        { kind: "delay", ms: 30 },
      ]);
    }
    return { kind: "delay", ms: 20 };
  }
}

export class World {
  readonly clock = new MemoryClock();
  readonly #options: WorldOptions;
  readonly #random: SeededRandom;
  readonly #chance: Chance;
  readonly #store: MemoryStore;
  readonly #nodes: Living[] = [];
  readonly #sent: Sent[] = [];
  #born = 0;
  #healed = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed, this.clock);
    this.#chance = new Chance(new SeededRandom(options.seed + 1, this.clock), 0.03);
    this.#store = new MemoryStore({ partitions: 4, streams: 2, replicas: 1 }, this.clock);
  }

  async run(): Promise<Verdict> {
    await loadCodec();
    for (let i = 0; i < this.#options.nodes; i++) this.#birth();
    const clients = Array.from({ length: this.#options.clients }, (_, i) => this.#client(i));
    for (let step = 0; step < this.#options.steps; step++) {
      this.#mishap();
      await this.clock.advance(5 + this.#random.float() * 40);
    }
    this.#healed = true;
    this.#chance.calm = true;
    for (const node of this.#nodes) node.bus.setLink("up");
    await this.clock.advance(20_000);
    if (this.#alive().length === 0) this.#birth();
    await this.clock.advance(20_000);
    await this.clock.wait(Promise.race([Promise.all(clients), this.clock.sleep(120_000)]), 200_000);
    // Mail is sent again until it lands.
    await this.clock.advance(30_000);
    return this.#check();
  }

  /** For people who look into a failed seed. */
  describe(): string[] {
    return this.#nodes.flatMap((n) => [
      `${n.name} ${n.host === undefined ? "dead" : "alive"} link=${n.bus.wire.connected}`,
      ...[...(n.host?.node.partitions.values() ?? [])].map(
        (p) =>
          `  p${p.number} ${p.phase} group ${p.state.number} seq ${p.state.seq} complete=${p.state.complete} ${JSON.stringify(p.state.channels.dump())}`,
      ),
      ...[...(n.host?.node.faults ?? [])].map(([p, e]) => `  fault p${p}: ${e.message}`),
    ]);
  }

  #alive(): Living[] {
    return this.#nodes.filter((n) => n.host !== undefined);
  }

  #birth(): void {
    const name = `n${this.#born++}`;
    const bus = createMemoryBus({
      clock: this.clock,
      store: this.#store,
      node: name,
      seed: this.#options.seed * 1000 + this.#born,
      faults: this.#chance,
      latencyMs: 1,
    });
    const node: Living = { name, bus, host: undefined };
    this.#nodes.push(node);
    hostOver(bus, { flushMs: 200, leaseMs: 1000, activeMax: 5 }).then(
      (host) => {
        node.host = host;
      },
      () => bus.setLink("dead"),
    );
  }

  #mishap(): void {
    const dice = this.#random.float();
    const alive = this.#alive();
    const victim = alive[Math.floor(this.#random.float() * alive.length)];
    if (victim === undefined) {
      if (this.#nodes.length < 400 && dice < 0.5) this.#birth();
      return;
    }
    if (dice < 0.02) this.#kill(victim);
    else if (dice < 0.035) victim.bus.setLink("silent");
    else if (dice < 0.05) victim.bus.setLink("cut");
    else if (dice < 0.12) victim.bus.setLink("up");
    if (alive.length < this.#options.nodes && dice > 0.9) this.#birth();
  }

  #kill(node: Living): void {
    node.bus.setLink("dead");
    for (const partition of node.host?.node.partitions.values() ?? []) partition.abandon();
    node.host?.node.membership.abandon();
    node.host = undefined;
  }

  async #client(client: number): Promise<void> {
    for (let no = 1; !this.#healed; no++) {
      await this.clock.sleep(10 + this.#random.float() * 60);
      const alive = this.#alive();
      const node = alive[client % Math.max(1, alive.length)];
      if (node?.host === undefined) continue;
      const actor = `a${Math.floor(this.#random.float() * this.#options.actors)}`;
      const sent: Sent = { text: `c${client}-${no}`, actor, client, no, outcome: "open" };
      this.#sent.push(sent);
      const { runtime } = node.host;
      const relay = `a${Math.floor(this.#random.float() * this.#options.actors)}`;
      const forward = this.#random.float() < 0.3;
      const command = forward
        ? { type: "forward", to: [actor], command: { type: "hear", text: sent.text } }
        : { type: "hear", text: sent.text };
      const asked = runtime.ask({ type: "counter", key: forward ? relay : actor }, command, { timeoutMs: 4000 });
      const dead = this.clock.sleep(6000).then(() => "dead" as const);
      await Promise.race([asked, dead]).then(
        (answer) => {
          sent.outcome = answer === "dead" ? "unknown" : "acknowledged";
        },
        (error: { code?: string }) => {
          sent.code = error.code ?? String(error);
          sent.outcome = ["conflict", "not_found", "storage_full", "overloaded"].includes(error.code ?? "")
            ? "refused"
            : "unknown";
        },
      );
    }
  }

  async #check(): Promise<Verdict> {
    const problems: string[] = [];
    const runtime = this.#alive()[0]?.host?.runtime;
    if (runtime === undefined)
      return { acknowledged: 0, unknown: 0, faults: this.#chance.faults, problems: ["no node came up"] };
    for (let a = 0; a < this.#options.actors; a++) {
      const key = `a${a}`;
      const heard = await this.clock
        .wait(runtime.read({ type: "counter", key }), 60_000)
        .then((r) => (r.view as { heard: string[] }).heard)
        .catch((error: { code?: string }) => (error.code === "not_found" ? [] : [`unreadable: ${String(error)}`]));
      this.#checkActor(key, heard, problems);
    }
    const count = (outcome: Sent["outcome"]) => this.#sent.filter((s) => s.outcome === outcome).length;
    return {
      acknowledged: count("acknowledged"),
      unknown: count("unknown") + count("open"),
      faults: this.#chance.faults,
      problems,
    };
  }

  #checkActor(key: string, heard: readonly string[], problems: string[]): void {
    const times = new Map<string, number>();
    for (const text of heard) times.set(text, (times.get(text) ?? 0) + 1);
    for (const [text, n] of times) if (n > 1) problems.push(`${key} heard ${text} ${n} times`);
    for (const s of this.#sent) {
      if (s.actor !== key) continue;
      const n = times.get(s.text) ?? 0;
      if (s.outcome === "acknowledged" && n === 0) problems.push(`${key} lost ${s.text}`);
      if (s.outcome === "refused" && n > 0) problems.push(`${key} heard ${s.text} that was refused (${s.code})`);
    }
    for (const text of heard)
      if (!this.#sent.some((s) => s.text === text && s.actor === key))
        problems.push(`${key} heard ${text} from nobody`);
  }
}
