/**
 * The table of recent command ids: what makes a repeated ask answer instead of acting again. An id is the asker's
 * boot id and a number; each ask carries the lowest number that the asker still awaits, and numbers below it are
 * forgotten. An asker whose latest deadline has passed is forgotten whole: a later ask of its would be refused.
 */
import type { Json } from "../machines/effects.ts";
import type { AskerChange } from "./group.ts";
import { roughBytes } from "./size.ts";

export interface AskId {
  readonly boot: string;
  readonly number: number;
  /** The lowest number of this asker that is still awaited. */
  readonly low: number;
}

interface Asker {
  low: number;
  until: number;
  readonly done: Map<number, Json>;
}

/** Ids kept over all askers; beyond it new asks are refused as `overloaded`. */
const idsMax = 200_000;

function idBytes(reply: Json): number {
  return 8 + roughBytes(reply);
}

export class Askers {
  /** The partition's own record, one message, holds all of them: about so many bytes at most. */
  bytesMax = Number.POSITIVE_INFINITY;
  readonly #askers = new Map<string, Asker>();
  #ids = 0;
  #bytes = 0;

  get full(): boolean {
    return this.#ids >= idsMax || this.#bytes >= this.bytesMax;
  }

  /** The reply given to this id before; undefined if it is new. */
  find(id: AskId): { reply: Json } | undefined {
    const asker = this.#askers.get(id.boot);
    if (asker === undefined) return undefined;
    const reply = asker.done.get(id.number);
    return reply === undefined ? undefined : { reply };
  }

  /** True when the asker does not await this id any more: a copy that comes this late must not act again. */
  passed(id: AskId): boolean {
    return id.number < (this.#askers.get(id.boot)?.low ?? 0);
  }

  /** Remembers what a stored group carried. */
  apply(changes: readonly AskerChange[]): void {
    for (const [boot, low, until, done] of changes) {
      let asker = this.#askers.get(boot);
      if (asker === undefined) {
        asker = { low: 0, until: 0, done: new Map() };
        this.#askers.set(boot, asker);
      }
      if (until > asker.until) asker.until = until;
      for (const [number, reply] of done) {
        if (asker.done.has(number)) continue;
        this.#ids++;
        this.#bytes += idBytes(reply);
        asker.done.set(number, reply);
      }
      if (low > asker.low) {
        asker.low = low;
        // Numbers are inserted nearly in order, so what is below `low` stands at the front.
        for (const [number, reply] of asker.done) {
          if (number >= low) break;
          asker.done.delete(number);
          this.#ids--;
          this.#bytes -= idBytes(reply);
        }
      }
    }
  }

  /** Forgets the askers whose last deadline lies before `now`. */
  forget(now: number): void {
    for (const [boot, asker] of this.#askers) {
      if (asker.until >= now) continue;
      this.#ids -= asker.done.size;
      for (const reply of asker.done.values()) this.#bytes -= idBytes(reply);
      this.#askers.delete(boot);
    }
  }

  /** Everything, for the partition's own record. */
  dump(): AskerChange[] {
    return [...this.#askers].map(([boot, a]) => [boot, a.low, a.until, [...a.done]] as const);
  }
}

/** The askers' changes of the group in the making, gathered by boot. */
export class AskerChanges {
  readonly #byBoot = new Map<string, { low: number; until: number; done: Map<number, Json> }>();

  find(id: AskId): { reply: Json } | undefined {
    const reply = this.#byBoot.get(id.boot)?.done.get(id.number);
    return reply === undefined ? undefined : { reply };
  }

  passed(id: AskId): boolean {
    return id.number < (this.#byBoot.get(id.boot)?.low ?? 0);
  }

  add(id: AskId, until: number, reply: Json): void {
    let own = this.#byBoot.get(id.boot);
    if (own === undefined) {
      own = { low: 0, until: 0, done: new Map() };
      this.#byBoot.set(id.boot, own);
    }
    own.low = Math.max(own.low, id.low);
    own.until = Math.max(own.until, until);
    own.done.set(id.number, reply);
  }

  toChanges(): AskerChange[] {
    return [...this.#byBoot].map(([boot, a]) => [boot, a.low, a.until, [...a.done]] as const);
  }
}
