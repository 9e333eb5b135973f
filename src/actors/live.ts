/**
 * Live news: what is told to whoever listens just now over core NATS, neither numbered nor stored. Owns the
 * message's form; whoever acts on it looks again now and then, since any of it may be lost.
 */
import type { Wire } from "../bus/wire.ts";
import { TroupeError } from "../machines/errors.ts";
import type { LiveMessage } from "./client.ts";
import { liveSubjectOf, parsePattern } from "./pattern.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** As JSON text, for plain NATS clients too. */
export function publishLive(wire: Wire, message: LiveMessage): void {
  wire.publish(liveSubjectOf(message), encoder.encode(JSON.stringify(message)));
}

/** Throws `invalid_input` for a malformed pattern, or one outside of `live.`. */
export function listenLive(wire: Wire, pattern: string, onMessage: (m: LiveMessage) => void): { stop(): void } {
  const [first] = parsePattern(pattern);
  if (first !== "live") throw new TroupeError("invalid_input", "A pattern of live news begins with live.");
  const subscription = wire.subscribe(pattern, ({ bytes }) => {
    const message = parse(bytes);
    if (message !== undefined) onMessage(message);
  });
  return { stop: () => subscription.unsubscribe() };
}

/** A plain client may publish there as well: what is no news is passed over. */
function parse(bytes: Uint8Array): LiveMessage | undefined {
  try {
    const value = JSON.parse(decoder.decode(bytes)) as LiveMessage;
    return typeof value?.key === "string" && typeof value.name === "string" && value.data !== undefined
      ? value
      : undefined;
  } catch {
    return undefined;
  }
}
