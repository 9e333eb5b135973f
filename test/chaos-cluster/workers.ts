/** Clients that create runs and tasks, decide, cancel and wait for the ends, one thing after the other. */
import { anything } from "../chaos/scenarios.ts";
import type { World } from "../chaos/world.ts";

export class Workers {
  /** What did not come to its end, or answered as no client should see. */
  readonly stuck: string[] = [];
  readonly #working: Promise<void>[];
  #stopped = false;

  constructor(
    private readonly world: World,
    count: number,
  ) {
    this.#working = Array.from({ length: count }, () => this.#work());
  }

  async finish(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#working);
  }

  async #work(): Promise<void> {
    while (!this.#stopped) {
      await anything(this.world).catch((error: unknown) => {
        this.stuck.push(error instanceof Error ? error.message : String(error));
      });
    }
  }
}
