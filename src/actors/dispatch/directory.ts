/**
 * Keeps a dispatcher's view of the cluster's agents fresh: hears what their actors announce, and reads the whole
 * list now and then, since hints may be lost. Owns no view itself; whom to offer what is the executor's.
 */
import type { Clock, TimerHandle } from "../../bus/clock.ts";
import type { AgentContext } from "../../machines/agent/schema.ts";
import { offerOf } from "../../machines/agent/slots.ts";
import type { Runtime } from "../client.ts";
import type { Logger } from "../limits.ts";
import { type Offer, offerFrom } from "./remote.ts";

/** How often the list is read. */
export const refreshMs = 10_000;
/** Work that nobody known can do makes it look sooner, but not more often than this. */
const lookMs = 1_000;

export interface DirectoryOptions {
  readonly runtime: Pick<Runtime, "live" | "list">;
  readonly clock: Clock;
  readonly logger: Logger;
  /** False when the process of that boot is known to be gone. */
  isLive(boot: string): boolean;
  /** The node that hosted this agent is gone: its actor is told, not waited for. */
  lost(id: string, instance: string): void;
  /** An agent can take (or, with `free` 0, cannot take) work. */
  heard(id: string, offer: Offer): void;
  /** After a whole look: the agents that there are. */
  seen(ids: ReadonlySet<string>): void;
  /** Reads with it what else there is. */
  alongside(): Promise<void>;
}

export class Directory {
  readonly #options: DirectoryOptions;
  #live: { stop(): void } | undefined;
  #timer: TimerHandle | undefined;
  #lookedAt = Number.NEGATIVE_INFINITY;
  #looking = false;
  #stopped = false;

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  start(): void {
    this.#live = this.#options.runtime.live("live.*.agent.*.*.free", ({ key, data }) => {
      const offer = offerFrom(data);
      if (offer !== undefined) this.#options.heard(key, offer);
    });
    this.#arm();
    this.look();
  }

  stop(): void {
    this.#stopped = true;
    this.#live?.stop();
    this.#timer?.cancel();
  }

  /** Reads the list soon: somebody is missed. */
  look(): void {
    const { clock } = this.#options;
    if (this.#stopped || this.#looking || clock.monotonic() - this.#lookedAt < lookMs) return;
    this.#looking = true;
    this.#lookedAt = clock.monotonic();
    void this.#read().finally(() => {
      this.#looking = false;
    });
  }

  #arm(): void {
    this.#timer = this.#options.clock.after(refreshMs, () => {
      if (this.#stopped) return;
      this.look();
      this.#arm();
    });
  }

  async #read(): Promise<void> {
    const { runtime, logger, heard, seen, alongside } = this.#options;
    const ids = new Set<string>();
    try {
      let cursor: string | undefined;
      do {
        const where = { presence: "present" };
        const page = await runtime.list({ type: "agent", where, limit: 200, ...(cursor !== undefined && { cursor }) });
        for (const { address, view } of page.items) {
          ids.add(address.key);
          const context = view as unknown as AgentContext;
          const { hosted, instance } = context;
          if (hosted !== null && instance !== null && !this.#options.isLive(instance)) {
            this.#options.lost(address.key, instance);
          } else heard(address.key, toOffer(context));
        }
        cursor = page.nextCursor ?? undefined;
      } while (cursor !== undefined && !this.#stopped);
      if (this.#stopped) return;
      seen(ids);
      await alongside();
    } catch (error) {
      logger.debug({ err: error }, "the list of agents could not be read; it is read again later");
    }
  }
}

/** A hosted agent is as busy as it says: its own node's work has no slots. */
function toOffer(context: AgentContext): Offer {
  const offer = offerOf(context) as unknown as Offer;
  if (context.hosted === null) return offer;
  return { ...offer, free: Math.min(offer.free, context.concurrency - (context.reported.currentTasks ?? 0)) };
}
