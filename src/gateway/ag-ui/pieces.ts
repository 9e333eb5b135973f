/**
 * Live pieces of a run on their way to one reader: heard from before the run begins, so that none of a quick model's
 * is missed; held back, in order and bounded, until there is somebody to tell and while stored events are being told.
 */
import type { Runtime } from "../../actors/client.ts";
import type { JsonObject } from "../../machines/effects.ts";

/** What is over it is dropped: the stored whole supplies it. */
const heldMax = 512;

export class Pieces {
  readonly #live: { stop(): void };
  #tell: ((data: JsonObject) => void) | undefined;
  #held: JsonObject[] | undefined = [];

  /** Listens at once, until `stop` or the signal. */
  constructor(
    runtime: Pick<Runtime, "live">,
    run: string,
    private readonly signal: AbortSignal,
  ) {
    signal.addEventListener("abort", this.stop, { once: true });
    this.#live = runtime.live(`live.${run}.>`, ({ name, data }) => {
      if (name === "delta") this.#push(data);
    });
    if (signal.aborted) this.stop();
  }

  /** From the next release on they go there. */
  tellTo(tell: (data: JsonObject) => void): void {
    this.#tell = tell;
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const data of held) this.#tell?.(data);
  }

  readonly stop = (): void => {
    this.signal.removeEventListener("abort", this.stop);
    this.#live.stop();
  };

  #push(data: JsonObject): void {
    if (this.#held === undefined) this.#tell?.(data);
    else if (this.#held.length < heldMax) this.#held.push(data);
  }
}
