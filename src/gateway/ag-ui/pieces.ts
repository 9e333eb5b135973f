/** Live pieces on their way to one reader: held back, in order and bounded, while stored events are being told. */
import type { JsonObject } from "../../machines/effects.ts";

/** What is over it is dropped: the stored whole supplies it. */
const heldMax = 512;

export class Pieces {
  readonly #tell: (data: JsonObject) => void;
  #held: JsonObject[] | undefined;

  constructor(tell: (data: JsonObject) => void) {
    this.#tell = tell;
  }

  push(data: JsonObject): void {
    if (this.#held === undefined) this.#tell(data);
    else if (this.#held.length < heldMax) this.#held.push(data);
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    for (const data of held) this.#tell(data);
  }
}
