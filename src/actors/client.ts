/**
 * The runtime as seen from outside (gateway, command line, tests): ask, read, list, history,
 * events, large values. The gateway imports this and machines' schemas, nothing else of the runtime.
 */
import type { Address } from "../machines/address.ts";
import type { Command, Json, JsonObject } from "../machines/effects.ts";
import type { RuntimeMeasures } from "./measures.ts";
import type { PlainAnswer } from "./plain.ts";

/** Any text as one token of an event's subject. */
export { toToken as subjectToken } from "../bus/token.ts";
export type { RuntimeMeasures } from "./measures.ts";
export type { PlainAnswer } from "./plain.ts";

export interface AskOptions {
  /** Give up after this long; the outcome is then unknown (`timed_out`). Default 10 000. */
  readonly timeoutMs?: number;
}

export interface Answer {
  /** The machine's `reply`, or null. */
  readonly reply: Json;
  /** The actor's view after the commit. */
  readonly view: Json;
  /** Number of the actor's last step. */
  readonly step: number;
}

/** An event as stored: numbered from 1 within its root, without gaps. */
export interface StoredEvent {
  readonly root: string;
  readonly no: number;
  /** The actor that emitted it. */
  readonly type: string;
  readonly key: string;
  /** Task type, workflow name, agent type. */
  readonly kind: string;
  /** Past tense: `started`, `completed`… */
  readonly name: string;
  /** Partition time of the commit, ms. */
  readonly at: number;
  readonly data: JsonObject;
}

/** What an actor, or the runtime, tells those who listen just now; lost on nobody. */
export interface LiveMessage {
  readonly root: string;
  readonly type: string;
  readonly key: string;
  readonly kind: string;
  readonly name: string;
  readonly at: number;
  readonly data: JsonObject;
}

/** `event.<root>.<type>.<kind>.<key>.<name>`, tokens escaped for NATS. */
export interface FeedEvent extends StoredEvent {
  readonly subject: string;
  /** Opaque; `follow` with it as `since` continues right after this event. */
  readonly cursor: string;
}

export interface Feed {
  /**
   * Every stored event whose subject matches the NATS-style pattern, in stored order per root,
   * once. Without `since`: from now on. Throws TroupeError `cursor_expired` (details.oldest) or
   * `invalid_input` for a malformed pattern or cursor. `onEvent` must be quick. Resolves when live (or stopped).
   */
  follow(options: {
    readonly pattern: string;
    readonly since?: string;
    readonly onEvent: (e: FeedEvent) => void;
    /** Aborted: stops, also while stored events are still being given. */
    readonly signal?: AbortSignal;
    /**
     * With `since`: called between two events, when all that came before was given. The follow ends there:
     * the next event goes to those who follow live, so that the caller may pass the listener on to one of them.
     */
    readonly onCaughtUp?: () => void;
  }): Promise<{ stop(): void }>;
  /** The cursor of this moment. */
  cursor(): string;
}

export interface ListQuery {
  readonly type: string;
  /** Equality on index fields. */
  readonly where?: Readonly<Record<string, string | number>>;
  /** 1–200. */
  readonly limit: number;
  /** From a former page; opaque, survives restarts. */
  readonly cursor?: string;
}

export interface ListPage {
  /** Views, newest first (by index field `created`, then key). */
  readonly items: readonly { readonly address: Address; readonly view: Json }[];
  readonly nextCursor: string | null;
}

export interface HistoryPage {
  readonly events: readonly StoredEvent[];
  /** The highest number of the root's events so far (0: none). */
  readonly last: number;
}

/** A value over 64 KiB is kept outside; this stands in its place. `at`: JSON Pointer (RFC 6901) into the stored value. */
export interface BlobRef {
  readonly $blob: { readonly name: string; readonly bytes: number; readonly sha256: string; readonly at?: string };
}

export interface LargeValues {
  /**
   * Replaces what is over the threshold (64 KiB) inside `value` by references to blobs under
   * `root`. `refs`: what an object with the key `$blob` means; `refuse` (default) throws
   * `invalid_input`, `keep` is for Troupe's own values only.
   */
  offload(root: string, value: Json, thresholdBytes?: number, refs?: "refuse" | "keep"): Promise<Json>;
  /** The whole value again; a copy that the caller may change. */
  load(value: Json): Promise<Json>;
  /** Raw bytes, for file artifacts. */
  putBytes(root: string, bytes: Uint8Array): Promise<BlobRef>;
  getBytes(ref: BlobRef): Promise<Uint8Array | null>;
  stream(ref: BlobRef): Promise<AsyncIterable<Uint8Array> | null>;
}

export interface RuntimeStatus {
  readonly ready: boolean;
  readonly node: string;
  readonly nats: { readonly connected: boolean; readonly version: string };
  readonly partitions: readonly {
    readonly partition: number;
    readonly state: "serving" | "recovering" | "elsewhere" | "stopped";
    readonly epoch: number;
    readonly lastSeq: number;
    readonly actors: number;
    readonly dirty: number;
    readonly lag: number;
    readonly waiting: number;
    readonly mail: number;
  }[];
  /** Agents hosted by this node: type, running and waiting attempts. */
  readonly hosted: readonly {
    readonly type: string;
    readonly running: number;
    readonly waiting: number;
    readonly concurrency: number;
  }[];
  readonly counters: Readonly<Record<string, number>>;
}

/** A partition as its owner tells it. */
export interface PartitionStatus {
  readonly partition: number;
  readonly state: "recovering" | "serving" | "stopped";
  /** Boot id of the owner. */
  readonly node: string;
  readonly epoch: number;
  readonly lastSeq: number;
  readonly actors: number;
  /** Changed actors that wait for their record. */
  readonly dirty: number;
  /** Sequences of its stream behind which the records lag: what a take-over would read. */
  readonly lag: number;
  /** Commands that wait. */
  readonly waiting: number;
  /** Letters to other partitions that are not acknowledged. */
  readonly mail: number;
}

export interface ClusterStatus {
  readonly members: readonly {
    readonly boot: string;
    readonly node: string;
    readonly role: "node" | "gateway" | "all";
    /** Newest format of journal and records that it can read. */
    readonly format: number;
    readonly leaving: boolean;
    /** Partitions that it owns. */
    readonly partitions: number;
  }[];
  /** One that nobody answers for has the state `unowned`. */
  readonly partitions: readonly (PartitionStatus | { readonly partition: number; readonly state: "unowned" })[];
}

/** Whether to send requests here; `reason` when not. */
export interface Readiness {
  readonly ready: boolean;
  readonly reason?: string;
}

/** How the ended tasks of an agent did. */
export interface EndedTally {
  readonly completed: number;
  /** Failed or timed out. */
  readonly failed: number;
  readonly cancelled: number;
  /** Of the completed ones, from their last start to their end, summed. */
  readonly tookMs: number;
}

/** Sums over all actors of the cluster, as their owners' indexes have them now. */
export interface Tally {
  /** How many actors stand where: `counts.task.running`. A status that nobody has is absent. */
  readonly counts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By agent (empty: ended before any had it). */
  readonly ended: ReadonlyMap<string, EndedTally>;
}

/** The state of one part, and why when it is not well. */
export interface PartHealth {
  readonly state: "healthy" | "degraded" | "unhealthy";
  readonly reason?: string;
}

export interface Health {
  /** Partitions have owners that answer. */
  readonly platform: PartHealth;
  /** The connection to the servers. */
  readonly nats: PartHealth;
  /** The store: it answers and has room. */
  readonly jetstream: PartHealth;
}

export interface Runtime {
  /** Commits the command's step, then answers. Throws TroupeError. Retries under one command id until the deadline. */
  ask(to: Address, command: Command, options?: AskOptions): Promise<Answer>;
  /** The actor's view; throws `not_found`. Never from a stale owner. */
  read(at: Address, options?: AskOptions): Promise<Answer>;
  list(query: ListQuery): Promise<ListPage>;
  /** A root's stored events with `no > after`, ascending; at most `limit` (1–1000). */
  history(root: string, after: number, limit: number): Promise<HistoryPage>;
  readonly feed: Feed;
  readonly values: LargeValues;
  /**
   * News as they pass, on `live.<root>.<type>.<kind>.<key>.<name>`: at most once, in no promised order, so
   * whoever acts on them looks again now and then. Throws `invalid_input` for a malformed pattern.
   */
  live(pattern: string, onMessage: (message: LiveMessage) => void): { stop(): void };
  /** Tells such news on an actor's behalf (progress of a model's answer, say). */
  announce(at: Address, kind: string, name: string, data: JsonObject): void;
  /** Answers what plain NATS clients ask on `agents.<agent id>.<what>`; of all processes that do, one gets each. */
  answerPlain(answer: PlainAnswer): { stop(): void };
  /** To an agent's own subject (must start with `agent.`). At most once. */
  publish(subject: string, data: Json): void;
  request(subject: string, data: Json, timeoutMs: number): Promise<Json>;
  status(): RuntimeStatus;
  /** Members and partitions of the whole cluster, as their owners tell them now. */
  cluster(): Promise<ClusterStatus>;
  /** What a load balancer should know; cheap to ask often. */
  readiness(): Promise<Readiness>;
  /** What this process has done since its start. */
  readonly measures: RuntimeMeasures;
  /** Sums over the whole cluster; `since` (ms): of the ended tasks only those of that minute or later, at most a week. */
  tally(since?: number): Promise<Tally>;
  /** Looks at every part now. Never throws. */
  health(): Promise<Health>;
  /** A secret of this cluster, the same on every node, made at first start. 32 bytes. */
  secret(name: string): Promise<Uint8Array>;
  /** A fresh sortable id (26 characters). */
  newId(): string;
  /** The server's time, ms. */
  now(): number;
}
