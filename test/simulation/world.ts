/**
 * A seeded world: several nodes of the real runtime over one memory store and one stepped clock, a workload
 * whose every command carries a text of its own, a follower of all events, and faults. What must hold at the end is
 * in checks.ts.
 */
import type { Host } from "../../src/actors/host.ts";
import { loadCodec } from "../../src/bus/codec.ts";
import { createMemoryBus, type MemoryBus } from "../../src/bus/memory/bus.ts";
import { MemoryClock } from "../../src/bus/memory/clock.ts";
import type { Fault, FaultCall, Faults } from "../../src/bus/memory/faults.ts";
import { SeededRandom } from "../../src/bus/memory/random.ts";
import { MemoryStore } from "../../src/bus/memory/store.ts";
import type { Command } from "../../src/machines/effects.ts";
import { hostOver } from "../actors/support.ts";
import { type Act, checkActor, checkEvents, type Sent } from "./checks.ts";
import { WorldFollower } from "./follower.ts";

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
  /** Reminders that fired, letters that arrived, events that the follower saw. */
  readonly reminded: number;
  readonly mailed: number;
  readonly followed: number;
  readonly problems: string[];
}

interface Living {
  readonly name: string;
  readonly bus: MemoryBus;
  host: Host | undefined;
}

class Chance implements Faults {
  faults = 0;
  calm = false;
  /** How the store's disk does, for a while and for everybody: well, each write late, or most writes refused. */
  disk: "well" | "slow" | "full" = "well";
  readonly #random: SeededRandom;
  readonly #rate: number;
  constructor(random: SeededRandom, rate: number) {
    this.#random = random;
    this.#rate = rate;
  }
  next(call: FaultCall): Fault | undefined {
    if (this.calm) return undefined;
    const pick = <T>(list: readonly T[]): T => list[Math.floor(this.#random.float() * list.length)] as T;
    const write = ["append", "put", "create", "update"].includes(call.operation);
    if (write && this.disk === "slow") return { kind: "delay", ms: pick([100, 300, 900]) };
    if (write && this.disk === "full" && call.port !== "registry" && this.#random.float() < 0.8)
      return { kind: "full" };
    if (this.#random.float() > this.#rate) return undefined;
    this.faults++;
    if (call.port === "wire") return pick<Fault>([{ kind: "delay", ms: 40 }, { kind: "drop" }, { kind: "duplicate" }]);
    if (write) {
      return pick<Fault>([
        { kind: "answer_lost" },
        { kind: "drop" },
        { kind: "no_responders" },
        { kind: "full" },
        { kind: "stored_late", ms: 300 },
        { kind: "delay", ms: 30 },
      ]);
    }
    return { kind: "delay", ms: pick([20, 20, 20, 400]) };
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
  readonly #follower: WorldFollower;
  #born = 0;
  #healed = false;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = new SeededRandom(options.seed, this.clock);
    this.#chance = new Chance(new SeededRandom(options.seed + 1, this.clock), 0.03);
    this.#store = new MemoryStore({ partitions: 4, streams: 2, replicas: 1 }, this.clock);
    this.#follower = new WorldFollower(this.clock, 2, () => this.#alive().map((n) => n.host as Host));
  }

  async run(): Promise<Verdict> {
    await loadCodec();
    for (let i = 0; i < this.#options.nodes; i++) this.#birth();
    const clients = Array.from({ length: this.#options.clients }, (_, i) => this.#client(i));
    void this.#follower.run();
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
    if (dice > 0.2 && dice < 0.207) this.#chance.disk = "slow";
    else if (dice < 0.214 && dice > 0.2) this.#chance.disk = "full";
    else if (dice < 0.25 && dice > 0.2) this.#chance.disk = "well";
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
      const sent = this.#choose(client, no);
      this.#sent.push(sent);
      const { runtime } = node.host;
      const asked = runtime.ask({ type: "counter", key: sent.asked }, commandOf(sent), { timeoutMs: 4000 });
      const dead = this.clock.sleep(6000).then(() => "dead" as const);
      await Promise.race([asked, dead]).then(
        (answer) => {
          sent.outcome = answer === "dead" ? "unknown" : "acknowledged";
          sent.answeredAt = this.clock.now();
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

  /** What a client asks for next. */
  #choose(client: number, no: number): Sent {
    const text = `c${client}-${no}`;
    const actor = `a${Math.floor(this.#random.float() * this.#options.actors)}`;
    const relay = `a${Math.floor(this.#random.float() * this.#options.actors)}`;
    const dice = this.#random.float();
    const inMs = Math.floor(this.#random.float() * 4000);
    const sent = { text, actor, asked: actor, inMs, askedAt: this.clock.now(), outcome: "open" } as const;
    if (dice < 0.3) return { ...sent, act: "relay", asked: relay };
    if (dice < 0.45) return { ...sent, act: "remind" };
    const earlier = this.#sent.findLast((s) => s.act === "remind" && s.outcome === "acknowledged");
    if (dice < 0.5 && earlier !== undefined)
      return { ...sent, act: "forget", forgets: earlier.text, actor: earlier.actor, asked: earlier.actor };
    return { ...sent, act: dice < 0.75 ? "tell" : "hear" };
  }

  async #check(): Promise<Verdict> {
    const problems: string[] = [];
    const count = (outcome: Sent["outcome"]) => this.#sent.filter((s) => s.outcome === outcome).length;
    const verdict = {
      acknowledged: count("acknowledged"),
      unknown: count("unknown") + count("open"),
      faults: this.#chance.faults,
      followed: this.#follower.seen,
    };
    const runtime = this.#alive()[0]?.host?.runtime;
    if (runtime === undefined) return { ...verdict, reminded: 0, mailed: 0, problems: ["no node came up"] };
    const all: string[] = [];
    for (let a = 0; a < this.#options.actors; a++) {
      const key = `a${a}`;
      const heard = await this.clock
        .wait(runtime.read({ type: "counter", key }), 60_000)
        .then((r) => (r.view as { heard: string[] }).heard)
        .catch((error: { code?: string }) => (error.code === "not_found" ? [] : [`unreadable: ${String(error)}`]));
      all.push(...heard);
      problems.push(...checkActor(key, heard, this.#sent));
      const { events } = await this.clock.wait(runtime.history(key, 0, 1000), 60_000);
      problems.push(...checkEvents(key, events, this.#follower.of(key), heard));
    }
    problems.push(...this.#follower.problems);
    const reminded = all.filter((text) => text.startsWith("reminder ")).length;
    const mailed = all.filter((text) => text.includes("|")).length;
    return { ...verdict, reminded, mailed, problems };
  }
}

function commandOf(sent: Sent): Command {
  const { text, inMs } = sent;
  const commands: Record<Act, Command> = {
    hear: { type: "hear", text },
    tell: { type: "tell", text },
    relay: { type: "relay", to: sent.actor, text },
    remind: { type: "remind_me", name: text, inMs },
    forget: { type: "forget_me", name: sent.forgets },
  };
  return commands[sent.act];
}
