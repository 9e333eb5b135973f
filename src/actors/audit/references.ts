/** Finds references to large values inside anything decoded, and keeps who named them first. Loads nothing. */
import type { Json } from "../../machines/effects.ts";
import type { BlobRef } from "../client.ts";
import { asRef } from "../refs.ts";

export interface Reference {
  readonly ref: BlobRef;
  readonly partition: number;
  readonly place: string;
}

export class References {
  readonly byName = new Map<string, Reference>();
  readonly #partition: number;

  constructor(partition: number) {
    this.#partition = partition;
  }

  /** Everything inside the value. */
  take(value: unknown, place: string): void {
    if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return;
    if (Array.isArray(value)) {
      for (const item of value) this.take(item, place);
      return;
    }
    const ref = asRef(value as Json);
    if (ref !== null) {
      const { name } = ref.$blob;
      if (!this.byName.has(name)) this.byName.set(name, { ref, partition: this.#partition, place });
      return;
    }
    for (const item of Object.values(value)) this.take(item, place);
  }
}
