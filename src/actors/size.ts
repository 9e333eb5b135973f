/**
 * A rough size of a JSON value in bytes, and the last look at what enters the core: a key that
 * MessagePack or JavaScript treats specially is refused here, whoever sent it.
 */
import type { Effect } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";

const depthMax = 200;

/**
 * What an effect adds to its group, roughly. Throws for one that no commit may hold: `invalid_input` for values
 * that are not JSON, an Error for a send to a type of actor that nobody knows (it could never be delivered).
 */
export function effectBytes(effect: Effect, knows: (type: string) => boolean): number {
  switch (effect.type) {
    case "send":
      if (!knows(effect.to.type)) throw new Error(`a send to ${effect.to.type}: there is no such type of actor`);
      return roughBytes(effect.command) + 64;
    case "emit":
    case "announce":
      return roughBytes(effect.data) + 64;
    case "remind":
      return roughBytes(effect.command) + 64;
    case "execute":
      return roughBytes(effect.spec) + 64;
    default:
      return 0;
  }
}

/** Rough encoded size; throws `invalid_input` for values that cannot be kept, names the place. */
export function roughBytes(value: unknown, depth = 0): number {
  switch (typeof value) {
    case "string":
      return value.length + 3;
    case "number":
      return 9;
    case "boolean":
    case "undefined":
      return 1;
    case "object": {
      if (value === null) return 1;
      if (depth > depthMax)
        throw new TroupeError("invalid_input", `The value is nested deeper than ${depthMax} levels.`);
      let sum = 3;
      if (Array.isArray(value)) {
        for (const item of value) sum += roughBytes(item, depth + 1);
        return sum;
      }
      for (const key in value) {
        if (key === "__proto__") throw new TroupeError("invalid_input", "The key __proto__ is not allowed.");
        sum += key.length + 2 + roughBytes((value as Record<string, unknown>)[key], depth + 1);
      }
      return sum;
    }
    default:
      throw new TroupeError("invalid_input", `A ${typeof value} is not JSON.`);
  }
}
