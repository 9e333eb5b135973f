/**
 * A subscription's filter over an event's attributes. Pure.
 */
import type { FeedEvent } from "../../actors/client.ts";
import type { Filter } from "./protocol.ts";

const attributes = new Set(["root", "type", "kind", "key", "name"]);

/** True when every field equals the event's attribute, or one of the list's values does. */
export function matches(filter: Filter | undefined, event: FeedEvent): boolean {
  if (filter === undefined) return true;
  return Object.entries(filter).every(([field, wanted]) => {
    const actual = attributeOf(event, field);
    return Array.isArray(wanted) ? wanted.some((w) => w === actual) : wanted === actual;
  });
}

function attributeOf(event: FeedEvent, field: string): unknown {
  if (attributes.has(field)) return event[field as "root" | "type" | "kind" | "key" | "name"];
  const name = field.startsWith("data.") ? field.slice(5) : field;
  return Object.hasOwn(event.data, name) ? event.data[name] : undefined;
}
