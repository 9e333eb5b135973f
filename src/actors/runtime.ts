/**
 * The runtime as a whole, as gateway, command line and tests see it (client.ts): routes asks to the
 * partition's owner here or over NATS, merges lists, and joins feed, values and status.
 */
import type { Bus } from "../bus/bus.ts";
import { pack, unpack } from "../bus/codec.ts";
import { type Address, isKey, rootOf } from "../machines/address.ts";
import type { Command, Json, JsonObject } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import { Awaited } from "./awaited.ts";
import type {
  Answer,
  AskOptions,
  ClusterStatus,
  Feed,
  Health,
  HistoryPage,
  LargeValues,
  ListPage,
  ListQuery,
  LiveMessage,
  PlainAnswer,
  Readiness,
  Runtime,
  RuntimeStatus,
  Tally,
} from "./client.ts";
import { Cluster } from "./cluster.ts";
import { type DoorAnswer, type DoorRequest, knock, knockOverWire, noOwner } from "./doors.ts";
import { limits } from "./limits.ts";
import { comparePlaces, type Place, type Row } from "./listing.ts";
import { listenLive, publishLive } from "./live.ts";
import type { Measures } from "./measures.ts";
import type { Node } from "./node.ts";
import { partitionOf } from "./placement.ts";
import { answerPlain } from "./plain.ts";
import { mergeTallies, type PartitionTally } from "./tallies.ts";

export interface RuntimeParts {
  readonly bus: Bus;
  readonly node: Node;
  readonly feed: Feed;
  readonly values: LargeValues;
  readonly serverVersion: string;
  hosted(): RuntimeStatus["hosted"];
}

const askMsDefault = 10_000;
const retryMs = 25;
const tallyMs = 3000;

export class TroupeRuntime implements Runtime {
  readonly feed: Feed;
  readonly values: LargeValues;
  readonly #parts: RuntimeParts;
  readonly #awaited: Awaited;
  readonly #cluster: Cluster;

  constructor(parts: RuntimeParts) {
    this.#parts = parts;
    this.feed = parts.feed;
    this.values = parts.values;
    this.#awaited = new Awaited(parts.node.boot, parts.bus.clock);
    this.#cluster = new Cluster(parts.node, parts.bus);
  }

  ask(to: Address, command: Command, options: AskOptions = {}): Promise<Answer> {
    checkAddress(to);
    if (command.type.startsWith("xstate.") || command.type.startsWith("work.")) {
      throw new TroupeError("invalid_input", `${command.type} is no command for askers.`);
    }
    const timeoutMs = Math.min(options.timeoutMs ?? askMsDefault, limits.askMsMax);
    const { clock } = this.#parts.bus;
    const until = clock.now() + timeoutMs;
    return new Promise((resolve, reject) => {
      const id = this.#awaited.begin(timeoutMs, () =>
        reject(
          this.#parts.bus.wire.connected
            ? new TroupeError(
                "timed_out",
                `No answer to ${command.type} within ${timeoutMs} ms; it may still take effect.`,
              )
            : away("it may still take effect"),
        ),
      );
      const end = (finish: () => void) => {
        this.#awaited.end(id);
        finish();
      };
      this.#try(rootOf(to.key), { do: "ask", id, until, address: to, command }, timeoutMs).then(
        (answer) => end(() => resolve(answer as Answer)),
        (error) => end(() => reject(error)),
      );
    });
  }

  async read(at: Address, options: AskOptions = {}): Promise<Answer> {
    checkAddress(at);
    return (await this.#try(rootOf(at.key), { do: "read", address: at }, options.timeoutMs ?? askMsDefault)) as Answer;
  }

  async history(root: string, after: number, limit: number): Promise<HistoryPage> {
    const request = { do: "history", root, after, limit: Math.min(1000, Math.max(1, limit)) } as const;
    return (await this.#try(root, request, askMsDefault)) as HistoryPage;
  }

  async list(query: ListQuery): Promise<ListPage> {
    const after = query.cursor === undefined ? null : decodePlace(query.cursor);
    const limit = Math.min(200, Math.max(1, query.limit));
    const request = { do: "list", type: query.type, where: { ...query.where }, after, limit: limit + 1 } as const;
    const pages = await Promise.all(
      Array.from(
        { length: this.#parts.node.count },
        (_, p) => this.#tryPartition(p, request, askMsDefault) as Promise<readonly Row[]>,
      ),
    );
    const rows = pages.flat().sort((a, b) => comparePlaces(b.created, b.address.key, a.created, a.address.key));
    const page = rows.slice(0, limit);
    const items = await Promise.all(
      page.map(async (row) => ({ address: row.address, view: (await this.read(row.address)).view })),
    );
    const last = page.at(-1);
    return { items, nextCursor: rows.length > limit && last !== undefined ? encodePlace(last) : null };
  }

  live(pattern: string, onMessage: (message: LiveMessage) => void): { stop(): void } {
    return listenLive(this.#parts.bus.wire, pattern, onMessage);
  }

  announce(at: Address, kind: string, name: string, data: JsonObject): void {
    const message = { root: rootOf(at.key), type: at.type, key: at.key, kind, name, at: this.now(), data };
    publishLive(this.#parts.bus.wire, message);
  }

  answerPlain(answer: PlainAnswer): { stop(): void } {
    return answerPlain(this.#parts.bus.wire, answer);
  }

  publish(subject: string, data: Json): void {
    this.#parts.bus.wire.publish(agentSubject(subject), pack(data));
  }

  async request(subject: string, data: Json, timeoutMs: number): Promise<Json> {
    const reply = await this.#parts.bus.wire.request(agentSubject(subject), pack(data), timeoutMs);
    if (reply.kind === "no_responders") throw new TroupeError("agent_unavailable", `Nobody listens on ${subject}.`);
    if (reply.kind === "timed_out")
      throw new TroupeError("timed_out", `No answer from ${subject} within ${timeoutMs} ms.`);
    return unpack(reply.bytes) as Json;
  }

  status(): RuntimeStatus {
    const { node, bus, serverVersion } = this.#parts;
    const partitions = Array.from({ length: node.count }, (_, partition) => {
      const own = node.partitions.get(partition);
      const now = own?.status();
      const state =
        own === undefined ? (node.faults.has(partition) ? ("stopped" as const) : ("elsewhere" as const)) : own.phase;
      return {
        partition,
        state,
        epoch: now?.epoch ?? 0,
        lastSeq: now?.lastSeq ?? 0,
        actors: now?.actors ?? 0,
        dirty: now?.dirty ?? 0,
        lag: now?.lag ?? 0,
        waiting: now?.waiting ?? 0,
        mail: now?.mail ?? 0,
      };
    });
    const counters = { commits: 0, steps: 0, active_actors: 0, asks_waiting: this.#awaited.size };
    for (const p of node.partitions.values()) {
      counters.commits += p.commits;
      counters.steps += p.steps;
      counters.active_actors += p.state.entries.size;
    }
    return {
      ready: node.ready && bus.wire.connected,
      node: node.boot,
      nats: { connected: bus.wire.connected, version: serverVersion },
      partitions,
      hosted: this.#parts.hosted(),
      counters,
    };
  }

  cluster(): Promise<ClusterStatus> {
    return this.#cluster.status();
  }

  readiness(): Promise<Readiness> {
    return this.#cluster.readiness();
  }

  get measures(): Measures {
    return this.#parts.node.measures;
  }

  async tally(since?: number): Promise<Tally> {
    const request = { do: "tally", since: since ?? null } as const;
    const parts = Array.from({ length: this.#parts.node.count }, (_, p) => this.#tryPartition(p, request, tallyMs));
    return mergeTallies((await Promise.all(parts)) as PartitionTally[]);
  }

  health(): Promise<Health> {
    return this.#cluster.health();
  }

  async secret(name: string): Promise<Uint8Array> {
    const { registry, random } = this.#parts.bus;
    const key = `secret.${name}`;
    for (;;) {
      const found = await registry.get(key);
      if (found !== null) return found.value;
      const bytes = new TextEncoder().encode(random.id() + random.id()).slice(0, 52);
      await registry.create(key, bytes);
    }
  }

  newId(): string {
    return this.#parts.bus.random.id();
  }

  now(): number {
    return this.#parts.bus.clock.now();
  }

  #try(root: string, request: DoorRequest, timeoutMs: number): Promise<DoorAnswer> {
    return this.#tryPartition(partitionOf(root, this.#parts.node.count), request, timeoutMs);
  }

  /** Knocks until there is an answer: while the owner changes, the same request is made again. */
  async #tryPartition(p: number, request: DoorRequest, timeoutMs: number): Promise<DoorAnswer> {
    const { node, bus } = this.#parts;
    const deadline = bus.clock.monotonic() + timeoutMs;
    let outcome = "nothing was done";
    for (;;) {
      try {
        const local = node.partitions.get(p);
        if (!bus.wire.connected) throw away(outcome);
        if (local?.phase === "serving") return await knock(local, request);
        if (local !== undefined) throw new TroupeError("unavailable", `Partition ${p} is being taken over.`);
        const left = deadline - bus.clock.monotonic();
        return await knockOverWire(node.knocks, p, request, Math.max(1, Math.min(left, 2000)));
      } catch (error) {
        const again = error instanceof TroupeError && ["moved", "unavailable", "timed_out"].includes(error.code);
        if (again && error.details?.reason === noOwner) node.suspect();
        if (again && error.code !== "unavailable") outcome = "it may still take effect";
        if (again && error.code === "unavailable" && bus.wire.connected && node.faults.has(p))
          throw new TroupeError("internal", `Partition ${p} is stopped: its store needs an operator.`);
        if (!again || bus.clock.monotonic() + retryMs >= deadline) throw error;
        await bus.clock.sleep(retryMs);
      }
    }
  }
}

/** 503, not 504: what is wrong is known. */
function away(outcome: string): TroupeError {
  return new TroupeError("unavailable", `The NATS server cannot be reached; ${outcome}.`, { reason: "nats_away" });
}

function checkAddress(a: Address): void {
  if (!isKey(a.key))
    throw new TroupeError(
      "invalid_input",
      "An id has 1 to 200 characters, no control characters, and does not begin with ~.",
    );
}

function agentSubject(subject: string): string {
  if (/^agent(\.[A-Za-z0-9_=~-]+)+$/.test(subject) && subject.length <= 512) return subject;
  throw new TroupeError(
    "invalid_input",
    "An agent's subject is agent.<type>.<operation>, of letters, digits, _, - and dots.",
  );
}

function encodePlace(row: Row): string {
  return Buffer.from(JSON.stringify([row.created, row.address.key])).toString("base64url");
}

function decodePlace(cursor: string): Place {
  try {
    const [created, key] = JSON.parse(Buffer.from(cursor, "base64url").toString()) as [unknown, unknown];
    if (typeof created === "number" && typeof key === "string") return { created, key };
  } catch {
    // Falls through to the refusal.
  }
  throw new TroupeError("invalid_input", "The cursor is not one of this runtime's.");
}
