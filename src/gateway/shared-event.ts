/**
 * An event on its way to many WebSocket clients: encoded once per format, and once more per
 * subscription id that clients chose (most choose the same few).
 */
import { encode } from "@msgpack/msgpack";
import type { FeedEvent } from "../actors/client.ts";

export type Format = "json" | "msgpack";

/** The event as clients see it: wire-shaped, time as RFC 3339. */
export function wireEvent(event: FeedEvent): Record<string, unknown> {
  const { subject, root, no, type, kind, key, name, data } = event;
  return { subject, root, no, type, kind, key, name, at: new Date(event.at).toISOString(), data };
}

const shared = new WeakMap<FeedEvent, SharedEvent>();

/** The one SharedEvent of an event object: live listeners and caught-up replays get the same object from the feed. */
export function sharedEvent(event: FeedEvent): SharedEvent {
  const known = shared.get(event) ?? new SharedEvent(event);
  shared.set(event, known);
  return known;
}

export class SharedEvent {
  readonly event: FeedEvent;
  private readonly tails: Partial<Record<Format, Buffer>> = {};
  private readonly frames: Record<Format, Map<string, Buffer>> = { json: new Map(), msgpack: new Map() };

  constructor(event: FeedEvent) {
    this.event = event;
  }

  /** The message `{type:"event", id, cursor, event}` for a subscription id; shared by all who use that id. */
  frame(format: Format, id: string): Buffer {
    const known = this.frames[format].get(id);
    if (known !== undefined) return known;
    const tail = this.tails[format] ?? (format === "json" ? this.jsonTail() : this.msgpackTail());
    this.tails[format] = tail;
    const frame = Buffer.concat([format === "json" ? jsonHead(id) : msgpackHead(id), tail]);
    this.frames[format].set(id, frame);
    return frame;
  }

  private jsonTail(): Buffer {
    const { event } = this;
    return Buffer.from(`,"cursor":${JSON.stringify(event.cursor)},"event":${JSON.stringify(wireEvent(event))}}`);
  }

  private msgpackTail(): Buffer {
    return pack("cursor", this.event.cursor, "event", wireEvent(this.event));
  }
}

function jsonHead(id: string): Buffer {
  return Buffer.from(`{"type":"event","id":${JSON.stringify(id)}`);
}

/** A map of four entries, of which the tail holds the last two. */
function msgpackHead(id: string): Buffer {
  return Buffer.concat([Buffer.of(0x84), pack("type", "event", "id", id)]);
}

function pack(...values: unknown[]): Buffer {
  return Buffer.concat(values.map((value) => encode(value, { ignoreUndefined: true })));
}
