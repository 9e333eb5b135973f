/**
 * The state of the system, told every few seconds to who listens: read once for all of them, and not at all while
 * nobody does. What it looks like on the wire is the protocol's.
 */
import type { GatewayClock } from "../config.ts";

export const pulseMs = 5_000;

type Listener<T> = (state: T) => void;

export class Pulse<T extends object> {
  private readonly clock: GatewayClock;
  private readonly read: () => Promise<T>;
  private readonly listeners = new Set<Listener<T>>();
  private timer: { cancel(): void } | undefined;

  constructor(clock: GatewayClock, read: () => Promise<T>) {
    this.clock = clock;
    this.read = read;
  }

  /** At once, and then again and again; the returned function ends it. */
  listen(listener: Listener<T>): () => void {
    this.listeners.add(listener);
    void this.tell([listener]);
    this.timer ??= this.next();
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      this.timer?.cancel();
      this.timer = undefined;
    };
  }

  private next(): { cancel(): void } {
    return this.clock.after(pulseMs, () => {
      void this.tell(this.listeners);
      this.timer = this.next();
    });
  }

  /** A beat that cannot be read is left out: the next one comes. */
  private async tell(to: Iterable<Listener<T>>): Promise<void> {
    const state = await this.read().catch(() => undefined);
    if (state === undefined) return;
    for (const listener of [...to]) if (this.listeners.has(listener)) listener(state);
  }
}
