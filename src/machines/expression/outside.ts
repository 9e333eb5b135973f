/**
 * Stand-ins for values that are kept outside, inside a running expression. A stand-in may be
 * handed on; any look into it throws `NeedsValues`. Owns no evaluation.
 */
import type { Json, JsonObject } from "../effects.ts";
import { type BlobRef, isBlobRef, isObject } from "../json.ts";
import type { Names } from "./names.ts";

/** Thrown when an expression looks into an outside value. An Error, so that `&&` and `||` may absorb it as CEL says. */
export class NeedsValues extends Error {
  override readonly name = "NeedsValues";
}

/** The type that CEL sees; registered without fields. */
export class Outside {}

export interface WrappedScope {
  readonly scope: Record<string, unknown>;
  /** The reference behind a stand-in, or undefined for anything else. */
  unwrap(value: object): BlobRef | undefined;
  /** True once the expression has come across a stand-in. */
  met(): boolean;
}

/** The part of the scope that the expression names, with stand-ins in place of references. */
export function wrapScope(scope: JsonObject, names: Names): WrappedScope {
  const refs = new Map<object, BlobRef>();
  let met = false;
  const look = () => {
    throw new NeedsValues("looks into a value that is kept outside");
  };
  const handler: ProxyHandler<Outside> = {
    get(target, key) {
      // The library asks every value that passes for its constructor, to learn its type.
      if (key !== "constructor") return look();
      met = true;
      return target.constructor;
    },
    has: look,
    ownKeys: look,
    getOwnPropertyDescriptor: look,
  };
  const standIn = (ref: BlobRef): object => {
    const proxy = new Proxy(new Outside(), handler);
    refs.set(proxy, ref);
    return proxy;
  };
  const wrapped: Record<string, unknown> = {};
  for (const name of names.variables) {
    const value = scope[name];
    if (value !== undefined) wrapped[name] = wrap(value, standIn);
  }
  return { scope: wrapped, unwrap: (value) => refs.get(value), met: () => met };
}

/** Pure memo: values (immutable) that hold nothing to wrap. */
const clean = new WeakSet<object>();

/** Copies only what holds a reference; the rest is shared. */
function wrap(value: Json, standIn: (ref: BlobRef) => object): unknown {
  if (typeof value !== "object" || value === null || clean.has(value)) return value;
  const wrapped = wrapObject(value, standIn);
  if (wrapped === value) clean.add(value);
  return wrapped;
}

function wrapObject(
  value: Exclude<Json, string | number | boolean | null>,
  standIn: (ref: BlobRef) => object,
): unknown {
  if (Array.isArray(value)) {
    const items = value.map((v) => wrap(v, standIn));
    return items.every((v, i) => v === value[i]) ? value : items;
  }
  if (!isObject(value)) return value;
  if (isBlobRef(value)) return standIn(value);
  // The library tells a map by its `constructor`; data with such a key would mislead it.
  const misleads = Object.hasOwn(value, "constructor");
  let changed = misleads;
  const entries: [string, unknown][] = [];
  for (const key of Object.keys(value)) {
    const before = value[key];
    const after = before === undefined ? undefined : wrap(before, standIn);
    if (after !== before) changed = true;
    entries.push([key, after]);
  }
  if (!changed) return value;
  return misleads ? new Map(entries) : Object.fromEntries(entries);
}
