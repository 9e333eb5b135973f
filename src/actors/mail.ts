/**
 * Sends the letters of a partition's channels and sends them again until they are acknowledged; one
 * transmission per channel at a time, so that order needs no sorting.
 */
import type { Clock } from "../bus/clock.ts";
import type { NumberedLetter } from "./channels.ts";
import { limits } from "./limits.ts";
import type { PartitionState } from "./state.ts";

const retryMs = 50;

export class MailPump {
  readonly #state: PartitionState;
  readonly #clock: Clock;
  readonly #deliver: (to: number, from: number, letters: readonly NumberedLetter[]) => Promise<number>;
  readonly #stopped: () => boolean;
  readonly #bytesMax: number;

  constructor(
    state: PartitionState,
    clock: Clock,
    deliver: (to: number, from: number, letters: readonly NumberedLetter[]) => Promise<number>,
    stopped: () => boolean,
    /** Largest message that the transport takes. */
    payloadBytesMax: number,
  ) {
    // Sizes are estimates: half of it leaves room.
    this.#bytesMax = payloadBytesMax >> 1;
    this.#state = state;
    this.#clock = clock;
    this.#deliver = deliver;
    this.#stopped = stopped;
  }

  /** Begins a transmission on every channel that has letters and none under way. */
  pump(): void {
    for (const to of this.#state.channels.waiting()) void this.#send(to);
  }

  async #send(to: number): Promise<void> {
    const { channels, partition } = this.#state;
    const letters = channels.take(to, limits.lettersPerSend, this.#bytesMax);
    if (letters.length === 0) return;
    let applied = 0;
    try {
      applied = await this.#deliver(to, partition, letters);
      if (!this.#stopped()) this.#state.touchMeta(channels.acknowledge(to, applied));
    } catch {
      applied = 0;
    }
    if (applied < (letters[0]?.number ?? 0)) await this.#clock.sleep(retryMs);
    channels.landed(to);
    if (!this.#stopped()) this.pump();
  }
}
