/**
 * Makes the agents that a node hosts known: registers each as an agent actor, keeps its heartbeat, and
 * answers requests to its own subject. What they run is the executor's business.
 */
import type { Bus } from "../bus/bus.ts";
import type { TimerHandle } from "../bus/clock.ts";
import { pack, unpack } from "../bus/codec.ts";
import { toToken } from "../bus/token.ts";
import type { WireMessage, WireSubscription } from "../bus/wire.ts";
import type { Json } from "../machines/effects.ts";
import type { AgentDefinition } from "./agent.ts";
import type { Runtime, RuntimeStatus } from "./client.ts";
import type { Logger } from "./limits.ts";

export interface HostingOptions {
  readonly bus: Bus;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly node: string;
  readonly definitions: readonly AgentDefinition<never, unknown>[];
  stats(): RuntimeStatus["hosted"];
}

/** How often a hosted agent says that it is there; it counts as unavailable after three times as long. */
export const heartbeatMs = 10_000;

export class Hosting {
  readonly #options: HostingOptions;
  readonly #subscriptions: WireSubscription[] = [];
  #timer: TimerHandle | undefined;
  #stopped = false;

  constructor(options: HostingOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    await Promise.all(this.#options.definitions.map((d) => this.#register(d)));
    for (const definition of this.#options.definitions) this.#listen(definition);
    this.#arm();
  }

  /** Says goodbye for each, so that nobody waits for their heartbeats. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
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
      heartbeatMs,
    });
  }

  async #tell(type: string, command: { type: string; [field: string]: unknown }): Promise<void> {
    const { runtime, logger } = this.#options;
    try {
      await runtime.ask({ type: "agent", key: this.#id(type) }, command, { timeoutMs: 5000 });
    } catch (error) {
      logger.debug({ agent: type, command: command.type, err: error }, "the agent's actor did not take the command");
    }
  }

  #arm(): void {
    if (this.#stopped) return;
    this.#timer = this.#options.bus.clock.after(heartbeatMs, () => {
      for (const one of this.#options.stats()) {
        if (one.concurrency === 0) continue;
        void this.#tell(one.type, { type: "agent.heartbeat", currentTasks: one.running });
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
