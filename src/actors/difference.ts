/**
 * The difference of two immutable JSON values, found by reference: what is the same object is not
 * looked into. So a step costs, in the journal, what it changed, not what the actor holds.
 */
import type { Json } from "../machines/effects.ts";

/** undefined: the same. Otherwise one of the two forms, as compact arrays for MessagePack. */
export type Difference =
  /** [0, value]: the whole value. */
  | readonly [0, Json]
  /** [1, sets, inner, removed]: keys with new values, keys with a difference of their own, keys gone. */
  | readonly [1, { readonly [key: string]: Json }, { readonly [key: string]: Difference }, readonly string[]]
  /** [2, length, inner]: an array's new length and the places that differ (by index). */
  | readonly [2, number, { readonly [index: string]: Difference }];

type Fields = { readonly [key: string]: Json };

export function difference(before: Json, after: Json): Difference | undefined {
  if (before === after) return undefined;
  if (typeof before !== "object" || typeof after !== "object" || before === null || after === null) return [0, after];
  if (Array.isArray(before)) return Array.isArray(after) ? ofArrays(before, after) : [0, after];
  if (Array.isArray(after)) return [0, after];
  return ofObjects(before as Fields, after as Fields);
}

function ofObjects(before: Fields, after: Fields): Difference | undefined {
  const sets: Record<string, Json> = {};
  const inner: Record<string, Difference> = {};
  const removed: string[] = [];
  let changes = 0;
  let kept = 0;
  for (const key in after) {
    const next = after[key] as Json;
    if (next === undefined) continue;
    if (!Object.hasOwn(before, key) || before[key] === undefined) {
      sets[key] = next;
      changes++;
      continue;
    }
    const inside = difference(before[key] as Json, next);
    kept++;
    if (inside === undefined) continue;
    changes++;
    if (inside[0] === 0) sets[key] = inside[1];
    else inner[key] = inside;
  }
  for (const key in before) {
    if (before[key] === undefined) continue;
    if (!Object.hasOwn(after, key) || after[key] === undefined) removed.push(key);
  }
  if (changes === 0 && removed.length === 0) return undefined;
  if (kept === 0) return [0, after];
  return [1, sets, inner, removed];
}

function ofArrays(before: readonly Json[], after: readonly Json[]): Difference | undefined {
  if (before.length === 0) return after.length === 0 ? undefined : [0, after];
  const inner: Record<string, Difference> = {};
  let changes = 0;
  for (let i = 0; i < after.length; i++) {
    const inside = i < before.length ? difference(before[i] as Json, after[i] as Json) : ([0, after[i]] as Difference);
    if (inside === undefined) continue;
    changes++;
    inner[i] = inside;
  }
  if (changes === 0 && before.length === after.length) return undefined;
  if (changes > 0 && changes === after.length && before.length <= changes) return [0, after];
  return [2, after.length, inner];
}

/** The value after the difference; shares what did not change. */
export function applyDifference(before: Json, change: Difference): Json {
  if (change[0] === 0) return change[1];
  if (change[0] === 2) {
    const list = Array.isArray(before) ? before.slice(0, change[1]) : [];
    for (const index in change[2]) {
      const at = Number(index);
      list[at] = applyDifference(list[at] ?? null, change[2][index] as Difference);
    }
    return list;
  }
  const next: Record<string, Json> = { ...(before as Fields) };
  for (const key of change[3]) delete next[key];
  for (const key in change[1]) next[key] = change[1][key] as Json;
  for (const key in change[2]) next[key] = applyDifference(next[key] ?? null, change[2][key] as Difference);
  return next;
}
