/**
 * A session's list of messages: merged by id, bounded in number and size. Pure; owns no command.
 */
import type { Json, JsonObject } from "../effects.ts";
import { isBlobRef, isObject, jsonSize, refAt } from "../json.ts";
import { type Paged, pagedItems, pagedOf, pagedPush, pagedSet } from "../paged.ts";
import { type Message, messageSizeMax, messagesMaxDefault, messagesSizeMax, type SessionContext } from "./schema.ts";

export interface Messages {
  readonly messages: Paged<Message>;
  readonly size: number;
}

/** The message that is over the limit for one, if any. */
export function oversized(messages: readonly Message[]): Message | undefined {
  return messages.find((message) => jsonSize(message as Json) > messageSizeMax);
}

/**
 * Adds what is not there yet, by id; one that is there is replaced where it differs. Then the oldest leave
 * until number and size are within the bounds, but never a system or developer message at the beginning.
 * `from`: a client's copy of an assistant's message may be a part of it (its stream broke), and replaces nothing.
 */
export function mergeMessages(
  context: SessionContext,
  incoming: readonly Message[],
  from: "client" | "run" = "run",
): Messages {
  let { messages, size } = context;
  const places = new Map(pagedItems(messages).map(({ id }, at) => [id, at]));
  for (const message of incoming) {
    const at = places.get(message.id);
    if (at === undefined) {
      places.set(message.id, messages.length);
      messages = pagedPush(messages, message);
      size += jsonSize(message as Json);
    } else {
      const known = pagedItems(messages)[at] as Message;
      const before = jsonSize(known as Json);
      if (from === "client" && known.role === "assistant") continue;
      if (JSON.stringify(known) === JSON.stringify(message)) continue;
      messages = pagedSet(messages, at, message);
      size += jsonSize(message as Json) - before;
    }
  }
  return trimmed({ messages, size }, context.options.messagesMax ?? messagesMaxDefault);
}

function trimmed(list: Messages, countMax: number): Messages {
  if (list.messages.length <= countMax && list.size <= messagesSizeMax) return list;
  const kept = pagedItems(list.messages);
  let { size } = list;
  const heads = kept.findIndex(({ role }) => role !== "system" && role !== "developer");
  const from = Math.max(heads, 0);
  let drop = 0;
  while (from + drop < kept.length - 1 && (kept.length - drop > countMax || size > messagesSizeMax)) {
    size -= jsonSize(kept[from + drop] as Json);
    drop++;
  }
  kept.splice(from, drop);
  return { messages: pagedOf(kept), size };
}

/** Stands for a list of messages that is kept as a large value; readers put the list in its place. */
export const listRole = "ref";

/** The messages that a run's output adds: as they are, or one entry that stands for a large list. */
export function addedBy(run: string, output: Json | undefined): readonly Message[] {
  const list = isBlobRef(output) ? refAt(output, "/messages") : isObject(output) ? output.messages : undefined;
  if (isBlobRef(list)) return [{ id: `${run}-messages`, role: listRole, list }];
  if (!Array.isArray(list)) return [];
  return list.filter((m): m is Message => isObject(m) && typeof m.id === "string" && typeof m.role === "string");
}

/** Loaded messages with the large lists in their places; a client's copy of one in such a list is left out. */
export function flattened(messages: readonly JsonObject[]): JsonObject[] {
  const all = messages.flatMap((m) => (m.role === listRole && Array.isArray(m.list) ? (m.list as JsonObject[]) : [m]));
  const seen = new Set<unknown>();
  return all.filter(({ id }) => !seen.has(id) && seen.add(id));
}
