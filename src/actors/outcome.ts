/**
 * What becomes of a step: an actor's change as the group holds it, the reply among its effects, and the event
 * that is left of a command that nobody can step. Pure.
 */
import { rootOf } from "../machines/address.ts";
import type { Snapshot } from "../machines/definition.ts";
import type { Command, Effect, Json, JsonObject } from "../machines/effects.ts";
import type { LiveMessage } from "./client.ts";
import { difference } from "./difference.ts";
import type { Draft, Entry } from "./entry.ts";
import type { ActorChange } from "./group.ts";
import { roughBytes } from "./size.ts";

/** A dead letter's command is kept up to this size. */
const deadLetterBytesMax = 65_536;

export function deadLetterEvent(
  command: Command,
  error: unknown,
): { readonly data: JsonObject; readonly bytes: number } {
  const bytes = roughBytes(command);
  const kept = bytes > deadLetterBytesMax ? { type: command.type } : (command as JsonObject);
  const data = { command: kept, error: String(error).slice(0, 1000) };
  return { data, bytes: Math.min(bytes, deadLetterBytesMax) + 64 };
}

/** What a machine says of a snapshot; of one that is not begun it may know nothing. */
export function kindOf(entry: Entry, snapshot: Snapshot): string {
  try {
    return entry.stepper.definition.kind(snapshot.context as never) || "unknown";
  } catch {
    return "unknown";
  }
}

/** Alone, an answer or news leave nothing to commit. */
export function changes({ type }: Effect): boolean {
  return type !== "reply" && type !== "announce";
}

export function newsOf({ entry, snapshot }: Draft, name: string, data: JsonObject, at: number): LiveMessage {
  const { type, key } = entry.address;
  return { root: rootOf(key), type, key, kind: kindOf(entry, snapshot), name, at, data };
}

export function replyOf(effects: readonly Effect[]): Json | undefined {
  for (const effect of effects) if (effect.type === "reply") return effect.value;
  return undefined;
}

export function changeOf(draft: Draft): ActorChange {
  const { entry } = draft;
  const before = entry.snapshot ?? null;
  return {
    type: entry.address.type,
    key: entry.address.key,
    since: entry.step,
    step: draft.step,
    version: entry.stepper.definition.version,
    change: difference(before as Json, draft.snapshot as unknown as Json) ?? null,
    reminders: draft.reminders === undefined ? [] : [...draft.reminders],
    work: draft.work === undefined ? [] : [...draft.work],
  };
}
