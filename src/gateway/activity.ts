/**
 * The newest things that happened, over all roots: seeded once from what lists and histories have, then from the
 * live feed. Bounded, in memory, begun when first asked for; what is stored is the runtime's.
 */
import type { Runtime, StoredEvent } from "../actors/client.ts";
import { rootOf } from "../machines/address.ts";
import type { Hub } from "./hub.ts";

/** By type of actor: what people look for. Progress and attempts would push out the rest. */
const notable: Readonly<Record<string, ReadonlySet<string>>> = {
  task: new Set("created assigned completed failed cancelled timed_out".split(" ")),
  run: new Set("started completed succeeded failed canceled timed_out checkpoint_required".split(" ")),
  agent: new Set("registered deregistered unavailable available status_changed".split(" ")),
  conflict: new Set("reported resolved".split(" ")),
  resource: new Set("registered removed".split(" ")),
};

/** Events kept. */
export const activityMax = 1_000;
/** Roots of each type that the seed looks into, and events of each. */
const seedRootsMax = 100;
const seedEventsMax = 50;
const seedReadsMax = 16;

export class Activity {
  private readonly runtime: Runtime;
  private readonly hub: Hub;
  private readonly events = new Map<string, StoredEvent>();
  private started: Promise<void> | undefined;

  constructor(runtime: Runtime, hub: Hub) {
    this.runtime = runtime;
    this.hub = hub;
  }

  /** Newest first. */
  async newest(limit: number): Promise<StoredEvent[]> {
    this.started ??= this.start();
    try {
      await this.started;
    } catch (error) {
      this.started = undefined;
      throw error;
    }
    return this.sorted().slice(0, limit);
  }

  private async start(): Promise<void> {
    const stop = await this.hub.subscribe("event.>", ({ event }) => this.take(event));
    try {
      await this.seed();
    } catch (error) {
      stop();
      throw error;
    }
  }

  private take(event: StoredEvent): void {
    const names = Object.hasOwn(notable, event.type) ? notable[event.type] : undefined;
    if (names?.has(event.name) !== true) return;
    this.events.set(`${event.root}:${event.no}`, event);
    if (this.events.size >= 2 * activityMax) this.trim();
  }

  private sorted(): StoredEvent[] {
    return [...this.events.values()].sort((a, b) => b.at - a.at || b.no - a.no);
  }

  private trim(): void {
    const kept = this.sorted().slice(0, activityMax).reverse();
    this.events.clear();
    for (const event of kept) this.events.set(`${event.root}:${event.no}`, event);
  }

  private async seed(): Promise<void> {
    const pages = await Promise.all(
      Object.keys(notable).map((type) => this.runtime.list({ type, limit: seedRootsMax })),
    );
    const roots = [...new Set(pages.flatMap(({ items }) => items.map((one) => rootOf(one.address.key))))];
    const readers = Array.from({ length: seedReadsMax }, async () => {
      for (let root = roots.pop(); root !== undefined; root = roots.pop()) await this.seedRoot(root);
    });
    await Promise.all(readers);
  }

  private async seedRoot(root: string): Promise<void> {
    const first = await this.runtime.history(root, 0, seedEventsMax);
    for (const event of first.events) this.take(event);
    const after = first.last - seedEventsMax;
    if (after <= 0) return;
    for (const event of (await this.runtime.history(root, after, seedEventsMax)).events) this.take(event);
  }
}
