/**
 * Sends the letters of a partition's channels and sends them again until they are acknowledged; one
 * transmission per channel at a time, so that order needs no sorting.
 */
import type { Clock } from "../bus/clock.ts";
import type { NumberedLetter } from "./channels.ts";
import { limits } from "./limits.ts";
import type { Measures } from "./measures.ts";
import type { PartitionState } from "./state.ts";

const retryMs = 50;

export interface MailParts {
  readonly state: PartitionState;
  readonly clock: Clock;
  readonly measures: Measures;
  /** Largest message that the transport takes. */
  readonly payloadBytesMax: number;
  deliver(to: number, from: number, letters: readonly NumberedLetter[]): Promise<number>;
  stopped(): boolean;
}

export class MailPump {
  readonly #parts: MailParts;

  constructor(parts: MailParts) {
    this.#parts = parts;
  }

  /** Begins a transmission on every channel that has letters and none under way. */
  pump(): void {
    for (const to of this.#parts.state.channels.waiting()) void this.#send(to);
  }

  async #send(to: number): Promise<void> {
    const { state, clock, payloadBytesMax, deliver, stopped } = this.#parts;
    const { channels, partition } = state;
    // Sizes are estimates: half of it leaves room.
    const letters = channels.take(to, limits.lettersPerSend, payloadBytesMax >> 1);
    if (letters.length === 0) return;
    let applied = 0;
    try {
      applied = await deliver(to, partition, letters);
      if (!stopped()) state.touchMeta(channels.acknowledge(to, applied));
      this.#measure(letters, applied);
    } catch {
      applied = 0;
    }
    if (applied < (letters[0]?.number ?? 0)) await clock.sleep(retryMs);
    channels.landed(to);
    if (!stopped()) this.pump();
  }

  #measure(letters: readonly NumberedLetter[], applied: number): void {
    const { clock, measures } = this.#parts;
    const now = clock.now();
    for (const { number, at } of letters) {
      if (number <= applied && at !== undefined) measures.mailSeconds.observe(Math.max(0, now - at) / 1000);
    }
  }
}
