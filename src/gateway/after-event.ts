/**
 * Reading an actor because an event told of it: the event may be here before its commit can be read, so what is read
 * may be older for a moment. Looks again until it shows what the event told. Owns no more than that patience.
 */
import type { Runtime } from "../actors/client.ts";
import type { Address } from "../machines/address.ts";
import type { Json } from "../machines/effects.ts";
import { TroupeError } from "../machines/errors.ts";
import type { GatewayClock } from "./config.ts";

const lookMs = 10;
/** Then the event's actor is really gone, or will never look as wanted. */
const patienceMs = 5_000;

export interface AfterEvent {
  readonly runtime: Pick<Runtime, "read">;
  readonly clock: GatewayClock;
}

/** The view once it shows the event; after five seconds as it is. Throws `not_found` after that time, other errors at once. */
export async function readAfterEvent(
  { runtime, clock }: AfterEvent,
  at: Address,
  shows: (view: Json) => boolean = () => true,
): Promise<Json> {
  const deadline = clock.monotonic() + patienceMs;
  for (let pause = lookMs; ; pause = Math.min(2 * pause, 500)) {
    try {
      const { view } = await runtime.read(at);
      if (shows(view) || clock.monotonic() >= deadline) return view;
    } catch (error) {
      const missing = error instanceof TroupeError && error.code === "not_found";
      if (!missing || clock.monotonic() >= deadline) throw error;
    }
    await new Promise<void>((resolve) => void clock.after(pause, resolve));
  }
}
