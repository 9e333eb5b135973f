/**
 * What a partition does beside its commands: flush by the clock, move the floor, keep the replay
 * window and trim behind it, and passivate idle actors. Nothing here decides what is true.
 */
import type { Bus } from "../bus/bus.ts";
import type { TimerHandle } from "../bus/clock.ts";
import { formatAddress } from "../machines/address.ts";
import type { Entry } from "./entry.ts";
import type { Flusher } from "./flusher.ts";
import type { RuntimeSettings } from "./limits.ts";
import type { PartitionState } from "./state.ts";

export interface HousekeepingEnvironment {
  readonly state: PartitionState;
  readonly flusher: Flusher;
  readonly bus: Bus;
  readonly settings: RuntimeSettings;
  stopped(): boolean;
  wake(): void;
  onFault(error: Error): void;
}

/** Groups without a use after which an idle actor may leave memory when there are too many. */
const idleGroups = 64;

export class Housekeeping {
  readonly #env: HousekeepingEnvironment;
  /** Sequences with the journal's bytes up to them, one about every 64th of the window. */
  #marks: { seq: number; bytes: number }[] = [];
  #bytes = 0;
  #trimmed = 0;
  #trimming = false;
  #timer: TimerHandle | undefined;
  #tidy = false;
  /** Sequence of the last group that held more than a floor. */
  #contentSeq = 0;
  #floorWanted = false;
  /** As of the last flush; later changes only come behind it. */
  floor = 0;

  constructor(env: HousekeepingEnvironment) {
    this.#env = env;
  }

  begin(tailBytes: number): void {
    const { state } = this.#env;
    this.#bytes = tailBytes;
    this.#marks = [{ seq: state.horizon, bytes: 0 }];
    this.#trimmed = state.horizon;
    this.#contentSeq = state.seq;
    this.floor = state.floor;
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** True when a group should be written only to move the floor: all that has content is in the records. */
  get floorWanted(): boolean {
    return this.#floorWanted;
  }

  /** Computes the floor anew, after a flush. */
  wantFloor(): void {
    const { state, flusher } = this.#env;
    this.floor = flusher.floor();
    this.#floorWanted = state.floor <= this.#contentSeq && this.floor > this.#contentSeq;
  }

  /** Up to where the next group may let the journal be trimmed: behind the committed floor and the replay window. */
  horizon(): number {
    const { state, settings } = this.#env;
    let horizon = state.horizon;
    while (
      this.#marks.length > 1 &&
      this.#bytes - (this.#marks[1] as { bytes: number }).bytes >= settings.replayBytes
    ) {
      const next = this.#marks[1] as { seq: number };
      if (next.seq > state.floor) break;
      this.#marks.shift();
      horizon = Math.max(horizon, next.seq);
    }
    return horizon;
  }

  /** After each stored group. */
  stored(seq: number, bytes: number, content: boolean): void {
    const { settings, state } = this.#env;
    this.#bytes += bytes;
    if (content) this.#contentSeq = seq;
    this.#floorWanted = false;
    const last = this.#marks.at(-1);
    if (last === undefined || this.#bytes - last.bytes >= settings.replayBytes / 64)
      this.#marks.push({ seq, bytes: this.#bytes });
    if (state.horizon > this.#trimmed && !this.#trimming) void this.#trim(state.horizon);
  }

  async #trim(horizon: number): Promise<void> {
    this.#trimming = true;
    try {
      await this.#env.bus.journal.trim(this.#env.state.partition, horizon);
      this.#trimmed = horizon;
    } catch {
      // The next group tries again; the journal is only longer meanwhile.
    } finally {
      this.#trimming = false;
    }
  }

  #arm(): void {
    const { bus, settings } = this.#env;
    this.#timer = bus.clock.after(settings.flushMs, () => void this.#tick());
  }

  async #tick(): Promise<void> {
    if (this.#env.stopped()) return;
    try {
      await this.#env.flusher.flush();
    } catch (error) {
      this.#env.onFault(error as Error);
      return;
    }
    if (this.#env.stopped()) return;
    this.#tidy = true;
    this.wantFloor();
    if (this.#floorWanted) this.#env.wake();
    this.#env.state.askers.forget(this.#env.bus.clock.now() - 60_000);
    this.#arm();
  }

  /** Between two groups, after a flush: idle actors leave memory, the ended and the absent ones first. */
  tidy(): void {
    if (!this.#tidy) return;
    this.#tidy = false;
    const { state, settings } = this.#env;
    let over = state.entries.size - settings.activeMax;
    for (const entry of state.entries.values()) {
      const leave = over > 0 ? state.number - entry.usedAt > idleGroups || ended(entry) : ended(entry);
      if (!leave || !entry.idle || entry.work !== undefined) continue;
      state.entries.delete(formatAddress(entry.address));
      state.removals++;
      over--;
    }
    for (const history of state.histories.values()) {
      if (history.dirtySince === 0 && !history.flushing && state.number - history.usedAt > idleGroups)
        history.recent = [];
    }
  }
}

function ended(entry: Entry): boolean {
  if (entry.snapshot === null) return true;
  return entry.stepper.definition.ended?.(entry.snapshot as never) ?? false;
}
