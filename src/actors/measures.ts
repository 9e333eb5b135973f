/**
 * What one process's runtime has done since its start, in plain numbers that cost next to nothing to
 * keep: commits, steps, mail, activations, reminders, take-overs. Names and output are the gateway's.
 */
import { type Distributed, Distribution } from "../distribution.ts";

/** Seconds, from a tenth of a millisecond to ten seconds. */
const seconds = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const groupSteps = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
const groupBytes = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

export interface RuntimeMeasures {
  readonly steps: number;
  /** Steps of each commit: how large groups are. */
  readonly commitSteps: Distributed;
  readonly commitBytes: Distributed;
  /** From publishing a group to knowing that it is stored. */
  readonly commitSeconds: Distributed;
  /** Commits that the store had no room for. */
  readonly commitsWithoutRoom: number;
  /** The last of these, by the clock's monotonic ms; 0: none yet. */
  readonly withoutRoomAt: number;
  /** From the commit that holds a letter to its acknowledgement by the other partition. */
  readonly mailSeconds: Distributed;
  /** Actors brought into memory from their records. */
  readonly activations: number;
  /** Reminders that came due: how late. */
  readonly reminderSeconds: Distributed;
  /** Partitions taken over: how long until they were served. */
  readonly takeoverSeconds: Distributed;
}

export class Measures implements RuntimeMeasures {
  steps = 0;
  readonly commitSteps = new Distribution(groupSteps);
  readonly commitBytes = new Distribution(groupBytes);
  readonly commitSeconds = new Distribution(seconds);
  commitsWithoutRoom = 0;
  withoutRoomAt = 0;
  readonly mailSeconds = new Distribution(seconds);
  activations = 0;
  readonly reminderSeconds = new Distribution(seconds);
  readonly takeoverSeconds = new Distribution(seconds);

  /** A group is stored. */
  committed(steps: number, bytes: number, ms: number): void {
    this.steps += steps;
    this.commitSteps.observe(steps);
    this.commitBytes.observe(bytes);
    this.commitSeconds.observe(ms / 1000);
  }

  /** The store refused a group for want of room, at this monotonic time. */
  withoutRoom(at: number): void {
    this.commitsWithoutRoom++;
    this.withoutRoomAt = at;
  }
}
