/**
 * Makes the agents that a node hosts known: registers each as an agent actor, keeps its heartbeat, takes what
 * other nodes' dispatchers were granted for it, and answers requests to its own subject. What they run is the
 * executor's business.
 */
import type { Bus } from "../bus/bus.ts";
import type { TimerHandle } from "../bus/clock.ts";
import { pack, unpack } from "../bus/codec.ts";
import { toToken } from "../bus/token.ts";
import type { WireMessage, WireSubscription } from "../bus/wire.ts";
import type { AgentContext } from "../machines/agent/schema.ts";
import type { Json } from "../machines/effects.ts";
import type { AgentDefinition } from "./agent.ts";
import type { Answer, LiveMessage, Runtime, RuntimeStatus } from "./client.ts";
import type { Logger } from "./limits.ts";

export interface HostingOptions {
  readonly bus: Bus;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly node: string;
  readonly definitions: readonly AgentDefinition<never, unknown>[];
  stats(): RuntimeStatus["hosted"];
  /** Begins (or waits to begin) an attempt that the agent's actor granted a slot; one that is here already is left. */
  granted?(agentType: string, task: string, attempt: number): void;
  /** The attempts that `granted` began and that are not over. */
  grants?(agentType: string): readonly string[];
  /** Such an attempt is not wanted any more. */
  withdrawn?(task: string): void;
}

/** How often a hosted agent says that it is there; it counts as unavailable after three times as long. */
export const heartbeatMs = 10_000;

export class Hosting {
  readonly #options: HostingOptions;
  readonly #subscriptions: WireSubscription[] = [];
  #timer: TimerHandle | undefined;
  #live: { stop(): void } | undefined;
  #stopped = false;

  constructor(options: HostingOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    this.#live = this.#options.runtime.live("live.*.agent.>", (news) => this.#hear(news));
    await Promise.all(this.#options.definitions.map((d) => this.#register(d)));
    for (const definition of this.#options.definitions) this.#listen(definition);
    this.#arm();
  }

  /** Says goodbye for each, so that nobody waits for their heartbeats. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    this.#live?.stop();
    for (const subscription of this.#subscriptions) subscription.unsubscribe();
    await Promise.all(this.#options.definitions.map((d) => this.#tell(d.type, { type: "agent.deregister" })));
  }

  #id(type: string): string {
    return `${type}-${this.#options.node}`;
  }

  async #register(definition: AgentDefinition<never, unknown>): Promise<void> {
    const { node } = this.#options;
    await this.#tell(definition.type, {
      type: "agent.register",
      agentType: definition.type,
      name: definition.type,
      capabilities: [...(definition.capabilities ?? [])],
      concurrency: definition.concurrency ?? 1,
      hosted: { node },
      ...(definition.fallback === true && { fallback: true }),
      heartbeatMs,
      instance: this.#options.runtime.status().node,
    });
  }

  /** Of an agent hosted here: it was granted a slot to another node's task, or lost it. */
  #hear({ key, kind, name, data }: LiveMessage): void {
    if (key !== this.#id(kind) || typeof data.task !== "string" || typeof data.attempt !== "number") return;
    if (name === "granted") this.#options.granted?.(kind, data.task, data.attempt);
    else if (name === "withdrawn") this.#options.withdrawn?.(data.task);
  }

  /** News may be lost: the answer to a heartbeat says what should run, and what not any more. */
  async #beat(type: string, running: number): Promise<void> {
    const tasks = this.#options.grants?.(type) ?? [];
    const answer = await this.#tell(type, { type: "agent.heartbeat", currentTasks: running, tasks });
    if (answer === undefined) return;
    const { cancelled = [] } = (answer.reply ?? {}) as { cancelled?: readonly string[] };
    for (const task of cancelled) this.#options.withdrawn?.(task);
    const { slots } = answer.view as unknown as Pick<AgentContext, "slots">;
    for (const [task, { attempt }] of Object.entries(slots)) this.#options.granted?.(type, task, attempt);
  }

  async #tell(type: string, command: { type: string; [field: string]: unknown }): Promise<Answer | undefined> {
    const { runtime, logger } = this.#options;
    try {
      return await runtime.ask({ type: "agent", key: this.#id(type) }, command, { timeoutMs: 5000 });
    } catch (error) {
      logger.debug({ agent: type, command: command.type, err: error }, "the agent's actor did not take the command");
      return undefined;
    }
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.bus.clock.after(heartbeatMs, () => {
      for (const one of this.#options.stats()) {
        if (one.concurrency === 0) continue;
        void this.#beat(one.type, one.running);
      }
      this.#arm();
    });
  }

  #listen(definition: AgentDefinition<never, unknown>): void {
    const { request, type } = definition;
    if (request === undefined) return;
    const subject = `agent.${toToken(type)}.*`;
    this.#subscriptions.push(
      this.#options.bus.wire.subscribe(subject, (m) => void this.#answer(definition, m), `agent-${toToken(type)}`),
    );
  }

  async #answer(definition: AgentDefinition<never, unknown>, message: WireMessage): Promise<void> {
    const operation = message.subject.slice(message.subject.lastIndexOf(".") + 1);
    try {
      const answer = await definition.request?.(operation, unpack(message.bytes) as Json);
      message.respond(pack(answer ?? null));
    } catch (error) {
      this.#options.logger.warn({ agent: definition.type, operation, err: error }, "an agent's request failed");
      message.respond(
        pack({ error: { code: "agent_failed", message: error instanceof Error ? error.message : String(error) } }),
      );
    }
  }
}
