/**
 * What agents' actors announce to a gateway's waiting polls and sockets: one subscription for all of them. Hints
 * may be lost; who waits also looks by itself now and then.
 */
import type { LiveMessage, Runtime } from "../../actors/client.ts";

type Listener = (news: LiveMessage) => void;

export class AgentHints {
  private readonly runtime: Pick<Runtime, "live">;
  private readonly listeners = new Map<string, Set<Listener>>();
  private live: { stop(): void } | undefined;

  constructor(runtime: Pick<Runtime, "live">) {
    this.runtime = runtime;
  }

  /** News of one agent (`granted`, `withdrawn`, `free`); the returned function ends it. */
  listen(agentId: string, listener: Listener): () => void {
    this.live ??= this.runtime.live("live.*.agent.>", (news) => {
      for (const one of [...(this.listeners.get(news.key) ?? [])]) one(news);
    });
    const mine = this.listeners.get(agentId) ?? new Set();
    mine.add(listener);
    this.listeners.set(agentId, mine);
    return () => {
      mine.delete(listener);
      if (mine.size === 0 && this.listeners.get(agentId) === mine) this.listeners.delete(agentId);
    };
  }

  stop(): void {
    this.live?.stop();
    this.live = undefined;
  }
}
