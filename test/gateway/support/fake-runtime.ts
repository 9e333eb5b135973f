/**
 * A small in-memory stand-in for the runtime: stored views, numbered events, a feed. It has no
 * machines; tests put views and events in place. Integration tests use the real runtime instead.
 */
import { createHash } from "node:crypto";
import type {
  Answer,
  AskOptions,
  BlobRef,
  ClusterStatus,
  FeedEvent,
  Health,
  HistoryPage,
  ListPage,
  ListQuery,
  Readiness,
  Runtime,
  RuntimeStatus,
  StoredEvent,
  Tally,
} from "../../../src/actors/client.ts";
import { Measures } from "../../../src/actors/measures.ts";
import type { Address } from "../../../src/machines/address.ts";
import type { Command, Json, JsonObject } from "../../../src/machines/effects.ts";
import { TroupeError } from "../../../src/machines/errors.ts";
import { FakeActors } from "./fake-actors.ts";
import { runView, stageDefinition } from "./views.ts";

type Listener = { pattern: string; onEvent: (e: FeedEvent) => void };

export class FakeRuntime implements Runtime {
  readonly views = new Map<string, JsonObject>();
  readonly asked: { to: Address; command: Command; options: AskOptions | undefined }[] = [];
  readonly events: FeedEvent[] = [];
  readonly blobs = new Map<string, Uint8Array>();
  /** Of authentication: real machines. */
  readonly actors = new FakeActors();
  readonly published: { subject: string; data: Json }[] = [];
  readonly listeners = new Set<Listener>();
  oldest = 0;
  ready = true;
  follows = 0;
  /** Set by a test: called instead of the built-in handling. */
  onAsk: ((to: Address, command: Command) => Promise<Answer> | Answer) | undefined;
  private ids = 0;

  put(type: string, key: string, view: JsonObject): void {
    this.views.set(`${type}/${key}`, view);
  }

  putWorkflow(definition: JsonObject & { name: string; version: string }): void {
    const { name, version } = definition;
    const known = this.views.get(`workflow/${name}`) as { versions: Json[] } | undefined;
    const versions = [...(known?.versions ?? []), { version, hash: "0".repeat(64), createdAt: 0 }];
    this.put("workflow", name, {
      name,
      latest: version,
      versions,
      description: (definition.description as string | undefined) ?? null,
      tags: (definition.tags as Json) ?? [],
    });
    this.put("workflow_version", `${name}~${version}`, { hash: "0".repeat(64), definition });
  }

  /** Stores an event and gives it to all who follow. */
  emit(root: string, type: string, key: string, kind: string, name: string, data: JsonObject = {}): FeedEvent {
    const no = this.events.filter((e) => e.root === root).length + 1;
    const at = 1_700_000_000_000 + this.events.length;
    const subject = `event.${root}.${type}.${kind}.${key}.${name}`;
    const cursor = `c${this.events.length + 1}`;
    const event: FeedEvent = { root, no, type, key, kind, name, at, data, subject, cursor };
    this.events.push(event);
    for (const l of [...this.listeners]) if (matches(l.pattern, subject)) l.onEvent(event);
    return event;
  }

  async ask(to: Address, command: Command, options?: AskOptions): Promise<Answer> {
    if (this.actors.has(to.type)) return this.actors.ask(to, command);
    this.asked.push({ to, command, options });
    if (this.onAsk !== undefined) return this.onAsk(to, command);
    if (command.type === "run.create") return this.createRun(to, command);
    if (command.type === "workflow.register") return this.register(to, command);
    return this.read(to);
  }

  private createRun(to: Address, command: Command): Answer {
    const known = this.views.get(`run/${to.key}`);
    if (known !== undefined) {
      const before = known.requestHash as Record<string, string>;
      const now = command.requestHash as Record<string, string>;
      const differs = Object.keys(now).filter((part) => now[part] !== before[part]);
      if (differs.length > 0) throw new TroupeError("idempotency_conflict", "The key was used before", { differs });
      return { reply: { created: false }, view: known, step: 1 };
    }
    const view = runView({ ...(command as unknown as JsonObject), runContext: command.context as Json });
    this.put("run", to.key, view);
    this.emit(to.key, "run", to.key, "echo", "started");
    return { reply: { created: true }, view, step: 1 };
  }

  private register(to: Address, command: Command): Answer {
    const definition = command.definition as JsonObject & { name: string; version: string };
    if (this.views.has(`workflow_version/${definition.name}~${definition.version}`)) {
      throw new TroupeError("already_exists", "There is another definition of this version");
    }
    this.putWorkflow(definition);
    return { reply: null, view: this.views.get(`workflow/${to.key}`) as JsonObject, step: 1 };
  }

  async read(at: Address): Promise<Answer> {
    const view = this.views.get(`${at.type}/${at.key}`) ?? this.actors.viewOf(at) ?? undefined;
    if (view === undefined) throw new TroupeError("not_found", "no such actor");
    return { reply: null, view, step: 1 };
  }

  async list(query: ListQuery): Promise<ListPage> {
    if (this.actors.has(query.type))
      return { items: this.actors.list(query.type).slice(0, query.limit), nextCursor: null };
    const all = [...this.views].filter(([key]) => key.startsWith(`${query.type}/`)).reverse();
    const wanted = all.filter(([, view]) =>
      Object.entries(query.where ?? {}).every(([field, value]) => {
        const own = field === "workflow" ? (view.workflow as JsonObject).name : view[field];
        return Array.isArray(own) ? own.includes(value) : own === value;
      }),
    );
    const from = query.cursor === undefined ? 0 : Number(query.cursor);
    const items = wanted.slice(from, from + query.limit).map(([key, view]) => ({
      address: { type: query.type, key: key.slice(query.type.length + 1) },
      view,
    }));
    const next = from + query.limit;
    return { items, nextCursor: next < wanted.length ? String(next) : null };
  }

  async history(root: string, after: number, limit: number): Promise<HistoryPage> {
    const all: StoredEvent[] = this.events.filter((e) => e.root === root);
    return { events: all.slice(after, after + limit), last: all.length };
  }

  readonly feed = {
    follow: async (options: Parameters<Runtime["feed"]["follow"]>[0]) => {
      this.follows++;
      const { since, signal, onCaughtUp } = options;
      let position = this.events.length;
      if (since !== undefined) {
        position = Number(since.slice(1));
        if (!/^c\d+$/.test(since)) throw new TroupeError("invalid_input", "not a cursor");
        if (position < this.oldest) throw new TroupeError("cursor_expired", "too old", { oldest: `c${this.oldest}` });
      }
      while (position < this.events.length && signal?.aborted !== true) {
        const event = this.events[position++] as FeedEvent;
        if (matches(options.pattern, event.subject)) options.onEvent(event);
        if (position % 50 === 0) await Promise.resolve();
      }
      const listener = { pattern: options.pattern, onEvent: options.onEvent };
      const stop = () => void this.listeners.delete(listener);
      if (signal?.aborted === true) return { stop };
      if (since !== undefined && onCaughtUp !== undefined) onCaughtUp();
      else this.listeners.add(listener);
      signal?.addEventListener("abort", stop, { once: true });
      return { stop };
    },
    cursor: () => `c${this.events.length}`,
  };

  readonly values = {
    offload: async (root: string, value: Json): Promise<Json> => {
      const text = JSON.stringify(value);
      return text.length <= 65_536 ? value : this.putBlob(root, Buffer.from(text));
    },
    load: async (value: Json): Promise<Json> => {
      const ref = value as unknown as BlobRef;
      if (typeof value !== "object" || value === null || ref.$blob === undefined) return value;
      return JSON.parse(Buffer.from(this.blobs.get(ref.$blob.name) as Uint8Array).toString()) as Json;
    },
    putBytes: async (root: string, bytes: Uint8Array): Promise<BlobRef> =>
      (await this.putBlob(root, bytes)) as unknown as BlobRef,
    getBytes: async (ref: BlobRef) => this.blobs.get(ref.$blob.name) ?? null,
    stream: async (ref: BlobRef) => {
      const bytes = this.blobs.get(ref.$blob.name);
      return bytes === undefined ? null : pieces(bytes);
    },
  };

  private async putBlob(root: string, bytes: Uint8Array): Promise<Json> {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    const name = `${root}/${sha256.slice(0, 16)}`;
    this.blobs.set(name, bytes);
    return { $blob: { name, bytes: bytes.byteLength, sha256 } };
  }

  live(): { stop(): void } {
    return { stop() {} };
  }

  answerPlain(): { stop(): void } {
    return { stop() {} };
  }

  announce(): void {}

  publish(subject: string, data: Json): void {
    this.published.push({ subject, data });
  }

  async request(subject: string, data: Json, timeoutMs: number): Promise<Json> {
    if (subject.startsWith("agent.nobody.")) throw new TroupeError("agent_unavailable", "No agent listens there");
    return { subject, data, timeoutMs };
  }

  async cluster(): Promise<ClusterStatus> {
    const member = { boot: "b1", node: "test", role: "all", format: 1, leaving: false, partitions: 1 } as const;
    const owned = { partition: 0, state: "serving", node: "b1", epoch: 1, lastSeq: 9, actors: 2 } as const;
    return {
      members: [member],
      partitions: [
        { ...owned, dirty: 0, lag: 3, waiting: 0, mail: 0 },
        { partition: 1, state: "unowned" },
      ],
    };
  }

  async readiness(): Promise<Readiness> {
    return this.ready ? { ready: true } : { ready: false, reason: "the NATS server cannot be reached" };
  }

  status(): RuntimeStatus {
    return {
      ready: this.ready,
      node: "test",
      nats: { connected: this.ready, version: "2.14.0" },
      partitions: [
        { partition: 0, state: "serving", epoch: 1, lastSeq: 1, actors: 0, dirty: 0, lag: 0, waiting: 0, mail: 0 },
      ],
      hosted: [],
      counters: {},
    };
  }

  readonly measures = new Measures();

  /** By the `status` of what tests put in place. */
  async tally(): Promise<Tally> {
    const counts: Record<string, Record<string, number>> = {};
    for (const [name, view] of this.views) {
      const type = name.slice(0, name.indexOf("/"));
      const own = counts[type] ?? {};
      counts[type] = own;
      const status = String(view.status ?? "");
      own[status] = (own[status] ?? 0) + 1;
    }
    return { counts, ended: new Map() };
  }

  async health(): Promise<Health> {
    const state = this.ready ? ("healthy" as const) : ("unhealthy" as const);
    return { platform: { state }, nats: { state }, jetstream: { state } };
  }

  async secret(): Promise<Uint8Array> {
    return new Uint8Array(32).fill(7);
  }

  newId(): string {
    return String(++this.ids).padStart(26, "0");
  }

  now(): number {
    return Date.now();
  }
}

async function* pieces(bytes: Uint8Array): AsyncIterable<Uint8Array> {
  for (let i = 0; i < bytes.byteLength; i += 128 * 1024) yield bytes.subarray(i, i + 128 * 1024);
}

function matches(pattern: string, subject: string): boolean {
  const wanted = pattern.split(".");
  const given = subject.split(".");
  for (let i = 0; i < wanted.length; i++) {
    if (wanted[i] === ">") return given.length > i;
    if (i >= given.length || (wanted[i] !== "*" && wanted[i] !== given[i])) return false;
  }
  return wanted.length === given.length;
}

export const echoWorkflow = {
  name: "echo",
  version: "0.1.0",
  description: "Input out again",
  tags: ["demo"],
  stages: [stageDefinition],
};
