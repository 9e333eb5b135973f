/**
 * A subscriber in a simulated world: follows all events at one node, and at another one when that dies, from where
 * it stood. Writes down what it saw, and each event that is not the next of its root.
 */
import type { FeedEvent } from "../../src/actors/client.ts";
import { encodeCursor } from "../../src/actors/cursor.ts";
import type { Host } from "../../src/actors/host.ts";
import type { MemoryClock } from "../../src/bus/memory/clock.ts";

export class WorldFollower {
  readonly problems: string[] = [];
  /** Times that it began again elsewhere. */
  moves = 0;
  readonly #clock: MemoryClock;
  readonly #hosts: () => readonly Host[];
  readonly #seen = new Map<string, FeedEvent[]>();
  #cursor: string;

  constructor(clock: MemoryClock, streams: number, hosts: () => readonly Host[]) {
    this.#clock = clock;
    this.#hosts = hosts;
    this.#cursor = encodeCursor({ streams: Array.from({ length: streams }, () => 0), stream: 0, skip: 0 });
  }

  get seen(): number {
    let sum = 0;
    for (const list of this.#seen.values()) sum += list.length;
    return sum;
  }

  of(root: string): readonly FeedEvent[] {
    return this.#seen.get(root) ?? [];
  }

  async run(): Promise<never> {
    for (;;) {
      const host = this.#hosts()[this.moves % Math.max(1, this.#hosts().length)];
      if (host !== undefined) await this.#stay(host);
      await this.#clock.sleep(50);
    }
  }

  /** Follows at this node until it is dead, or could not begin. */
  async #stay(host: Host): Promise<void> {
    this.moves++;
    let away = false;
    const onEvent = (e: FeedEvent) => {
      if (!away) this.#take(e);
    };
    const { feed } = host.runtime;
    feed.follow({ pattern: "event.>", since: this.#cursor, onEvent }).catch((error: { code?: string }) => {
      away = true;
      if (error.code === "cursor_expired" || error.code === "invalid_input")
        this.problems.push(`the follower was refused: ${String(error)}`);
    });
    while (!away && this.#hosts().includes(host)) await this.#clock.sleep(50);
    away = true;
  }

  #take(event: FeedEvent): void {
    const list = this.#seen.get(event.root) ?? [];
    this.#seen.set(event.root, list);
    if (event.no !== list.length + 1)
      this.problems.push(`the follower saw event ${event.no} of ${event.root} after ${list.length}`);
    list.push(event);
    this.#cursor = event.cursor;
  }
}
